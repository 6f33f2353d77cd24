/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "common/runclock.h"
#include "spank/shepherd.h"
#include "spank/steps.h"
#include "spank/tree.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* In place of a generation; also how the rest of this file knows. */
#define LAST_WORD_MS 3000
#define CANCEL_MS                                                                                  \
    22000 /* the keeper kills what is cancelled after ten seconds, and gives that ten more */
#define ONCE_MORE_MS 300
#define MARKED                                                                                     \
    "srun runs in the script: its tasks are checkpointed, and it will be started once more"

int64_t shepherd_now_ms(void)
{
    return runclock_ms();
}

int64_t shepherd_now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec;
}

/* The next one by the clock: interval with 10 % jitter, so that jobs that started together do not
 * write together; twice as long after each failure in a row, up to eight times. */
void shepherd_timer_arm(struct shepherd *s)
{
    struct itimerspec t = {{0, 0}, {0, 0}};
    uint32_t random = 0;
    int64_t ms = (int64_t)s->facts.interval * 1000;

    if (ms > 0 && s->files) {
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
            random = UINT32_MAX / 2;
        ms += ms * ((int64_t)(random % 2001) - 1000) / 10000;
        ms <<= s->failures > 3 ? 3 : s->failures;
        t.it_value.tv_sec = ms / 1000;
        t.it_value.tv_nsec = (ms % 1000) * 1000000;
    }
    s->due_ms = ms > 0 && s->files ? runclock_ms() + ms : 0;
    timerfd_settime(s->timer, 0, &t, NULL);
}

/* 0: dump; 1: the script runs srun, and the mark is made that it will be started once more. */
static int make_ready(struct shepherd *s, struct err *err)
{
    const struct facts *f = &s->facts;
    const int rc = s->step ? shepherd_step_input(s, err) : shepherd_script_prepare(s, err);
    char dir[2 * PATH_MAX];

    if (rc >= 0)
        return rc;
    snprintf(dir, sizeof dir, "%s/%s.%u.%s/%s", f->dir, f->cluster, f->job, f->nonce,
             s->step ? f->task : STEPS_DIR);
    return err_dir(err, dir);
}

void shepherd_dump(struct shepherd *s, const char *reason, bool stop)
{
    snprintf(s->dump_reason, sizeof s->dump_reason, "%s", reason);
    s->dump_stop = stop;
    s->dumping = true;
    s->vetoed = false;
    /* Of a script that runs srun nothing is dumped; the tasks have their own. */
    s->hooked = s->files && s->rootfd >= 0 && !shepherd_script_busy(s);
    if (!s->hooked || !shepherd_hooks_begin(s, HOOK_BEFORE))
        shepherd_dump_go(s);
}

void shepherd_dump_go(struct shepherd *s)
{
    struct proto_request r;
    struct proto_reply done;
    struct err err = {{0}};
    int ready = -1;

    shepherd_request_init(s, &r, PROTO_DUMP, s->dump_reason);
    if (s->dump_stop)
        r.flags |= PROTO_F_STOP;
    if (s->dump_plain)
        r.flags |= PROTO_F_PLAIN;
    s->dump_id = r.id;
    errno = ENOTSUP;
    if (!s->files)
        err_set(&err, "there is no usable checkpoint directory: %s", s->facts.dir);
    else if (s->rootfd < 0)
        err_set(&err, "the job has no process descriptor");
    else if ((ready = make_ready(s, &err)) == 0) {
        shepherd_place_save(s);
        if (shepherd_send(s, &r, s->rootfd, &err) == 0) {
            if (s->dump_stop)
                shepherd_final_begun(s);
            return;
        }
        ready = -1;
    }
    proto_reply_init(&done, &r);
    if (ready == 1)
        snprintf(done.text, sizeof done.text, "%s", MARKED);
    else
        proto_reply_fail(&done, errno, "%s", err.text);
    shepherd_dump_done(s, &done);
}

void shepherd_dump_vetoed(struct shepherd *s, const char *why)
{
    struct proto_request r;
    struct proto_reply vetoed;

    shepherd_request_init(s, &r, PROTO_DUMP, s->dump_reason);
    s->vetoed = true;
    proto_reply_init(&vetoed, &r);
    proto_reply_fail(&vetoed, ECANCELED, "vetoed by a hook: %s", why);
    shepherd_dump_done(s, &vetoed);
}

static void succeeded(struct shepherd *s, const struct proto_reply *r)
{
    s->failures = 0;
    s->fruitful = true;
    shepherd_interval_learn(s, r);
    s->last_failure[0] = '\0';
    s->last_dump_s = shepherd_now_s();
    snprintf(s->last_generation, sizeof s->last_generation, "%.31s",
             r->generation[0] ? r->generation : "the script's beginning");
    s->from_source = false;
    (void)gendir_parse_name(r->generation, &s->newest, NULL);
    if (r->total_ms > s->slowest_ms) {
        s->slowest_ms = r->total_ms;
        shepherd_limit_arm(s);
    }
    shepherd_event(s, "checkpoint", r->generation, r->text[0] ? r->text : s->dump_reason, r);
    if (r->text[0] && r->generation[0])
        shepherd_say("%s", r->text);
    if (s->dump_stop && r->generation[0])
        shepherd_say("%s saved (%s): paused %.1f ms, %.1f MiB stored", r->generation,
                     s->dump_reason, r->pause_us / 1000.0, (double)r->stored_bytes / 1048576.0);
}

