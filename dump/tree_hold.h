/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tree_hold - let processes stand still for a while, without their or anybody's notice but for the time.
 *
 * Every thread is stopped by ptrace (PTRACE_SEIZE, PTRACE_INTERRUPT): no signal, nothing for waitpid() of a parent,
 * interrupted calls go on by themselves.  When we end, however, they run on.  For one thread of ours.
 */
#ifndef DUMP_TREE_HOLD_H
#define DUMP_TREE_HOLD_H

#include "common/err.h"

#include <sys/types.h>

struct tree_hold;

struct tree_hold *tree_hold_create(void); /* NULL: no memory */
/* Stop all threads of process pid, which was not held yet.  -1: not all could be stopped within some seconds; those
 * that were stay so until tree_hold_destroy. */
int tree_hold_add(struct tree_hold *h, pid_t pid, struct err *err);
/* They run on.  NULL is fine; errno is kept. */
void tree_hold_destroy(struct tree_hold *h);

#endif
