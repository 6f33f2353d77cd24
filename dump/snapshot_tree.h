/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_tree - in criu's process: may this process of the stopped tree be made to fork?
 */
#ifndef DUMP_SNAPSHOT_TREE_H
#define DUMP_SNAPSHOT_TREE_H

#include <stdint.h>
#include <sys/types.h>

/* Note a process that CRIU has stopped and that was running before.  *memory: its anonymous and swapped memory,
 * bytes.  -1: unreadable. */
int snapshot_tree_add(pid_t pid, uint64_t *memory);

/* Of a process that was noted; 0: it was not. */
pid_t snapshot_tree_parent(pid_t pid);

/* NULL, or why not (static): a child that nobody waits for would go to the nearest subreaper, so that must be
 * `root` and nobody before; and what a seccomp filter says of our calls is unknown.
 * touch is called with each process that has to be asked, before, and with 0 afterwards. */
const char *snapshot_tree_refuse(pid_t pid, pid_t root, void (*touch)(pid_t));

#endif