/* Without its last checkpoint: what Slurm's requeue leaves of the job.  "" where that is not what follows. */
static void goes_on_from(const struct shepherd *s, const struct proto_reply *r, char text[120])
{
    const char *what = s->step ? "task" : "job";
    char source[32] = "";

    *text = '\0';
    if (!s->dump_stop || s->final != FINAL_REQUEUE || r->error == ESTALE)
        return;
    if (s->from_source)
        snprintf(source, sizeof source, " of job %u", s->facts.source_job);
    if (s->last_generation[0])
        snprintf(text, 120, "; the %s goes on from %s%s", what, s->last_generation, source);
    else
        snprintf(text, 120, "; the %s starts from the beginning: nothing is saved", what);
}

static void failed(struct shepherd *s, const struct proto_reply *r)
{
    /* What the next run lacks must be told, however often it was before. */
    const bool last = s->dump_stop && !s->early;
    char tail[120];

    if (s->vetoed) {
        shepherd_event(s, "vetoed", "", r->text, NULL);
    } else {
        s->failures++;
        shepherd_event(s, "checkpoint-failed", r->generation, r->text, r);
    }
    goes_on_from(s, r, tail);
    if (last || strcmp(s->last_failure, r->text) != 0)
        shepherd_say("not saved (%s): %s%s", s->dump_reason, r->text, tail);
    memcpy(s->last_failure, r->text, sizeof s->last_failure);
}

/* SIGCONT to the tree that a dump has left stopped.  A helper that was killed could not do that; under private
 * isolation the keeper sees to it after a failure. */
void shepherd_go_on(struct shepherd *s, bool failed_dump)
{
    struct proto_request r;

    if (s->facts.isolation == ISOLATION_HOST) {
        tree_continue(s->root ? s->root : s->restored_pid);
    } else if (!failed_dump) {
        shepherd_request_init(s, &r, PROTO_CONTINUE, "");
        shepherd_send(s, &r, -1, NULL);
    }
}

/* Many may wait: each asks more and more seldom, and none at the same moment as another. */
static void wait_for_others(struct shepherd *s)
{
    uint32_t random = 0;
    int64_t most = INT64_C(200) << (s->retries < 4 ? s->retries : 4);

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = 0;
    s->retries++;
    s->retry_ms = shepherd_now_ms() + most / 2 + random % most;
}

/* All is ready; only the keeper is asked once more. */
void shepherd_dump_again(struct shepherd *s)
{
    struct proto_reply failed;
    struct proto_request r;
    struct err err = {{0}};

    s->retry_ms = 0;
    shepherd_request_init(s, &r, PROTO_DUMP, s->dump_reason);
    if (s->dump_stop)
        r.flags |= PROTO_F_STOP;
    s->dump_id = r.id;
    if (shepherd_send(s, &r, s->rootfd, &err) == 0)
        return;
    proto_reply_init(&failed, &r);
    proto_reply_fail(&failed, errno, "%s", err.text);
    shepherd_dump_done(s, &failed);
}

static bool is_mark(const struct proto_reply *r)
{
    return r->error == 0 && !r->generation[0];
}

/* A generation of a later epoch may be anybody's of this uid: whether there is a successor slurmctld says.  Not reached, it
 * says nothing; the dump was refused, and that is enough for now. */
static bool is_stale(struct shepherd *s)
{
    const enum slurmjob_state state = shepherd_ask_slurm(s, 2000);

    return state != SLURMJOB_RUNNING && state != SLURMJOB_UNKNOWN;
}

/* Slurm's SIGCONT, which it sends to every process just before its SIGTERM, may come while CRIU has them: then CRIU takes
 * them for stopped by somebody else and fails.  No checkpoint comes after the last one, so it has a second chance. */
static bool once_more(struct shepherd *s, const struct proto_reply *r)
{
    const bool again = r->error == EIO && s->dump_stop && !s->early && !s->vetoed && !s->again;

    s->again = again;
    if (!again)
        return false;
    shepherd_go_on(s, true);
    s->retry_ms = shepherd_now_ms() + ONCE_MORE_MS;
    return true;
}

