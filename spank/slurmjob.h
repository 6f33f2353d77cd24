/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * slurmjob - the shepherd's questions and requests to slurmctld, as the job's owner.
 *
 * Each call is an RPC that can take long: call through clerk_run().
 */
#ifndef SPANK_SLURMJOB_H
#define SPANK_SLURMJOB_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum slurmjob_state {
    SLURMJOB_UNKNOWN,
    SLURMJOB_RUNNING,
    SLURMJOB_REQUEUED,  /* pending again: requeue or preemption */
    SLURMJOB_CANCELLED, /* scancel */
    SLURMJOB_TIMEOUT,   /* its time limit */
    SLURMJOB_ENDED,     /* anything else that is final */
};

struct slurmjob {
    enum slurmjob_state state;
    uint32_t restart_count;
    bool may_requeue;
    int64_t start_time;
    int64_t end_time; /* time limit, seconds since the epoch; 0: none */
};

int slurmjob_load(uint32_t job, struct slurmjob *out, struct err *err);

/* Requeue; `hold`: in state SpecialExit, held, so that someone looks at it. */
int slurmjob_requeue(uint32_t job, bool hold, struct err *err);

/* Replace the job's comment, which the owner and operators see in scontrol and squeue. */
int slurmjob_comment(uint32_t job, const char *text, struct err *err);

#endif
