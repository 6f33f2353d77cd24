/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_loss - in dump: what became of the job's processes when criu was killed while it held them.
 *
 * In a call that our plugin has it make, a process has PTRACE_O_EXITKILL, and the kernel has killed it: it would go on with
 * the wrong registers.  In one of CRIU's own it runs into the trap behind that call, and dies of SIGTRAP.  Between
 * calls it runs on as it was, for CRIU's code in it puts everything back when its socket ends; what is left of that
 * is unmapped.  But if its parent is not the root, it may have a child that it did not make, dead by now,
 * with exit signal 0, so that nothing but a wait for __WALL or __WCLONE shows it.  That one is taken away.
 */
#ifndef DUMP_SNAPSHOT_LOSS_H
#define DUMP_SNAPSHOT_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Those that stood still: did one of them die of it?  Takes some tenths of a second. */
bool snapshot_loss_any(const pid_t *pids, size_t n);
/* child is such a child of pid.  False: pid was lost by our own doing. */
bool snapshot_loss_reap(pid_t pid, pid_t child);

#endif
