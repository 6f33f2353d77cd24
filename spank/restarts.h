/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * restarts - how often slurmctld has started a job again, asked where slurmd has not told it (state.h).
 */
#ifndef SPANK_RESTARTS_H
#define SPANK_RESTARTS_H

#include "common/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* As root, in a process that was forked from slurmstepd: a program of ours, HELPER_DIR/job-restarts, asks, because
 * libslurm must not be used after a fork among threads.  It gets no environment but SLURM_CONF.  Waits for
 * RESTARTS_MOST_S at most.  *count is of the start that runs, also when the next one is already in the queue.
 * -1 with a text, EAGAIN: it is not to be learnt; RESTARTS_E_ELSEWHERE: the job runs, but not on `node`, or not its batch
 * script: what starts here is not wanted any more. */
#define RESTARTS_MOST_S 30
#define RESTARTS_ELSEWHERE 3         /* exit status of the program */
#define RESTARTS_E_ELSEWHERE EREMCHG /* which no file system gives */
int restarts_ask(const char *helper_dir, uint32_t job, const char *node, bool batch,
                 uint32_t *count, struct err *err);

#endif
