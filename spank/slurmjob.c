/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slurmjob.h"
#include "common/jobnote.h"
#include "common/slurmapi.h"

#include <limits.h>
#include <signal.h>
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The opaque parts of the job record differ between
 * releases: nothing outside this file sees them. */

struct output {
    char out[PATH_MAX], err[PATH_MAX];
};

static void output_of(slurm_job_info_t *j, struct output *o)
{
    memset(o, 0, sizeof *o);
    slurm_get_job_stdout(o->out, sizeof o->out - 1, j);
    slurmapi_job_stderr(o->err, sizeof o->err - 1, j);
}

/* An interactive job has none. */
static bool same(const char *a, const char *b)
{
    return a[0] && !strcmp(a, b);
}

static bool meet(const struct output *a, const struct output *b)
{
    return same(a->out, b->out) || same(a->out, b->err) || same(a->err, b->out) ||
           same(a->err, b->err);
}

/* Would the next job, or the next task of the array, write elsewhere? */
static bool depends_on_number(const slurm_job_info_t *j, const struct output *own)
{
    slurm_job_info_t next = *j;
    struct output other;

    slurmapi_renumber(&next, next.job_id + 1);
    if (j->array_job_id)
        next.array_task_id++;
    output_of(&next, &other);
    return !meet(own, &other);
}

static bool alone_among(job_info_msg_t *msg, uint32_t job)
{
    slurm_job_info_t *own = NULL;
    struct output mine, other;

    for (uint32_t i = 0; i < msg->record_count && !own; i++)
        if (msg->job_array[i].job_id == job)
            own = &msg->job_array[i];
    if (!own)
        return false;
    output_of(own, &mine);
    if (!mine.out[0])
        return false;
    if (depends_on_number(own, &mine))
        return true;
    if (own->array_job_id)
        return false;
    for (uint32_t i = 0; i < msg->record_count; i++) {
        if (&msg->job_array[i] == own)
            continue;
        output_of(&msg->job_array[i], &other);
        if (meet(&mine, &other))
            return false;
    }
    return true;
}

int slurmjob_output_alone(uint32_t job, uint32_t uid, bool *alone, struct err *err)
{
    job_info_msg_t *msg = NULL;

    slurm_init(NULL);
    if (slurm_load_job_user(&msg, uid, SHOW_ALL) != SLURM_SUCCESS)
        return slurmjob_fail("cannot ask slurmctld about jobs beside", job, err);
    *alone = alone_among(msg, job);
    slurm_free_job_info_msg(msg);
    return 0;
}

int slurmjob_requeue(uint32_t job, enum slurmjob_how how, struct err *err)
{
    static const uint32_t flags[] = {
        [SLURMJOB_AGAIN] = 0,
        [SLURMJOB_HELD] = JOB_REQUEUE_HOLD,
        [SLURMJOB_SPECIAL] = JOB_SPECIAL_EXIT | JOB_REQUEUE_HOLD,
    };

    slurm_init(NULL);
    if (slurmapi_requeue(job, flags[how]) != SLURM_SUCCESS)
        return slurmjob_fail(how == SLURMJOB_AGAIN ? "cannot requeue" : "cannot requeue and hold",
                             job, err);
    return 0;
}

int slurmjob_delay(uint32_t job, int64_t when, struct err *err)
{
    job_desc_msg_t desc;

    slurm_init(NULL);
    slurmapi_init_update(&desc, job);
    desc.begin_time = (time_t)when;
    if (slurm_update_job(&desc) != SLURM_SUCCESS)
        return slurmjob_fail("cannot delay", job, err);
    return 0;
}

int slurmjob_ring_steps(uint32_t job, struct err *err)
{
    slurm_init(NULL);
    if (slurm_signal_job(SLURMAPI_JOB(job), SIGURG) != SLURM_SUCCESS)
        return slurmjob_fail("cannot signal the steps of", job, err);
    return 0;
}

/* malloc'ed; NULL: it cannot be known. */
static char *comment_of(uint32_t job)
{
    job_info_msg_t *msg = NULL;
    char *comment = NULL;

    if (slurmapi_load_job(&msg, job, SHOW_DETAIL) != SLURM_SUCCESS)
        return NULL;
    for (uint32_t i = 0; i < msg->record_count && !comment; i++)
        if (msg->job_array[i].job_id == job)
            comment = strdup(msg->job_array[i].comment ? msg->job_array[i].comment : "");
    slurm_free_job_info_msg(msg);
    return comment;
}

int slurmjob_note(uint32_t job, const char *text, struct err *err)
{
    job_desc_msg_t desc;
    char day[32] = "", when[48], most[401], *own, *all;
    struct timespec now;
    struct tm tm;
    int rc;

    slurm_init(NULL);
    own = comment_of(job);
    if (!own) /* it would be lost */
        return slurmjob_fail("cannot read the comment of", job, err);
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when, sizeof when, "%s.%03ldZ", day, now.tv_nsec / 1000000);
    snprintf(most, sizeof most, "%s", text);
    all = jobnote_put(own, when, most);
    free(own);
    if (!all)
        return err_sys(err, "the comment of job %u", job);
    slurmapi_init_update(&desc, job);
    desc.comment = all;
    rc = slurm_update_job(&desc) != SLURM_SUCCESS
             ? slurmjob_fail("cannot set the comment of", job, err)
             : 0;
    free(all);
    return rc;
}
