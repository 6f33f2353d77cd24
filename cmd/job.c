/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/job.h"
#include "common/jobnote.h"
#include "common/slurmapi.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [JOB_PENDING] = "PENDING",     [JOB_RUNNING] = "RUNNING",     [JOB_SUSPENDED] = "SUSPENDED",
    [JOB_COMPLETE] = "COMPLETED",  [JOB_CANCELLED] = "CANCELLED", [JOB_FAILED] = "FAILED",
    [JOB_TIMEOUT] = "TIMEOUT",     [JOB_NODE_FAIL] = "NODE_FAIL", [JOB_PREEMPTED] = "PREEMPTED",
    [JOB_BOOT_FAIL] = "BOOT_FAIL", [JOB_DEADLINE] = "DEADLINE",   [JOB_OOM] = "OUT_OF_MEMORY",
};

static void start(void)
{
    static bool started;

    if (!started)
        slurm_init(NULL);
    started = true;
}

static void fill(const slurm_job_info_t *from, struct job *job)
{
    uint32_t base = from->job_state & JOB_STATE_BASE;

    memset(job, 0, sizeof *job);
    job->id = from->job_id;
    job->name.id = from->job_id;
    if (from->array_job_id != 0 && from->array_task_id != NO_VAL) {
        job->name.id = from->array_job_id;
        job->name.is_task = true;
        job->name.task = from->array_task_id;
    }
    job->uid = from->user_id;
    job->batch = from->batch_flag != 0;
    job->restarts = from->restart_cnt;
    job->submitted = (int64_t)from->submit_time;
    job->state = base < sizeof state_names / sizeof state_names[0] ? state_names[base] : "ended";
    job->requeueing = base == JOB_PENDING && from->restart_cnt > 0;
    /* A job that is being requeued is PENDING|COMPLETING at first, one that ends RUNNING never. */
    if (base == JOB_PENDING)
        job->phase = JOB_PHASE_PENDING;
    else if (base == JOB_SUSPENDED)
        job->phase = JOB_PHASE_SUSPENDED;
    else if (base == JOB_RUNNING && !(from->job_state & (JOB_COMPLETING | JOB_CONFIGURING)))
        job->phase = JOB_PHASE_RUNNING;
    else if (base == JOB_RUNNING && (from->job_state & JOB_CONFIGURING))
        job->phase = JOB_PHASE_PENDING;
    else
        job->phase = JOB_PHASE_OVER;
    if (base == JOB_RUNNING && job->phase != JOB_PHASE_RUNNING)
        job->state = job->phase == JOB_PHASE_OVER ? "COMPLETING" : "CONFIGURING";
}

/* The record that the name means.  For an array slurmctld sends the records of all its tasks; the
 * array's id is at the same time the id of one of them. */
static int choose(const job_info_msg_t *msg, const struct job_name *name, struct job *job,
                  struct err *err)
{
    const slurm_job_info_t *found = NULL;
    bool some_wait = false; /* tasks of an array that do not run yet share one record */

    for (uint32_t i = 0; i < msg->record_count && !found; i++) {
        const slurm_job_info_t *j = &msg->job_array[i];

        if (name->is_task ? j->array_job_id == name->id && j->array_task_id == name->task
                          : j->job_id == name->id)
            found = j;
        some_wait |= j->array_task_id == NO_VAL;
    }
    if (!name->is_task && found && msg->record_count > 1 && found->array_job_id == name->id) {
        errno = EINVAL;
        return err_set(err, "job %u is an array: name one task of it, like %u_%u", name->id,
                       name->id, found->array_task_id == NO_VAL ? 1 : found->array_task_id);
    }
    if (found) {
        fill(found, job);
        return 0;
    }
    errno = ESRCH;
    if (!name->is_task)
        return err_set(err, "Slurm does not know job %u (any more)", name->id);
    return err_set(err,
                   some_wait ? "job %u_%u does not run (PENDING, or no task of the array)"
                             : "Slurm does not know job %u_%u (any more)",
                   name->id, name->task);
}

/* The records of a job, or of all tasks of an array. */
static int load(uint32_t id, job_info_msg_t **msg, struct err *err)
{
    start();
    if (slurmapi_load_job(msg, id, SHOW_ALL) != SLURM_SUCCESS) {
        int code = slurmapi_errno();

        *msg = NULL;
        if (code == ESLURM_INVALID_JOB_ID) {
            errno = ESRCH;
            return err_set(err, "Slurm does not know job %u (any more)", id);
        }
        errno = EIO;
        return err_set(err, "cannot ask slurmctld about job %u: %s", id, slurm_strerror(code));
    }
    return 0;
}

