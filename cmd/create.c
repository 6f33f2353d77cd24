/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/base.h"
#include "cmd/cmd.h"
#include "cmd/job.h"
#include "cmd/progress.h"
#include "cmd/text.h"
#include "cmd/verb.h"
#include "common/gendir.h"
#include "common/io.h"
#include "common/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_FAST_MS 50 /* while most checkpoints are made */
#define POLL_SLOW_MS 250
#define FAST_FOR_MS 3000
#define ASK_SLURM_MS 3000   /* does the job still run? */
#define RING_AGAIN_MS 10000 /* a request that nobody took */
#define LIMIT_BESIDES_S 60u /* on top of the site's limit for a dump */
#define CLOCK_SKEW_S 600    /* between file server and slurmctld */

struct wait {
    const struct cmd *c;
    const struct job *job;
    struct job_name name;
    int taskfd;
    struct request request;
    struct progress progress;
    int64_t limit_ms, asked_slurm_ms, rang_ms;
};

static int refuse_state(const struct job *job, struct err *err)
{
    errno = EINVAL;
    if (!job->batch)
        return err_set(err, "job %u is no batch job: only what sbatch submitted is checkpointed",
                       job->id);
    switch (job->phase) {
    case JOB_PHASE_RUNNING:
        return 0;
    case JOB_PHASE_PENDING:
        return err_set(err, "job %u does not run (%s%s)", job->id, job->state,
                       job->requeueing ? ", requeued" : "");
    case JOB_PHASE_SUSPENDED:
        return err_set(err, "job %u is suspended: scontrol resume %u first", job->id, job->id);
    default:
        return err_set(err, "job %u has ended (%s)", job->id, job->state);
    }
}