void shepherd_dump_done(struct shepherd *s, const struct proto_reply *r)
{
    struct proto_reply saved;
    bool vetoed = s->vetoed, marked = is_mark(r);

    if (r->error == EUSERS) {
        wait_for_others(s);
        return;
    }
    s->retry_ms = 0;
    s->retries = 0;
    if (!vetoed && shepherd_find_saved(s, r, &saved))
        r = &saved;
    if (r->flags & PROTO_R_LOST) {
        shepherd_final_lost(s, r);
        return;
    }
    if (once_more(s, r))
        return;
    if (s->step)
        relay_resume(&s->relay);
    else if (!marked && !vetoed)
        shepherd_script_release(s);
    if (!vetoed)
        s->dump_plain = r->error != 0 && (r->flags & PROTO_R_SNAPSHOT);
    if (r->error == 0)
        succeeded(s, r);
    else
        failed(s, r);
    if (r->error == ESTALE && is_stale(s)) {
        s->dumping = false;
        shepherd_final_stale(s);
        return;
    }
    if (r->error == ESTALE)
        s->fence_s = 0;
    if (s->dump_stop && r->error != 0 && !vetoed)
        shepherd_go_on(s, true);
    s->hooks.reply = *r;
    if (!s->hooked || marked || !shepherd_hooks_begin(s, HOOK_AFTER))
        shepherd_dump_over(s, &s->hooks.reply);
}

void shepherd_dump_over(struct shepherd *s, const struct proto_reply *r)
{
    bool stopped = s->dump_stop, marked = is_mark(r), vetoed = s->vetoed;
    /* Of what Slurm does not force; its own SIGTERM comes with the limit. */
    bool again = vetoed && s->early && s->final == FINAL_TIMELIMIT;

    s->dumping = false;
    if (marked && s->ring)
        shepherd_script_ask(s, "create");
    shepherd_final_find_out(s);
    if (stopped && marked && s->final != FINAL_UNKNOWN && shepherd_script_stop(s))
        return;
    if (stopped && !marked && r->error == 0 && s->final != FINAL_UNKNOWN &&
        shepherd_final_saved(s, r))
        return;
    shepherd_requests_answer(s, r, vetoed ? "refused" : r->error ? "failed" : "done", r->text);
    if (stopped && r->error == 0)
        shepherd_go_on(s, false);
    if (s->final != FINAL_NONE && !stopped && s->final != FINAL_UNKNOWN &&
        s->final != FINAL_CANCELLED)
        shepherd_final(s);
    else if (s->final != FINAL_NONE) /* it could not be saved, or nobody knows why it should end */
        shepherd_final_failed(s);
    if (s->dumping)
        return;
    if (again)
        shepherd_hooks_again(s);
    shepherd_timer_arm(s);
    shepherd_requests_next(s);
}

/* The job may have come to its end meanwhile. */
void shepherd_dump_idle(struct shepherd *s)
{
    s->dumping = false;
    if (s->final == FINAL_UNKNOWN)
        shepherd_dump(s, "terminate", true);
    else if (s->final == FINAL_CANCELLED)
        shepherd_final_failed(s);
    else if (s->final != FINAL_NONE)
        shepherd_final(s);
    if (s->dumping)
        return;
    shepherd_timer_arm(s);
    shepherd_requests_next(s);
}

/* What becomes of the checkpoint that is being made; false: nothing is heard of it. */
static bool last_word(struct shepherd *s, int ms, struct proto_reply *r)
{
    const int64_t end = shepherd_now_ms() + ms;

    for (int64_t left = ms; s->keeper >= 0 && left > 0; left = end - shepherd_now_ms()) {
        struct pollfd p = {.fd = s->keeper, .events = POLLIN};
        int fd = -1;

        if (poll(&p, 1, (int)left) <= 0 || !shepherd_receive(s, r, &fd))
            return false;
        io_close(&fd);
        if (r->verb == PROTO_DUMP && r->id == s->dump_id)
            return true;
    }
    return false;
}

/* Of a tree that a checkpoint has cost its life we may hear before we hear of the checkpoint. */
void shepherd_dump_ended(struct shepherd *s)
{
    struct proto_reply r;

    if (last_word(s, LAST_WORD_MS, &r) && (r.flags & PROTO_R_LOST))
        shepherd_final_lost(s, &r);
}

void shepherd_dump_cancel(struct shepherd *s)
{
    struct proto_request cancel;
    struct proto_reply r;

    if (!s->dumping || s->hooks.running)
        return;
    if (s->retry_ms) { /* it waits for its turn, and nothing runs */
        s->retry_ms = 0;
        s->dumping = false;
        return;
    }
    shepherd_request_init(s, &cancel, PROTO_CANCEL, "");
    if (shepherd_send(s, &cancel, -1, NULL) == 0 && last_word(s, CANCEL_MS, &r))
        s->dumping = false;
}

/* The kernel's timer went on while the job was suspended. */
static bool too_early(struct shepherd *s)
{
    int64_t left = s->due_ms - runclock_ms();
    struct itimerspec t = {{0, 0}, {left / 1000, left % 1000 * 1000000}};

    if (left < RUNCLOCK_TICK_MS)
        return false;
    timerfd_settime(s->timer, 0, &t, NULL);
    return true;
}

void shepherd_interval(struct shepherd *s)
{
    if (too_early(s))
        return;
    if (s->disabled == 0) {
        shepherd_dump(s, "interval", false);
        return;
    }
    s->interval_missed = true;
    shepherd_disabled_tell(s, "interval");
}
