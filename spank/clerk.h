/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * clerk - runs one piece of work that may block (the checkpoint filesystem, slurmctld) in a child.
 *
 * The shepherd minds the job and must never wait for a server that does not answer.
 */
#ifndef SPANK_CLERK_H
#define SPANK_CLERK_H

#include "common/err.h"

#include <stddef.h>

/* The work: fills the result (zeroed before), returns 0, or -1 with a text. Runs in a forked child
 * with the default signal state. */
typedef int (*clerk_work)(void *arg, void *result, struct err *err);

/* Run it and wait at most timeout_ms.  result may be NULL when size is 0.  -1 with ETIMEDOUT: the
 * child was killed (one that hangs in the kernel is left behind and reaped when it ends). */
int clerk_run(clerk_work work, void *arg, void *result, size_t size, int timeout_ms,
              struct err *err);

#endif