int job_load(const struct job_name *name, struct job *job, struct err *err)
{
    job_info_msg_t *msg = NULL;
    int rc, saved;

    if (load(name->id, &msg, err) < 0)
        return -1;
    rc = choose(msg, name, job, err);
    saved = errno;
    slurm_free_job_info_msg(msg);
    errno = saved;
    return rc;
}

uint32_t job_of_sluid(uint64_t sluid)
{
    job_info_msg_t *msg = NULL;
    uint32_t id = 0;

    start();
    if (slurmapi_load_sluid(&msg, sluid, SHOW_ALL) != SLURM_SUCCESS)
        return 0;
    if (msg->record_count == 1)
        id = msg->job_array[0].job_id;
    slurm_free_job_info_msg(msg);
    return id;
}

int job_load_all(const struct job_name *name, struct job **jobs, unsigned *waiting, struct err *err)
{
    job_info_msg_t *msg = NULL;
    struct job one, *list;
    int n = 0;

    *waiting = 0;
    if (name->is_task) {
        if (job_load(name, &one, err) < 0)
            return -1;
        n = 1;
    } else if (load(name->id, &msg, err) < 0) {
        return -1;
    }
    list = calloc(msg ? (size_t)msg->record_count + 1 : 1, sizeof *list);
    if (list && n == 1)
        list[0] = one;
    for (uint32_t i = 0; list && msg && i < msg->record_count; i++) {
        const slurm_job_info_t *j = &msg->job_array[i];

        if (j->array_job_id != 0 && j->array_task_id == NO_VAL)
            (*waiting)++;
        else if (j->job_id == name->id || j->array_job_id == name->id)
            fill(j, &list[n++]);
    }
    slurm_free_job_info_msg(msg);
    if (!list)
        return err_sys(err, "no memory");
    if (n == 0) {
        free(list);
        errno = ESRCH;
        return err_set(err,
                       *waiting ? "no task of array %u runs (PENDING)"
                                : "Slurm does not know job %u (any more)",
                       name->id);
    }
    *jobs = list;
    return n;
}

