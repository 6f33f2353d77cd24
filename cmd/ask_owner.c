/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/base.h"
#include "cmd/text.h"
#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_SLURM_MS 3000    /* does the job still run? */
#define RING_AGAIN_MS 10000  /* a request that nobody took */
#define CLOCK_SKEW_S 600     /* between file server and slurmctld */
#define LATE_ANSWER_MS 30000 /* of a run that is over, by a filesystem that is slow to show it */
#define RESTORED_MS 5000     /* in a restored job: does its new shepherd know the request? */

static int make_id(char id[33], struct err *err)
{
    unsigned char raw[16];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return err_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(id + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

/* The directory of this very job, not of one that had its id before. */
static int open_task(const struct cmd *c, const struct job *job, const char *task, struct err *err)
{
    char path[PATH_MAX];
    struct base_job found;
    struct err why = {{0}};

    if (base_path(c, path, err) < 0)
        return -1;
    if (base_find(path, job->id, job_cluster(), &found, &why) < 0)
        return err_set(err,
                       errno == ESRCH ? "%s. It was not submitted with --checkpoint, or its node "
                                        "did not load the plugin: scheckpoint doctor tells there"
                                      : "%s",
                       why.text);
    if (found.changed.tv_sec < job->submitted - CLOCK_SKEW_S) {
        errno = ESRCH;
        return err_set(err, "what is in %s for job %u is of an earlier job of that id", path,
                       job->id);
    }
    return base_open(path, &found, task, err);
}

/* Has nobody taken the request yet? */
static bool is_waiting(const struct ask *k)
{
    char name[48];
    struct stat st;
    int fd = gendir_open_dir(k->taskfd, REQUEST_DIR, NULL);
    bool there;

    snprintf(name, sizeof name, "%s.json", k->request.id);
    there = fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    io_close(&fd);
    return there;
}

static bool take_back(const struct ask *k)
{
    char name[48];
    int fd = gendir_open_dir(k->taskfd, REQUEST_DIR, NULL);
    bool done;

    snprintf(name, sizeof name, "%s.json", k->request.id);
    done = fd >= 0 && unlinkat(fd, name, 0) == 0;
    io_close(&fd);
    return done;
}

static int send_request(struct ask *k, struct err *err)
{
    char path[PATH_MAX];
    int error;

    memset(&k->request, 0, sizeof k->request);
    snprintf(k->request.verb, sizeof k->request.verb, "%s", k->kind->verb);
    if (make_id(k->request.id, err) < 0)
        return -1;
    if (request_put(k->taskfd, &k->request, err) < 0) {
        error = errno;
        if (base_path(k->c, path, NULL) < 0)
            *path = '\0';
        errno = error;
        return *path ? err_dir(err, path) : -1;
    }
    if (ask_is_step(k))
        return 0; /* ask.c rings */
    /* Slurm delivers no signals to a job that it ends; then the shepherd looks by itself. */
    if (job_ring(&k->job, err) == 0 || (k->kind->counts && k->self == k->job.id))
        return 0;
    take_back(k);
    return -1;
}

void ask_owner_begin(struct ask *k)
{
    struct err err = {{0}};

    k->taskfd = open_task(k->c, &k->job, k->task, &err);
    if (k->taskfd < 0) {
        int status = errno == ESRCH ? CMD_REFUSED : CMD_FAILED;

        ask_end(k, status, status == CMD_REFUSED ? "refused" : "failed", NULL, "%s", err.text);
    } else if (send_request(k, &err) < 0) {
        int status = errno == EPERM || errno == ESRCH ? CMD_REFUSED : CMD_FAILED;

        ask_end(k, status, status == CMD_REFUSED ? "refused" : "failed", NULL, "%s", err.text);
    } else if (k->c->no_wait) {
        ask_end(k, CMD_DONE, "asked", NULL, "asked for a %s%s", k->kind->wish,
                k->kind->counts ? "" : "; scheckpoint list shows it when it is made");
    }
}

void ask_owner_close(struct ask *k)
{
    io_close(&k->taskfd);
}

static void end_counted(struct ask *k, const struct answer *a)
{
    if (strcmp(a->state, "done") != 0)
        ask_end(k, CMD_REFUSED, "refused", a, "%s", a->text);
    else if (a->disabled == 0)
        ask_end(k, CMD_DONE, "done", a, "checkpoints enabled");
    else if (strcmp(k->kind->verb, "enable") == 0)
        ask_end(k, CMD_DONE, "done", a, "checkpoints are still disabled (%u)", a->disabled);
    else
        ask_end(k, CMD_DONE, "done", a, "checkpoints disabled (%u)", a->disabled);
}

static void end_answered(struct ask *k, const struct answer *a)
{
    char pause[16], raw[16], stored[16], total[16];

    if (k->kind->counts) {
        end_counted(k, a);
        return;
    }
    if (k->kind->looks && strcmp(a->state, "refused") != 0) {
        ask_end_able(k, a);
        return;
    }
    if (strcmp(a->state, "done") != 0) {
        bool refused = strcmp(a->state, "refused") == 0;

        ask_end(k, refused ? CMD_REFUSED : CMD_FAILED, a->state, a, "%s%s%s",
                refused || strncmp(a->text, SAVED_ONLY, strlen(SAVED_ONLY)) == 0 ? ""
                                                                                 : "not saved: ",
                a->text, k->kind->requeues ? " (the job runs on)" : "");
        return;
    }
    if (!a->generation[0]) { /* a script that runs srun: it has none */
        ask_end(k, CMD_DONE, "done", a, "%s%s",
                a->text[0] ? a->text
                           : "the script runs srun and will begin anew, its steps go on from their "
                             "own checkpoints",
                k->kind->holds      ? "; requeued and held (scontrol release)"
                : k->kind->requeues ? "; requeued"
                                    : "");
        return;
    }
    text_microseconds(a->pause_us, pause);
    text_microseconds((uint64_t)a->total_ms * 1000, total);
    text_bytes(a->raw_bytes, raw);
    text_bytes(a->stored_bytes, stored);
    ask_end(k, CMD_DONE, "done", a, "%s: paused %s, %s of data, %s stored, %s in all%s",
            a->generation, pause, raw, stored, total,
            k->kind->holds      ? "; requeued and held (scontrol release)"
            : k->kind->requeues ? "; requeued"
                                : "");
    if (a->text[0])
        fprintf(stderr, "scheckpoint: %s: %s\n", k->label, a->text);
}

static void timed_out(struct ask *k)
{
    long long seconds = (long long)(k->limit_ms / 1000);

    if (take_back(k))
        ask_end(k, CMD_TIMEOUT, "timeout", NULL,
                "nobody took the request within %lld s; it has been withdrawn", seconds);
    else
        ask_end(k, CMD_TIMEOUT, "timeout", NULL,
                "no result within %lld s; the checkpoint may still be made (scheckpoint list %u)",
                seconds, k->job.id);
}

/* This process was in the job's tree, and was restored with it, in the same job or (restore=) in another:
 * so there is a checkpoint with it in it. What counts disables begins anew there. */
static void restored(struct ask *k, int64_t elapsed)
{
    struct job_name name = {.id = job_self()};
    struct err err = {{0}};
    struct job *jobs = NULL;
    unsigned waiting;
    int n;

    if (strcmp(k->kind->verb, "disable") != 0) {
        ask_end(k, CMD_DONE, "restored", NULL, "the job goes on from a checkpoint");
        return;
    }
    if (k->gone_ms == 0)
        k->gone_ms = elapsed;
    if (is_waiting(k) || elapsed - k->gone_ms < RESTORED_MS)
        return;
    n = job_load_all(&name, &jobs, &waiting, &err);
    for (int i = 0; i < n; i++)
        if (jobs[i].id == name.id) {
            k->job = jobs[i];
            k->self = name.id;
        }
    free(jobs);
    k->gone_ms = 0;
    io_close(&k->taskfd);
    k->taskfd = open_task(k->c, &k->job, k->task, &err);
    if (k->taskfd < 0 || send_request(k, &err) < 0)
        ask_end(k, CMD_FAILED, "failed", NULL, "%s", err.text);
}

/* The run of the job that was asked is over. */
static void gone(struct ask *k, const struct job *now, int64_t elapsed)
{
    if (k->gone_ms == 0)
        k->gone_ms = elapsed;
    if (k->kind->requeues && elapsed - k->gone_ms < LATE_ANSWER_MS)
        return; /* that is what was asked for */
    take_back(k);
    if (now->restarts != k->job.restarts || now->requeueing)
        ask_end(k, CMD_FAILED, "failed", NULL, "it was requeued before the %s was made",
                k->kind->wish);
    else
        ask_end(k, CMD_FAILED, "failed", NULL, "it ended (%s) before the %s was made", now->state,
                k->kind->wish);
}

/* It was suspended behind the request.  One that it has taken goes on with it: no time limit counts meanwhile. */
static void suspended(struct ask *k)
{
    if (is_waiting(k) && take_back(k)) {
        ask_end(k, CMD_REFUSED, "refused", NULL, "it is suspended: scontrol resume %u first",
                k->job.id);
        return;
    }
    k->now = "suspended; it goes on with the job";
    k->limit_ms += ASK_SLURM_MS;
}

static void ask_slurm(struct ask *k, int64_t elapsed)
{
    struct job now;
    struct answer last;
    uint32_t self = job_self();

    if (ask_is_step(k) && !ask_steps_live(k) &&
        !(answer_get(k->taskfd, k->request.id, &last, NULL) == 1 &&
          strcmp(last.state, "running"))) {
        take_back(k);
        ask_end(k, CMD_FAILED, "failed", NULL, "it ended before the checkpoint was made");
        return;
    }

    if (k->self && self && self != k->self) { /* restored in another job */
        restored(k, elapsed);
        return;
    }
    if (job_load(&k->job.name, &now, NULL) < 0) {
        if (errno == ESRCH)
            ask_end(k, CMD_FAILED, "failed", NULL, "Slurm does not know it any more");
        return;
    }
    if (now.phase == JOB_PHASE_SUSPENDED) {
        suspended(k);
        return;
    }
    if (now.restarts == k->job.restarts && !now.requeueing && now.phase != JOB_PHASE_OVER)
        return;
    /* It may have answered just before. */
    if (answer_get(k->taskfd, k->request.id, &last, NULL) == 1 && strcmp(last.state, "running"))
        return;
    if (k->self == k->job.id && now.phase == JOB_PHASE_RUNNING)
        restored(k, elapsed);
    else if (!k->self || k->self != k->job.id)
        gone(k, &now, elapsed);
}

void ask_owner_step(struct ask *k, int64_t elapsed)
{
    struct err err = {{0}};
    struct answer a;
    int got = answer_get(k->taskfd, k->request.id, &a, &err);

    if (got < 0) {
        ask_end(k, CMD_FAILED, "failed", NULL, "%s", err.text);
        return;
    }
    if (got == 1 && strcmp(a.state, "running") != 0) {
        (void)answer_remove(k->taskfd, k->request.id);
        end_answered(k, &a);
        free(a.findings);
        return;
    }
    if (got == 1) {
        k->now = k->kind->doing;
        /* In the job's own tree no connection to slurmctld may be open now: it could not be saved. */
        if (k->self == k->job.id && elapsed < k->limit_ms) {
            k->running = true;
            return;
        }
    } else if (k->running) { /* fetched, by whom this process was a copy of */
        restored(k, elapsed);
        return;
    }
    if (elapsed >= k->limit_ms) {
        timed_out(k);
        return;
    }
    if (elapsed - k->asked_slurm_ms < ASK_SLURM_MS)
        return;
    k->asked_slurm_ms = elapsed;
    ask_slurm(k, elapsed);
    /* The ring may have come before the job's shepherd listened.  Not once the request is taken: a
     * ring without a request asks for one more checkpoint. */
    if (k->status < 0 && elapsed - k->rang_ms >= RING_AGAIN_MS && is_waiting(k)) {
        k->rang_ms = elapsed;
        if (ask_is_step(k))
            (void)job_ring_step(&k->job, k->step, NULL);
        else
            (void)job_ring(&k->job, NULL);
    }
}
