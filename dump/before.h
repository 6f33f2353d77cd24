/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * before - what a dump looks at while the job still runs.
 *
 * What cannot be saved is told by process, descriptor and remedy (able/able.h), and a job whose memory control group has
 * no room for us is left alone: its own allocations would fail, not ours.
 */
#ifndef DUMP_BEFORE_H
#define DUMP_BEFORE_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct before {
    unsigned threads;   /* compressors */
    size_t frame_bytes; /* of the pack */
};

/* As the job's user, without any capability.  root: of the tree.  last: the job ends after this dump, so that short
 * memory only makes it slow.  Waits up to two seconds for what is over in a moment.  -1 with a text: ENOTSUP (cannot be saved
 * as it is), ENOMEM (no room). */
int before_look(pid_t root, const struct facts *f, bool last, struct before *b, struct err *err);

/* How many threads and frames of which size may be used with `room` bytes and `wanted` threads; false: none. */
bool before_fit(uint64_t room, unsigned wanted, unsigned processes, const struct facts *f,
                struct before *b);

#endif
