/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * room - may the coming generation be written?  Looked at while the job still runs.
 *
 * The site's limits are against accidents: who wants to can name another directory or fill this one himself.
 */
#ifndef DUMP_ROOM_H
#define DUMP_ROOM_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* About how many bytes will a tree with so much memory take?  What the newest generation needed for its own, when it
 * was made with the same compression; else the least that is likely. */
uint64_t room_estimate(int taskfd, const struct facts *f, uint64_t memory);

/* As the job's user.  last: the job ends with it, and writes no more; then nothing but the site's limits need be left
 * over on the filesystem, else some MiB.  *reserve: bytes that may be set aside for what is not compressed.  -1 with a text that says
 * how much there is, the limit, and what to do: EFBIG (MaxSize), EDQUOT (MaxUserSize), ENOSPC (the filesystem,
 * MinFree, MaxSiteSize). */
int room_check(int taskfd, const struct facts *f, uint64_t memory, bool last, uint64_t *reserve,
               struct err *err);

#endif
