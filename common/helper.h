/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * helper - the first steps of every program of ours that holds the capability.
 *
 * Its caller is hostile: environment, descriptors, limits, signal state, timing.
 */
#ifndef COMMON_HELPER_H
#define COMMON_HELPER_H

#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Clear the environment (PATH, LC_ALL are set to fixed values), make descriptors 0-2 valid
 * (/dev/null), close every descriptor above `keep_max`, reset signal dispositions and mask, disarm
 * timers, umask 077, cwd "/", RLIMIT_CORE 0, soft limits FSIZE, CPU, AS, DATA to their hard ones,
 * PR_SET_DUMPABLE 0.  Returns 0, or -1 with a text: then the program must end.  */
int helper_sanitize(int keep_max, struct err *err);

/* Set the calling thread's capabilities to exactly: permitted = CAP_CHECKPOINT_RESTORE, inheritable
 * = the same, effective and ambient empty.  Refuses (-1, EPERM) when it is not permitted.  Call
 * before the first thread exists. */
int helper_caps_hold(struct err *err);

/* Put the capability into the effective set too (raise) or take it out of it (lower). */
int helper_caps_raise(struct err *err);
int helper_caps_lower(struct err *err);

/* For a child about to exec criu or a helper: permitted, inheritable and ambient hold the
 * capability. */
int helper_caps_ambient(struct err *err);

/* Give up all five sets for good (but the bounding set) and prove it by reading
 * /proc/self/status-free capget and PR_CAP_AMBIENT_IS_SET. */
int helper_caps_drop(struct err *err);

/* Install fds: move fds[i] to target number 3+i without close-on-exec, everything else above
 * closed. To be called in a forked child just before exec.  */
int helper_fds_place(const int *fds, int n, struct err *err);

/* What is asked of each component of a path; `last`: of the file itself.  -1 with a text. */
typedef int helper_check(const char *path, bool last, const char *what, struct err *err);

/* 0 when `path` is absolute, has no symbolic link in it, and `check` passes "/" and each component below it; else -1. */
int helper_path_walk(const char *path, const char *what, helper_check *check, struct err *err);

/* 0 when the absolute path has no symbolic link in it, each component is root's and writable by
 * nobody else (sticky directories are allowed: what is root's in them stays root's), and the last
 * one is a regular file without setuid and setgid bits; else -1.  `what` names it in the text.  (trust.h has another one
 * for a user's own namespace.) */
int helper_path_trusted(const char *path, const char *what, struct err *err);

#endif
