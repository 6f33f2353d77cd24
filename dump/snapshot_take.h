/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_take - in criu's process: make copy-on-write snapshots of what CRIU has stopped.
 *
 * The job's process T is made to clone A, which shares its memory; A forks B, the snapshot, and ends.  B goes to the nearest
 * subreaper, which must be the root of the tree, ckpt-init, that takes no notice.  A is that root's child as well where T
 * is (CLONE_PARENT); else it is T's, without a signal at its end, and T is made to take its exit status.  B shares T's descriptors until the helper dump,
 * which traces it from then on, makes it let go of them; it never runs an instruction of the job's.
 *
 * Sources: facts of the kernel in kernel/fork.c, kernel/exit.c, kernel/ptrace.c (Linux 6.18).
 */
#ifndef DUMP_SNAPSHOT_TAKE_H
#define DUMP_SNAPSHOT_TAKE_H

#include <sys/types.h>

/* Before the tree is stopped (snapshot_early.h).  fd: the plugin's end of the socket of snapshot_wire.h, or -1. */
void snapshot_take_init(int fd);

/* Every thread of process pid stands still, traced by us, with nothing of CRIU's in it yet; its ancestors came
 * before it.  0: it has a snapshot, or does not need or cannot have one.  -1: the process was lost, the dump must fail. */
int snapshot_take(int pid);

void snapshot_take_fini(void);

/* What has been read of process pid's smaps, as a new file that is the caller's; once.  -1: nothing has. */
int snapshot_take_smaps(pid_t pid);

#endif
