/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * own - namespaces that a user makes himself, and what runs in them.
 *
 * Never called with a privilege: what the kernel lets any user do is all that is used, and whom the facts come from
 * is nobody but him.
 */
#ifndef CMD_OWN_H
#define CMD_OWN_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>

/* Make a user, a pid and a mount namespace with /proc, start own-keeper in it with CAP_CHECKPOINT_RESTORE over it,
 * and become the shepherd, without any capability, which runs the program.  job_clock: JobClock of checkpoint.conf.
 * Returns only on failure, -1. */
int own_exec(const struct facts *f, bool job_clock, const char *const *args, int nargs,
             struct err *err);

#endif
