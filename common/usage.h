/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * usage - how much checkpoints take: the sizes of the files in generations, complete or not.
 *
 * A file with several links counts in each place for its share of them, so that the sum is what all take together.
 * As stat tells them, like the sizes in a manifest: compression or holes of the filesystem's own do not count.
 */
#ifndef COMMON_USAGE_H
#define COMMON_USAGE_H

#include "common/err.h"

#include <stdint.h>
#include <sys/types.h>

/* Of the regular files in a directory (a generation). */
uint64_t usage_dir(int dirfd);

/* Of all generations of all tasks of all jobs in a user's directory of checkpoints (gendir_open_base), as that user.
 * What cannot be looked at counts nothing.  -1 when the directory cannot be read. */
int usage_base(int basefd, uint64_t *bytes, struct err *err);

#endif
