/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/slurmapi.h"
#include "spank/slurmjob.h"

#include <errno.h>
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <string.h>

int slurmjob_fail(const char *what, uint32_t job, struct err *err)
{
    int code = slurmapi_errno();

    err_set(err, "%s job %u: %s", what, job, slurm_strerror(code));
    if (code == ESLURM_INVALID_JOB_ID)
        errno = ESRCH;
    else if (code >= ESLURM_INVALID_PARTITION_NAME && code < ESPANK_ERROR)
        errno = EIO;
    else /* of the connection, or of munge */
        errno = EAGAIN;
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

static bool has_node(const slurm_job_info_t *j, const char *node, bool batch)
{
    slurmapi_hostlist list;
    bool has;

    if (batch && j->batch_host)
        return strcmp(j->batch_host, node) == 0;
    list = j->nodes ? slurm_hostlist_create(j->nodes) : NULL;
    has = list && slurm_hostlist_find(list, node) >= 0;
    if (list)
        slurm_hostlist_destroy(list);
    return has;
}

int slurmjob_load_at(uint32_t job, const char *node, bool batch, struct slurmjob *out, bool *here,
                     struct err *err)
{
    job_info_msg_t *msg = NULL;

    slurm_init(NULL);
    if (slurmapi_load_job(&msg, job, SHOW_DETAIL) != SLURM_SUCCESS)
        return slurmjob_fail("cannot ask slurmctld about", job, err);
    memset(out, 0, sizeof *out);
    *here = false;
    for (uint32_t i = 0; i < msg->record_count; i++) {
        const slurm_job_info_t *j = &msg->job_array[i];

        if (j->job_id != job)
            continue;
        out->state = state_of(j);
        out->restart_count = j->restart_cnt;
        out->batch = j->batch_flag != 0;
        out->may_requeue = j->requeue != 0 && out->batch;
        out->start_time = (int64_t)j->start_time;
        out->end_time = (int64_t)j->end_time;
        out->completing = (j->job_state & JOB_COMPLETING) != 0;
        out->preempted = j->preempt_time != 0 && j->preempt_time >= j->start_time;
        *here = out->state == SLURMJOB_RUNNING && !out->completing && has_node(j, node, batch);
    }
    slurm_free_job_info_msg(msg);
    return 0;
}

int slurmjob_load(uint32_t job, struct slurmjob *out, struct err *err)
{
    bool here;

    return slurmjob_load_at(job, "", false, out, &here, err);
}
