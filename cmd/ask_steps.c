/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/base.h"
#include "common/io.h"
#include "spank/steps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ask_steps_live(const struct ask *k)
{
    struct steps_live live;

    return steps_live_read(k->taskfd, &live, NULL) == 0 && live.epoch == k->job.restarts;
}

static bool is_live(const char *path, const struct base_job *task, const struct job *job)
{
    struct steps_live live;
    int fd = base_open_task(path, task, NULL);
    bool ok = fd >= 0 && steps_live_read(fd, &live, NULL) == 0 && live.epoch == job->restarts;

    io_close(&fd);
    return ok;
}

int ask_steps_each(const struct cmd *c, const struct job *job, const struct job_name *name,
                   int (*fn)(void *arg, const char *task, uint32_t step), void *arg)
{
    struct base_job found, *tasks = NULL;
    char path[PATH_MAX];
    int n, rc = 0;

    /* What is wrong with the directory, the job itself tells. */
    if (base_path(c, path, NULL) < 0 || base_find(path, job->id, job_cluster(), &found, NULL) < 0)
        return 0;
    n = base_tasks(path, &found, &tasks, NULL);
    for (int i = 0; i < n && rc == 0; i++)
        if (tasks[i].is_step && (!name->has_step || name->step == tasks[i].step) &&
            (!name->has_taskid || name->taskid == tasks[i].taskid) && is_live(path, &tasks[i], job))
            rc = fn(arg, tasks[i].task, tasks[i].step);
    free(tasks);
    return rc;
}

static int count(void *arg, const char *task, uint32_t step)
{
    (void)task;
    (void)step;
    ++*(unsigned *)arg;
    return 0;
}

/* Did it have checkpoints of such a step, some time? */
static bool has_known(const struct cmd *c, const struct job *job, uint32_t step)
{
    struct base_job found, *tasks = NULL;
    char path[PATH_MAX];
    bool known = false;
    int n;

    if (base_path(c, path, NULL) < 0 || base_find(path, job->id, job_cluster(), &found, NULL) < 0)
        return false;
    n = base_tasks(path, &found, &tasks, NULL);
    for (int i = 0; i < n; i++)
        known |= tasks[i].is_step && tasks[i].step == step && tasks[i].epoch == job->restarts;
    free(tasks);
    return known;
}

void ask_steps_none(const struct cmd *c, const struct job *job, const struct job_name *name,
                    struct err *err)
{
    struct job_name step = *name;
    unsigned live = 0;

    step.has_taskid = false;
    if (job->phase != JOB_PHASE_RUNNING)
        err_set(err, "job %u does not run (%s)", job->id, job->state);
    else if (job->uid != geteuid())
        err_set(err,
                "job %u is not yours: an operator may ask all of it only: scheckpoint create %u",
                job->id, job->id);
    else if (name->has_taskid && ask_steps_each(c, job, &step, count, &live) == 0 && live > 0)
        err_set(err, "step %u.%u has no task %u that is checkpointed (of it %u %s)", job->id,
                name->step, name->taskid, live, live == 1 ? "is" : "are");
    else if (has_known(c, job, name->step))
        err_set(err, "step %u.%u has ended", job->id, name->step);
    else
        err_set(
            err,
            "job %u has no step %u with checkpoints: it does not run (squeue --steps --job %u), "
            "or was started without them",
            job->id, name->step, job->id);
}
