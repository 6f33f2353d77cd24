/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nsroot - the namespaces of isolation=private, and the short-lived root process that sets them up.
 *
 * The Slurm task makes a user, a pid and a mount namespace (unshare).  Two things in that need a
 * privilege that the task no longer has at the moment they are due:
 *   - the uid and gid maps (identity over the whole range) are written by a process with
 * capabilities in the parent user namespace;
 *   - /proc of the new pid namespace can only be mounted once its first process exists, and that
 * one is forked in task_init, when the task is the user already. Both are done by one child of the
 * task, forked while it is root: it runs this file only, execs nothing, opens nothing but
 * /proc/TASK/..., and ends in task_init.
 *
 * Every process of a pid namespace dies with the first one, and every fork fails after that: the
 * first fork of the task after nsroot_enter() must be the keeper, or nsroot_idle().
 */
#ifndef SPANK_NSROOT_H
#define SPANK_NSROOT_H

#include "common/err.h"

#include <sys/types.h>

struct nsroot {
    pid_t pid;
    int sock;
};

/* As root: can such namespaces be made here, and /proc be mounted in them?  Tried in a child. */
int nsroot_possible(struct err *err);

/* In task_init_privileged: fork the child, unshare, have the maps written.  On failure (-1) nothing
 * has been unshared and no child is left, so the task can go on under isolation=host. Needs root
 * with CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID.  *ns must be zero. */
int nsroot_enter(struct nsroot *ns, struct err *err);

/* In task_init, after the first fork: mount /proc.  Waits for the answer. */
int nsroot_mount_proc(struct nsroot *ns, struct err *err);

/* End the child and reap it; fine with a zero *ns. */
void nsroot_destroy(struct nsroot *ns);

/* Be the namespace's init and nothing else: reap until killed.  For the first child when it cannot
 * become the keeper.  Never returns. */
void nsroot_idle(void) __attribute__((noreturn));

#endif
