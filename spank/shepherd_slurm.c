/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* KillWait, and an epilog */
#define SOURCE_ENDS_S 60

static int load_job(void *arg, void *result, struct err *err)
{
    const uint32_t *job = arg;

    return slurmjob_load(*job, result, err);
}

struct load_work {
    const struct facts *facts;
    int64_t since;
};

static int load_once(void *arg, void *result, struct err *err)
{
    const struct load_work *w = arg;

    return shepherd_asked_load(w->facts, w->since, result, err);
}

int shepherd_slurm_load(struct shepherd *s, int timeout_ms, struct slurmjob *job)
{
    struct load_work w = {&s->facts, shepherd_asked_now()};

    if (!s->step)
        return clerk_run(load_job, &s->facts.job, job, sizeof *job, timeout_ms, NULL);
    return clerk_run(load_once, &w, job, sizeof *job, timeout_ms, NULL);
}

enum slurmjob_state shepherd_ask_slurm(struct shepherd *s, int timeout_ms)
{
    struct slurmjob job;

    if (shepherd_slurm_load(s, timeout_ms, &job) < 0)
        return SLURMJOB_UNKNOWN;
    /* A requeued job may be running again somewhere else by now. */
    if (job.state == SLURMJOB_RUNNING && job.restart_count > s->facts.epoch)
        return SLURMJOB_REQUEUED;
    /* slurmctld forgets it when the last process has ended. */
    if (job.state == SLURMJOB_REQUEUED)
        s->preempted = job.preempted;
    return job.state;
}

struct requeue_work {
    const struct facts *facts;
    enum slurmjob_how how;
};

static int requeue_job(void *arg, void *result, struct err *err)
{
    const struct requeue_work *w = arg;

    (void)result;
    /* It would be the successor's end. */
    if (shepherd_fence_open(w->facts, err) < 0 && errno == ESTALE)
        return -1;
    return slurmjob_requeue(w->facts->job, w->how, err);
}

int shepherd_slurm_requeue(struct shepherd *s, enum slurmjob_how how, struct err *err)
{
    struct requeue_work w = {&s->facts, how};
    int rc = -1;

    errno = 0;
    for (int i = 0; i < 3 && rc < 0 && errno != ESTALE; i++)
        rc = clerk_run(requeue_job, &w, NULL, 0, 5000, err);
    return rc;
}

struct note_work {
    uint32_t job;
    char text[400];
};

static int note_job(void *arg, void *result, struct err *err)
{
    const struct note_work *w = arg;

    (void)result;
    return slurmjob_note(w->job, w->text, err);
}

void shepherd_slurm_note(struct shepherd *s, const char *fmt, ...)
{
    struct note_work w = {.job = s->facts.job};
    va_list ap;

    if (s->step) /* one comment, many tasks */
        return;
    va_start(ap, fmt);
    vsnprintf(w.text, sizeof w.text, fmt, ap);
    va_end(ap);
    err_clean(w.text);
    clerk_run(note_job, &w, NULL, 0, 5000, NULL);
}

static bool has_ended(const struct slurmjob *job)
{
    return job->state != SLURMJOB_RUNNING && job->state != SLURMJOB_REQUEUED;
}

int shepherd_slurm_source_ended(struct shepherd *s, struct err *err)
{
    uint32_t id = s->facts.source_job;
    struct slurmjob job;

    for (int i = 0; i < SOURCE_ENDS_S; i++) {
        if (clerk_run(load_job, &id, &job, sizeof job, 5000, err) < 0)
            return errno == ESRCH ? 0 : -1;
        errno = EBUSY;
        if (!has_ended(&job))
            return err_set(
                err,
                "job %u, whose checkpoint this one is to begin with, has not ended (it %s): "
                "scancel %u first",
                id, job.state == SLURMJOB_RUNNING ? "runs" : "waits in the queue", id);
        if (!job.completing)
            return 0;
        sleep(1);
    }
    errno = EBUSY;
    return err_set(err, "job %u is still being ended", id);
}
