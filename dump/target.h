/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * target - is this process one that we may dump?
 *
 * Whoever talks to the keeper chooses the pidfd.  CRIU can only seize processes of the job's user, but
 * that user may have other jobs on the node, and what is outside this task is not its business.
 */
#ifndef DUMP_TARGET_H
#define DUMP_TARGET_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* 0 and *pid (as our pid namespace numbers it) when pidfd is a pidfd of a process that
 *  - lives, in our pid namespace, is not its init and not a zombie;
 *  - has facts' uid and gid as all four of its ids;
 *  - is in the same control groups as we are;
 *  - leads its session;
 *  - descends from facts.task_pid, started at facts.task_start (host isolation; under private whatever is in
 *    the pid namespace is this task's, if the namespace's init is the job's user's);
 *  - is neither we nor an ancestor of ours.
 * All of it is read from /proc by pid; that the pid was not recycled meanwhile is checked at the end through
 * the pidfd.  Else -1 with a text: EBADF no pidfd, ESRCH gone, EPERM refused. */
int target_check(int pidfd, const struct facts *f, pid_t *pid, struct err *err);

/* Does the pidfd's process still live? */
bool target_alive(int pidfd);

/* The letter of /proc/PID/stat: 't' stopped by a tracer (CRIU), 'T' by a signal ...; NUL: gone. */
char target_state(pid_t pid);

/* Resident anonymous, shared and swapped memory of the tree below pid, in bytes: an estimate. */
uint64_t target_memory(pid_t pid);

/* SIGCONT to the processes that a dump left stopped: those of the n whose skip[i] is not set, each through
 * a pidfd and only while its parent is the one expected (ppids[0] is not looked at).  Returns how many
 * were continued. */
struct target_process {
    pid_t pid, ppid;
    bool skip; /* was stopped before the dump already */
};
int target_continue(const struct target_process *list, size_t n);
/* The same for the whole tree below pid, when nothing more is known about it. */
int target_continue_tree(pid_t pid);

/* The tree below pid, as it is now, to be known again when its root has gone: how many, and a list to be freed (NULL: no
 * memory). */
struct target_note {
    pid_t pid;
    uint64_t start;
};
size_t target_note_tree(pid_t pid, struct target_note **noted);
/* SIGKILL to all of them that still live, and to what is below them; what is born meanwhile as well.  True: nothing lives
 * any more. */
bool target_kill_noted(const struct target_note *noted, size_t n);

#endif
