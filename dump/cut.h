/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cut - where in a stream of pages a frame of the base begins again.
 *
 * A stream (CRIU's) does not tell to which addresses its pages belong, and one page more at its beginning moves all that
 * follow: cut by position, nothing would be found in the base.  So a frame ends where a page comes that one of the base's
 * began with.
 */
#ifndef DUMP_CUT_H
#define DUMP_CUT_H

#include "dump/base.h"

#include <stddef.h>
#include <stdint.h>

/* Of the frame that is being filled; all zero when it is empty. */
struct cut {
    size_t seen;   /* bytes of it that were looked at */
    size_t expect; /* how long that of the base was that begins like it */
};

/* raw, len: what is in it so far; called each time that more has come.  At which of its bytes (> 0) the next frame is to
 * begin; 0: nowhere yet. */
size_t cut_find(struct cut *c, const struct base *b, const uint8_t *raw, size_t len);

#endif
