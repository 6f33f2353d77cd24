/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * press - what a thread of the pack does with one frame: digest it, and compress it or put it into the file.
 */
#ifndef DUMP_PRESS_H
#define DUMP_PRESS_H

#include "common/facts.h"
#include "dump/plain.h"

#include <stddef.h>
#include <stdint.h>

/* One thread's contexts. */
struct press;

struct press *press_create(enum facts_compress compress, int level); /* NULL: no memory */
void press_destroy(struct press *p);                                 /* NULL is fine */

/* All: NULL, or what failed, with errno.  sha256: the digest of what is stored. */

const char *press_digest(struct press *p, const uint8_t *data, size_t len, uint8_t sha256[32]);

/* Compress raw (at most MANIFEST_FRAME_MAX) into one frame at `to`, which has room for MANIFEST_STORED_MAX. */
const char *press_frame(struct press *p, const uint8_t *raw, size_t len, uint8_t *to,
                        size_t *stored, uint8_t sha256[32]);

#endif
