/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * job - scheckpoint's questions to Slurm, as the caller.
 *
 * libslurm ends the process when it finds no configuration; the verbs call it only when they need
 * it.
 */
#ifndef CMD_JOB_H
#define CMD_JOB_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct job_name {
    uint32_t id;   /* a job's id, or an array's */
    bool is_task;  /* "12_3" */
    uint32_t task; /* 3 */
    bool has_step; /* "12.0": job_parse_step only */
    uint32_t step;
    bool has_taskid; /* "12.0/1" */
    uint32_t taskid;
};

enum job_phase { JOB_PHASE_PENDING, JOB_PHASE_RUNNING, JOB_PHASE_SUSPENDED, JOB_PHASE_OVER };

struct job {
    uint32_t id;          /* its own id, an array task's too: the one in the directory's name */
    struct job_name name; /* what Slurm is to be told: "12_3" for a task of an array */
    uid_t uid;
    enum job_phase phase;
    const char *state; /* Slurm's word for it, static */
    bool batch;
    bool requeueing; /* pending, but not for the first time */
    uint32_t restarts;
    int64_t submitted;
};

/* "12" or "12_3", decimal, from 1; false otherwise. */
bool job_parse_name(const char *text, struct job_name *name);

/* The same, or with a step of srun's: "12.0", "12_3.0", and a task of it: "12.0/1". */
bool job_parse_step(const char *text, struct job_name *name);

/* The own id of the job that the text names; asks Slurm only about "12_3".  errno as for job_load;
 * EINVAL also for what is no job id. */
int job_resolve(const char *text, uint32_t *id, struct err *err);

/* Ask slurmctld.  errno ESRCH: it does not know the job (any more); EINVAL: a whole array; EIO: no
 * answer. */
int job_load(const struct job_name *name, struct job *job, struct err *err);

/* All jobs that the name means: of an array without a task all tasks that have a record of their own (those that
 * wait share one, and are only counted).  *jobs is malloc'ed.  Returns their number, or -1 as job_load. */
int job_load_all(const struct job_name *name, struct job **jobs, unsigned *waiting,
                 struct err *err);

/* The batch job that this process runs in, by its control group (the environment's SLURM_JOB_ID may be that of
 * another job: of the one whose checkpoint was restored), else by the environment; 0: none.  Where the group bears a
 * SLUID (Slurm 26.05) slurmctld is asked; 0 also when it does not tell. */
uint32_t job_self(void);
uint32_t job_self_at(const char *path); /* of the process whose /proc/PID/cgroup that is */

/* Whose control group that is, from a line of /proc/PID/cgroup of either version: ".../job_12/step_..." gives an id;
 * ".../sEKNKTV3WPV500/step_..." a SLUID and the id 0 (Slurm 26.05 without CgroupJobIdPaths=yes). */
bool job_in_cgroup(const char *line, uint32_t *id, uint64_t *sluid);

/* "s" and 13 digits of Crockford's base 32, as Slurm writes the number of one run of a job; a requeue gives it a new
 * one. */
bool job_parse_sluid(const char *text, uint64_t *sluid);

/* Asks slurmctld; 0: it does not know, or does not answer. */
uint32_t job_of_sluid(uint64_t sluid);

/* What the job's shepherd has put into its comment: "TIME: TEXT", "" when there is nothing.  Its owner
 * may have written it. */
int job_note(const struct job *job, char note[512], struct err *err);

/* Does this job (its own id) wait, held by its shepherd?  Then since when, as of ISO 8601, and why: what its comment
 * tells, in which its owner may write.  Asks slurmctld; false also when that does not answer. */
bool job_held(uint32_t id, char when[32], char why[512]);

/* Requeue it; held too.  errno as job_ring. */
int job_requeue(const struct job *job, bool hold, struct err *err);

/* The ids of a user's jobs that slurmctld knows as not ended (one that completes or is being requeued
 * has not), sorted, malloc'ed. Returns their number, or -1 (EIO): no answer. */
int job_list_unended(uid_t uid, uint32_t **ids, struct err *err);

/* Ring the doorbell: SIGURG to the batch task only.  errno EPERM: neither owner nor operator;
 * ESRCH: it is over. */
int job_ring(const struct job *job, struct err *err);

/* The same for all tasks of one of its steps. */
int job_ring_step(const struct job *job, uint32_t step, struct err *err);

/* The cluster's name; NULL when libslurm does not tell. Static. */
const char *job_cluster(void);
/* ProctrackType in slurm.conf, the part after the slash; or NULL. */
const char *job_proctrack(void);

#endif
