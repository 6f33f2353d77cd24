/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * base - the generation whose unchanged frames the coming one takes over.
 *
 * It is the one that goes when the coming one is complete (the newest of those beyond facts.keep): no two generations that
 * are kept share a byte, and a file that is damaged costs no more of them than if each were written whole.
 *
 * Taken over is what has the same SHA-256, uncompressed.  Frames are found in pages.zst of the base and in the files that
 * it had itself from earlier ones; each of those gets a link in the new generation's directory, under the name of the
 * generation that wrote it, so that it stays when the base goes.  Of a file half of which the base did not use any more
 * nothing is taken, and after a certain number of generations (facts.incremental) one is written whole again.
 *
 * The frames' bytes are not read: a restore verifies them as it does all others.
 */
#ifndef DUMP_BASE_H
#define DUMP_BASE_H

#include "common/err.h"
#include "common/facts.h"
#include "common/frameline.h"
#include "common/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct base;

/* A frame that is there already. */
struct base_frame {
    struct frameline line; /* image does not matter; from and at are where it lies */
    uint32_t file;         /* of the base's: base's own business */
    _Atomic bool taken;
};

/* As the job's user, without any capability.  genfd: the new generation's directory, where the links are made.  NULL
 * with a text, and no link is left: all is to be written; that is no failure. */
struct base *base_open(int taskfd, int genfd, const struct facts *f, struct err *why);
void base_close(struct base *b); /* NULL is fine; links stay */

/* What it takes of memory, in bytes.  NULL is fine. */
uint64_t base_memory(const struct base *b);

/* The frame with these raw bytes, or NULL; it counts as taken.  Any thread. */
const struct base_frame *base_take(struct base *b, const uint8_t raw_sha256[32], uint32_t raw);

/* The length of a frame that begins with that mark; 0: there is none.  *alone: it is the only one. */
uint32_t base_begins(const struct base *b, uint64_t mark, bool *alone);

/* When all is taken: which links the manifest has, and how deep they go; links that nothing refers to are removed.  b may
 * be NULL. */
int base_finish(const struct base *b, int genfd, struct manifest *m, struct err *err);

#endif