static int make_id(char id[33], struct err *err)
{
    unsigned char raw[16];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return err_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(id + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

static json_t *state_object(uint32_t job, const char *state)
{
    return json_pack("{s:I, s:s}", "job", (json_int_t)job, "state", state);
}

static int print_answer(const struct cmd *c, uint32_t job, const struct answer *a)
{
    char pause[16], raw[16], stored[16], total[16];

    if (c->json) {
        json_t *o = state_object(job, a->state);

        json_object_set_new(o, "generation", json_string(a->generation));
        json_object_set_new(o, "pause_us", json_integer(a->pause_us));
        json_object_set_new(o, "raw_bytes", json_integer((json_int_t)a->raw_bytes));
        json_object_set_new(o, "stored_bytes", json_integer((json_int_t)a->stored_bytes));
        json_object_set_new(o, "total_ms", json_integer(a->total_ms));
        json_object_set_new(o, "text", json_string(a->text));
        if (cmd_print_json(o) < 0)
            return CMD_FAILED;
    }
    if (strcmp(a->state, "done") != 0) {
        fprintf(stderr, "scheckpoint: job %u: not saved: %s\n", job, a->text);
        return CMD_FAILED;
    }
    if (c->json)
        return CMD_DONE;
    text_microseconds(a->pause_us, pause);
    text_microseconds((uint64_t)a->total_ms * 1000, total);
    text_bytes(a->raw_bytes, raw);
    text_bytes(a->stored_bytes, stored);
    printf("job %u: %s: paused %s, %s of data, %s stored, %s in all\n", job, a->generation, pause,
           raw, stored, total);
    if (a->text[0])
        fprintf(stderr, "scheckpoint: job %u: %s\n", job, a->text);
    return CMD_DONE;
}

static int print_asked(const struct cmd *c, uint32_t job, const char *text)
{
    if (c->json) {
        json_t *o = state_object(job, "asked");

        json_object_set_new(o, "text", json_string(text));
        return cmd_print_json(o) < 0 ? CMD_FAILED : CMD_DONE;
    }
    printf("job %u: %s\n", job, text);
    return CMD_DONE;
}

/* Has nobody taken the request yet? */
static bool is_waiting(const struct wait *w)
{
    char name[48];
    struct stat st;
    int fd = gendir_open_dir(w->taskfd, REQUEST_DIR, NULL);
    bool there;

    snprintf(name, sizeof name, "%s.json", w->request.id);
    there = fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    io_close(&fd);
    return there;
}

static bool take_back(const struct wait *w)
{
    char name[48];
    int fd = gendir_open_dir(w->taskfd, REQUEST_DIR, NULL);
    bool done;

    snprintf(name, sizeof name, "%s.json", w->request.id);
    done = fd >= 0 && unlinkat(fd, name, 0) == 0;
    io_close(&fd);
    return done;
}

/* The job does not answer any more: true with the reason. */
static bool has_ended(const struct wait *w, struct err *err)
{
    struct job now;

    if (job_load(&w->name, &now, err) < 0)
        return errno == ESRCH;
    if (now.restarts != w->job->restarts || now.requeueing)
        err_set(err, "job %u was requeued before the checkpoint was made", now.id);
    else if (now.phase == JOB_PHASE_OVER)
        err_set(err, "job %u ended (%s) before the checkpoint was made", now.id, now.state);
    else
        return false;
    return true;
}

static int timed_out(struct wait *w)
{
    struct err err = {{0}};

    if (take_back(w))
        err_set(&err, "job %u: nobody took the request within %lld s; it has been withdrawn",
                w->job->id, (long long)(w->limit_ms / 1000));
    else
        err_set(&err,
                "job %u: no result within %lld s; the checkpoint may still be made (scheckpoint "
                "list %u)",
                w->job->id, (long long)(w->limit_ms / 1000), w->job->id);
    return cmd_fail(w->c, CMD_TIMEOUT, &err);
}

/* One look at everything but the answer: -1 to go on, else the exit status. */
static int look_around(struct wait *w)
{
    int64_t elapsed = progress_elapsed_ms(&w->progress);
    struct answer last;
    struct err err = {{0}};

    if (elapsed >= w->limit_ms)
        return timed_out(w);
    if (elapsed - w->asked_slurm_ms < ASK_SLURM_MS)
        return -1;
    w->asked_slurm_ms = elapsed;
    if (has_ended(w, &err)) {
        /* It may have answered just before. */
        if (answer_get(w->taskfd, w->request.id, &last, NULL) == 1 && strcmp(last.state, "running"))
            return -1;
        take_back(w);
        return cmd_fail(w->c, CMD_FAILED, &err);
    }
    /* The ring may have come before the job's shepherd listened.  Not once the request is taken: a
     * ring without a request asks for one more checkpoint. */
    if (elapsed - w->rang_ms >= RING_AGAIN_MS && is_waiting(w)) {
        w->rang_ms = elapsed;
        (void)job_ring(w->job, NULL);
    }
    return -1;
}

static int wait_for_answer(struct wait *w)
{
    struct err err = {{0}};
    struct answer a;
    char what[80];
    int status = -1;

    progress_start(&w->progress);
    memset(&a, 0, sizeof a);
    while (status < 0) {
        int got = answer_get(w->taskfd, w->request.id, &a, &err);

        if (got < 0) {
            status = cmd_fail(w->c, CMD_FAILED, &err);
        } else if (got == 1 && strcmp(a.state, "running") != 0) {
            progress_end(&w->progress);
            (void)answer_remove(w->taskfd, w->request.id);
            return print_answer(w->c, w->job->id, &a);
        } else {
            snprintf(what, sizeof what, "job %u: %s", w->job->id,
                     got == 1 ? "making the checkpoint"
                              : "waiting for the job to take the request");
            progress_show(&w->progress, what);
            status = look_around(w);
        }
        if (status < 0)
            poll(NULL, 0,
                 progress_elapsed_ms(&w->progress) < FAST_FOR_MS ? POLL_FAST_MS : POLL_SLOW_MS);
    }
    return status;
}

static uint32_t limit(const struct cmd *c)
{
    struct conf *conf;
    uint32_t seconds;

    if (c->timeout)
        return c->timeout;
    conf = malloc(sizeof *conf);
    if (!conf)
        return LIMIT_BESIDES_S;
    if (conf_load(c->conf, conf, NULL) < 0)
        conf_defaults(conf);
    seconds = conf->dump_timeout + LIMIT_BESIDES_S;
    free(conf);
    return seconds;
}

/* The directory of this very job, not of one that had its id before. */
static int open_task(const struct cmd *c, const struct job *job, struct err *err)
{
    char path[PATH_MAX];
    struct base_job found;

    if (base_path(c, path, err) < 0 || base_find(path, job->id, job_cluster(), &found, err) < 0)
        return -1;
    if (found.changed.tv_sec < job->submitted - CLOCK_SKEW_S) {
        errno = ESRCH;
        return err_set(err, "what is in %s for job %u is of an earlier job of that id", path,
                       job->id);
    }
    return base_open_task(path, &found, err);
}

static int ask_owner(const struct cmd *c, const struct job_name *name, const struct job *job)
{
    struct wait w = {.c = c, .job = job, .name = *name, .request = {.verb = "create"}};
    struct err err = {{0}};
    int status;

    w.taskfd = open_task(c, job, &err);
    if (w.taskfd < 0)
        return cmd_fail(c, errno == ESRCH ? CMD_REFUSED : CMD_FAILED, &err);
    if (make_id(w.request.id, &err) < 0 || request_put(w.taskfd, &w.request, &err) < 0) {
        status = cmd_fail(c, CMD_FAILED, &err);
    } else if (job_ring(job, &err) < 0) {
        status = errno == EPERM || errno == ESRCH ? CMD_REFUSED : CMD_FAILED;
        take_back(&w);
        cmd_fail(c, status, &err);
    } else if (c->no_wait) {
        status = print_asked(c, job->id,
                             "asked for a checkpoint; scheckpoint list shows it when it "
                             "is made");
    } else {
        w.limit_ms = (int64_t)limit(c) * 1000;
        status = wait_for_answer(&w);
        progress_end(&w.progress);
    }
    io_close(&w.taskfd);
    return status;
}

/* Somebody else's job: Slurm decides whether the caller may signal it, and no file is touched. */
static int ask_operator(const struct cmd *c, const struct job *job)
{
    struct err err = {{0}};

    if (job_ring(job, &err) < 0)
        return cmd_fail(c, errno == EIO ? CMD_FAILED : CMD_REFUSED, &err);
    return print_asked(c, job->id,
                       "asked for a checkpoint, if it was submitted with --checkpoint; the job is "
                       "another user's: the verdict is in its standard error and its owner's "
                       "scheckpoint list and error");
}

static int run_create(const struct cmd *c)
{
    struct err err = {{0}};
    struct job_name name;
    struct job job;

    if (!job_parse_name(c->job, &name)) {
        err_set(&err, "not a job id: %s (12, or 12_3 for a task of an array)", c->job);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    if (job_load(&name, &job, &err) < 0)
        return cmd_fail(c,
                        errno == EINVAL  ? CMD_USAGE
                        : errno == ESRCH ? CMD_REFUSED
                                         : CMD_FAILED,
                        &err);
    if (job.uid == 0) {
        err_set(&err, "job %u is root's: jobs of root are not checkpointed", job.id);
        return cmd_fail(c, CMD_REFUSED, &err);
    }
    if (refuse_state(&job, &err) < 0)
        return cmd_fail(c, CMD_REFUSED, &err);
    return job.uid == geteuid() ? ask_owner(c, &name, &job) : ask_operator(c, &job);
}

const struct verb verb_create = {
    .name = "create",
    .args = "JOBID",
    .summary = "checkpoint a running job, which runs on",
    .run = run_create,
    .min_args = 1,
    .max_args = 1,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint create [--no-wait | --wait=SECONDS] [--json] [-d DIR] JOBID\n"
            "\n"
            "Checkpoints a running batch job, which runs on; waits for the verdict. JOBID is\n"
            "12, or 12_3 for a task of an array. An operator may ask for another user's job:\n"
            "the verdict is then in the job's standard error.\n"
            "\n"
            "  --wait[=SECONDS]   wait for the verdict (the default), no longer than that\n"
            "  --no-wait          ask, and return at once\n"
            "  --timeout SECONDS  wait no longer (default: the site's limit for a dump, and a\n"
            "                     minute)\n",
};
