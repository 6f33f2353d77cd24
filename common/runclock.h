/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * runclock - a clock that stands still while the job does.
 *
 * scontrol suspend and gang scheduling stop everything in the job's control group, or send SIGSTOP to all of its processes,
 * for as long as they like.  CLOCK_MONOTONIC goes on meanwhile, so that every time limit would have passed at the
 * moment of the resume.  This one is looked at every RUNCLOCK_TICK_MS by whoever waits for it; when it was not looked at for much
 * longer than that, nobody here ran, and the gap does not count.
 *
 * The rule for users: a wait is no longer than RUNCLOCK_TICK_MS at a time (runclock_wait), and what has come of it is
 * judged by this clock.
 */
#ifndef COMMON_RUNCLOCK_H
#define COMMON_RUNCLOCK_H

#include <stdint.h>
#include <time.h>

#define RUNCLOCK_TICK_MS 2000
#define RUNCLOCK_GAP_MS 4500 /* more than a busy machine makes of a tick */

/* Milliseconds, from an arbitrary beginning.  From any thread. */
int64_t runclock_ms(void);

/* For poll(): milliseconds until `deadline` of this clock, from 0 to RUNCLOCK_TICK_MS. */
int runclock_wait(int64_t deadline);

/* The same as a moment of CLOCK_MONOTONIC, for pthread_cond_timedwait(). */
struct timespec runclock_next(int64_t deadline);

/* The rule itself, for tests: CLOCK_MONOTONIC now and when looked at last, and what was lost before (ms); what is
 * lost now. */
int64_t runclock_lost(int64_t now, int64_t last, int64_t lost);

#endif
