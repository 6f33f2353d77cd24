/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * hostcheck - may a job get the capability on this node?  What the plugin checks before it hands it out, and what
 * `scheckpoint doctor` tells an administrator.
 *
 * Each looks at attributes only and opens no file of a user's.  0, or -1 with a text that says what to do.
 */
#ifndef COMMON_HOSTCHECK_H
#define COMMON_HOSTCHECK_H

#include "common/err.h"

/* The kernel knows the capability (Linux 5.9), and helpers cannot be traced because of fs.suid_dumpable=1. */
int hostcheck_kernel(struct err *err);

/* criu, without CAP_SYS_PTRACE, may look into the job's processes: kernel.yama.ptrace_scope is 0 or absent. */
int hostcheck_ptrace(struct err *err);

/* HELPERDIR/keeper: root's alone with all above it, executable, on a mount that heeds file capabilities, and with
 * exactly its one. */
int hostcheck_keeper(const char *helper_dir, struct err *err);

/* The other helpers: root's alone, without capabilities. */
int hostcheck_helpers(const char *helper_dir, struct err *err);
int hostcheck_criu(const char *criu, struct err *err);

#endif
