/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * procs - the processes around a restore: those in the way, those to end, those to prove harmless.
 *
 * All of it reads /proc of our own pid namespace; none needs a capability.
 */
#ifndef RESTORE_PROCS_H
#define RESTORE_PROCS_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What /proc/PID/stat tells of a process. */
struct procs_stat {
    pid_t pid, ppid, pgid, sid;
    char state;
    char comm[16];
};

/* Parse one such line. */
bool procs_parse_stat(const char *line, struct procs_stat *s);

/* Wait until none of these numbers (sorted) is a process, thread, group or session, at most `ms`
 * milliseconds, and only as long as the holder is ours or about to end.  -1, EBUSY: the text says
 * which number, and who has it. */
int procs_wait_free(const uint32_t *ids, size_t n, int ms, struct err *err);

/* Kill every descendant and reap until there is none, at most `ms` milliseconds.  The caller is a
 * child subreaper. -1, ETIMEDOUT: some are left. */
int procs_kill_descendants(int ms, struct err *err);

/* No thread of any process of uid in our cgroup may hold a capability in any set but the bounding
 * one. `skip`: processes that may.  Zombies hold what they had and can do nothing with it.  *n:
 * processes looked at.  -1, EPERM with a text that names one. */
int procs_prove_harmless(uid_t uid, const pid_t *skip, size_t nskip, unsigned *n, struct err *err);

#endif
