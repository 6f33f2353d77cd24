/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tree - all descendants of one process, by /proc.
 */
#ifndef SPANK_TREE_H
#define SPANK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The pids of root and all its descendants, parents before children (malloc'ed); their number, 0 without memory or
 * when root is gone. */
size_t tree_list(pid_t root, pid_t **pids);

/* SIGKILL to every descendant of root, then to root.  For a tree that stands still (stopped after
 * its last checkpoint): nothing in it forks meanwhile.  The descendants go first: when a parent
 * goes, the kernel wakes the stopped process groups that it orphans (SIGHUP, SIGCONT), and they
 * would run on past the checkpoint. Returns the number of processes signalled. */
int tree_kill(pid_t root);

/* Is a process of that name (comm) below root, and no zombie, which a stopped parent does not reap?  root 0: anywhere in
 * /proc. */
bool tree_has(pid_t root, const char *comm);

/* SIGSTOP to root and every descendant, but those of that name and what is below them. */
void tree_stop_but(pid_t root, const char *comm);

/* SIGCONT to root and every descendant. */
void tree_continue(pid_t root);

/* SIGKILL to every descendant of this process, until none is left or `rounds` are over. */
void tree_kill_own(int rounds);

#endif
