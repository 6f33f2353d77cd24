/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/clerk.h"
#include "spank/shepherd.h"

static int load_job(void *arg, void *result, struct err *err)
{
    const uint32_t *job = arg;

    return slurmjob_load(*job, result, err);
}

int shepherd_slurm_load(struct shepherd *s, int timeout_ms, struct slurmjob *job)
{
    uint32_t id = s->facts.job;

    return clerk_run(load_job, &id, job, sizeof *job, timeout_ms, NULL);
}

enum slurmjob_state shepherd_ask_slurm(struct shepherd *s, int timeout_ms)
{
    struct slurmjob job;

    if (shepherd_slurm_load(s, timeout_ms, &job) < 0)
        return SLURMJOB_UNKNOWN;
    /* A requeued job may be running again somewhere else by now. */
    if (job.state == SLURMJOB_RUNNING && job.restart_count > s->facts.epoch)
        return SLURMJOB_REQUEUED;
    return job.state;
}

static int requeue_job(void *arg, void *result, struct err *err)
{
    const uint32_t *job = arg;

    (void)result;
    return slurmjob_requeue(*job, false, err);
}

int shepherd_slurm_requeue(struct shepherd *s, struct err *err)
{
    uint32_t job = s->facts.job;
    int rc = -1;

    for (int i = 0; i < 3 && rc < 0; i++)
        rc = clerk_run(requeue_job, &job, NULL, 0, 5000, err);
    return rc;
}
