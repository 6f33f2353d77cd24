/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * impl - what the parts of preflight share.  Not for others: preflight.h is the interface.
 */
#ifndef CHECK_IMPL_H
#define CHECK_IMPL_H

#include "check/preflight.h"

#include <stdint.h>
#include <sys/types.h>

enum preflight_scope { EVERYWHERE, HERE };

/* A point; one too many is dropped, the last one then says so. */
void preflight_add(struct preflight *p, const char *name, enum preflight_verdict verdict,
                   enum preflight_scope scope, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* node.c: machine, kernel, criu, cpu */
void preflight_machine(const struct checkpoint *c, const struct facts *f, struct preflight *p);
/* pids.c: pids, pid_max */
void preflight_pids(const struct checkpoint *c, const struct facts *f, struct preflight *p);
/* tasks.c: how many threads RLIMIT_NPROC counts for this user: those with his real uid, in the caller's user namespace
 * (kernel/fork.c, copy_process: counted by ucounts of the credentials, user_namespaces(7)).  Zombies count, processes in
 * another user namespace do not: of one whose namespace may not be looked at, a pid namespace below ours tells.
 * proc: "/proc". */
uint64_t preflight_tasks(const char *proc, uid_t uid);

/* limits.c: memory, processes, descriptors, space */
void preflight_limits(int taskfd, const struct checkpoint *c, struct preflight *p);
/* paths.c: programs, inputs, outputs, directories */
void preflight_paths(const struct checkpoint *c, const struct facts *f, struct preflight *p);

#endif
