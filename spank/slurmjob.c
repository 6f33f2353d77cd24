/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slurmjob.h"

#include <errno.h>
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <string.h>

/* slurm_requeue()'s first argument, and the opaque parts of the job record, differ between
 * releases: nothing outside this file sees them. */

static int fail(const char *what, uint32_t job, struct err *err)
{
    int code = slurm_get_errno();

    err_set(err, "%s job %u: %s", what, job, slurm_strerror(code));
    errno = EIO;
    return -1;
}

static enum slurmjob_state state_of(const slurm_job_info_t *job)
{
    switch (job->job_state & JOB_STATE_BASE) {
    case JOB_PENDING:
        return SLURMJOB_REQUEUED;
    case JOB_RUNNING:
    case JOB_SUSPENDED:
        return SLURMJOB_RUNNING;
    case JOB_CANCELLED:
        return SLURMJOB_CANCELLED;
    case JOB_TIMEOUT:
    case JOB_DEADLINE:
        return SLURMJOB_TIMEOUT;
    case JOB_PREEMPTED:
        return job->requeue ? SLURMJOB_REQUEUED : SLURMJOB_ENDED;
    default:
        return SLURMJOB_ENDED;
    }
}

int slurmjob_load(uint32_t job, struct slurmjob *out, struct err *err)
{
    job_info_msg_t *msg = NULL;

    slurm_init(NULL);
    if (slurm_load_job(&msg, job, SHOW_DETAIL) != SLURM_SUCCESS)
        return fail("cannot ask slurmctld about", job, err);
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < msg->record_count; i++) {
        const slurm_job_info_t *j = &msg->job_array[i];

        if (j->job_id != job)
            continue;
        out->state = state_of(j);
        out->restart_count = j->restart_cnt;
        out->may_requeue = j->requeue != 0;
        out->start_time = (int64_t)j->start_time;
        out->end_time = (int64_t)j->end_time;
    }
    slurm_free_job_info_msg(msg);
    return 0;
}

int slurmjob_requeue(uint32_t job, bool hold, struct err *err)
{
    slurm_init(NULL);
    if (slurm_requeue(job, hold ? JOB_SPECIAL_EXIT | JOB_REQUEUE_HOLD : 0) != SLURM_SUCCESS)
        return fail(hold ? "cannot requeue and hold" : "cannot requeue", job, err);
    return 0;
}

int slurmjob_comment(uint32_t job, const char *text, struct err *err)
{
    job_desc_msg_t desc;
    char copy[512];

    slurm_init(NULL);
    slurm_init_job_desc_msg(&desc);
    strncpy(copy, text, sizeof copy - 1);
    copy[sizeof copy - 1] = '\0';
    desc.job_id = job;
    desc.comment = copy;
    if (slurm_update_job(&desc) != SLURM_SUCCESS)
        return fail("cannot set the comment of", job, err);
    return 0;
}