static bool has_ended(const slurm_job_info_t *j)
{
    const uint32_t more = JOB_COMPLETING | JOB_REQUEUE | JOB_REQUEUE_HOLD | JOB_SPECIAL_EXIT;

    return (j->job_state & JOB_STATE_BASE) >= JOB_COMPLETE && !(j->job_state & more);
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

int job_list_unended(uid_t uid, uint32_t **ids, struct err *err)
{
    job_info_msg_t *msg = NULL;
    uint32_t *list;
    int n = 0;

    start();
    if (slurm_load_job_user(&msg, uid, SHOW_ALL) != SLURM_SUCCESS) {
        int code = slurmapi_errno(); /* before errno, where some releases keep it */

        errno = EIO;
        return err_set(err, "cannot ask slurmctld which jobs have ended: %s", slurm_strerror(code));
    }
    list = calloc((size_t)msg->record_count + 1, sizeof *list);
    for (uint32_t i = 0; list && i < msg->record_count; i++)
        if (!has_ended(&msg->job_array[i]))
            list[n++] = msg->job_array[i].job_id;
    slurm_free_job_info_msg(msg);
    if (!list)
        return err_sys(err, "no memory");
    qsort(list, (size_t)n, sizeof *list, by_value);
    *ids = list;
    return n;
}

/* By number, the array's task that has the array's id would stand for all of them. */
static void put_name(const struct job *job, char name[32])
{
    if (job->name.is_task)
        snprintf(name, 32, "%u_%u", job->name.id, job->name.task);
    else
        snprintf(name, 32, "%u", job->id);
}

/* What slurmctld did not want to do. */
static int job_fail(const char *name, const char *what, struct err *err)
{
    int code = slurmapi_errno();

    switch (code) {
    case ESLURM_USER_ID_MISSING:
    case ESLURM_ACCESS_DENIED:
        errno = EPERM;
        return err_set(err, "job %s is neither yours nor are you an operator", name);
    case ESLURM_INVALID_JOB_ID:
    case ESLURM_ALREADY_DONE:
    case ESLURM_TRANSITION_STATE_NO_UPDATE:
        errno = ESRCH;
        return err_set(err, "job %s has just ended", name);
    default:
        errno = EIO;
        return err_set(err, "cannot %s job %s: %s", what, name, slurm_strerror(code));
    }
}

int job_ring(const struct job *job, struct err *err)
{
    char name[32];

    start();
    put_name(job, name);
    if (slurm_kill_job2(name, SIGURG, KILL_JOB_BATCH, NULL) == SLURM_SUCCESS)
        return 0;
    return job_fail(name, "signal", err);
}

int job_ring_step(const struct job *job, uint32_t step, struct err *err)
{
    char name[48];

    start();
    snprintf(name, sizeof name, "%u.%u", job->id, step);
    if (slurmapi_signal_step(job->id, step, SIGURG) == SLURM_SUCCESS)
        return 0;
    return job_fail(name, "signal", err);
}

int job_requeue(const struct job *job, bool hold, struct err *err)
{
    char name[32];

    start();
    put_name(job, name);
    if (slurmapi_requeue(job->id, hold ? JOB_REQUEUE_HOLD : 0) == SLURM_SUCCESS)
        return 0;
    return job_fail(name, hold ? "requeue and hold" : "requeue", err);
}

/* An array's id brings its tasks along.  NULL: it is not among them. */
static const slurm_job_info_t *record_of(const job_info_msg_t *msg, uint32_t id)
{
    for (uint32_t i = 0; i < msg->record_count; i++)
        if (msg->job_array[i].job_id == id)
            return &msg->job_array[i];
    return NULL;
}

/* j: NULL is fine. */
static void take_note(const slurm_job_info_t *j, char note[512])
{
    note[0] = '\0';
    if (j && j->comment)
        jobnote_get(j->comment, note, 512);
    err_clean(note);
}

int job_note(const struct job *job, char note[512], struct err *err)
{
    job_info_msg_t *msg = NULL;

    if (load(job->id, &msg, err) < 0)
        return -1;
    take_note(record_of(msg, job->id), note);
    slurm_free_job_info_msg(msg);
    return 0;
}

/* "TIME: WHY; held: scontrol release 12 tries again" (spank/shepherd_start.c) */
static bool split_held(const char *note, char when[32], char why[512])
{
    const char *colon = strstr(note, ": ");
    const char *end = strstr(note, "; held: scontrol release ");

    if (!colon || !end || colon + 2 > end || colon - note >= 32)
        return false;
    snprintf(when, 32, "%.19sZ", note); /* without its milliseconds */
    snprintf(why, 512, "%.*s", (int)(end - colon - 2), colon + 2);
    return true;
}

bool job_held(uint32_t id, char when[32], char why[512])
{
    job_info_msg_t *msg = NULL;
    const slurm_job_info_t *j;
    char note[512];
    bool held;

    if (load(id, &msg, NULL) < 0)
        return false;
    j = record_of(msg, id);
    held = j && (j->job_state & JOB_STATE_BASE) == JOB_PENDING && j->priority == 0;
    take_note(held ? j : NULL, note);
    slurm_free_job_info_msg(msg);
    return split_held(note, when, why);
}

int job_resolve(const char *text, uint32_t *id, struct err *err)
{
    struct job_name name;
    struct job job;

    if (!job_parse_name(text, &name)) {
        errno = EINVAL;
        return err_set(err, "not a job id: %s (12, or 12_3 for a task of an array)", text);
    }
    if (name.is_task && job_load(&name, &job, err) < 0)
        return -1;
    *id = name.is_task ? job.id : name.id;
    return 0;
}

const char *job_cluster(void)
{
    const slurm_conf_t *conf;

    start();
    /* A variable of libslurm's that slurm.h gives the type of, but does not declare;
     * slurm_load_ctl_conf() would bother slurmctld for it. */
    conf = dlsym(RTLD_DEFAULT, "slurm_conf");
    return conf ? conf->cluster_name : NULL;
}

const char *job_proctrack(void)
{
    const slurm_conf_t *conf;
    const char *slash;

    start();
    conf = dlsym(RTLD_DEFAULT, "slurm_conf");
    slash = conf && conf->proctrack_type ? strrchr(conf->proctrack_type, '/') : NULL;
    return slash ? slash + 1 : NULL;
}
