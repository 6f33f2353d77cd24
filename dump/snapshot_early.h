/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_early - in criu's process: the smaps of large processes, read before the tree is stopped (smaps.h).
 */
#ifndef DUMP_SNAPSHOT_EARLY_H
#define DUMP_SNAPSHOT_EARLY_H

#include <stdint.h>
#include <sys/types.h>

/* The job still runs: read those of all processes below root that have so many bytes of private memory.  What
 * cannot be read now is read later. */
void snapshot_early_read(pid_t root, uint64_t bytes);

/* Process pid stands still: what was read of it, the caller's, if its areas are the same; else NULL.  The flags are to be
 * compared with those of its snapshot (smaps_same_flags). */
char *snapshot_early_take(pid_t pid);

void snapshot_early_free(void);

#endif
