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
    bool batch; /* it has a script, and so can be requeued at all */
    int64_t start_time;
    int64_t
        end_time; /* time limit, seconds since the epoch; 0: none.  Of a preempted job, of its grace time */
    bool preempted;
    bool completing; /* its last processes are being ended */
};

/* slurmjob_load.c: the last RPC failed.  -1; the text is "WHAT job N: Slurm's reason", errno EAGAIN: slurmctld did not
 * answer, ESRCH: it does not know the job (any more), EIO: it refuses.  So do all of the following. */
int slurmjob_fail(const char *what, uint32_t job, struct err *err);

/* slurmjob_load.c */
int slurmjob_load(uint32_t job, struct slurmjob *out, struct err *err);
/* The same; *here: it runs, is not being ended, and `node` is where its batch script is (`batch`), or one of its nodes. */
int slurmjob_load_at(uint32_t job, const char *node, bool batch, struct slurmjob *out, bool *here,
                     struct err *err);

/* Is this job the only one that writes to its stdout and stderr?  True when their names depend on the job (or
 * array task) number; else when no job of the user that slurmctld still knows has the same. */
int slurmjob_output_alone(uint32_t job, uint32_t uid, bool *alone, struct err *err);

enum slurmjob_how {
    SLURMJOB_AGAIN,   /* requeue */
    SLURMJOB_HELD,    /* and hold it */
    SLURMJOB_SPECIAL, /* and hold it in state SpecialExit, so that someone looks at it */
};
int slurmjob_requeue(uint32_t job, enum slurmjob_how how, struct err *err);

/* A job that waits: not to be started before `when` (seconds since 1970). */
int slurmjob_delay(uint32_t job, int64_t when, struct err *err);

/* Ring the doorbell (SIGURG) of all tasks of its steps; the batch script hears nothing. */
int slurmjob_ring_steps(uint32_t job, struct err *err);

/* Put "[checkpoint TIME: TEXT]" at the end of the job's comment, which the owner and operators see in
 * scontrol and squeue, in place of the one before; what else is there stays (common/jobnote.h): when that cannot be read nothing is put.
 * TIME has milliseconds, in UTC. */
int slurmjob_note(uint32_t job, const char *text, struct err *err);

/* slurmjob_elsewhere.c: requeue; it starts again not before delay_s from now, and on another node, as long as the
 * partition has one that is not excluded (*excluded tells).  note: as slurmjob_note. */
int slurmjob_elsewhere(uint32_t job, const char *node, uint32_t delay_s, const char *note,
                       bool *excluded, struct err *err);

#endif
