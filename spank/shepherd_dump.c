/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/shepherd.h"
#include "spank/tree.h"

#include <errno.h>
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

/* A bare ring (an operator's) right after a checkpoint is answered by that checkpoint. */
#define BARE_RING_GAP_S 5

static int64_t last_dump_s;

static int64_t now_s(void)
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
    timerfd_settime(s->timer, 0, &t, NULL);
}

static void answer(struct shepherd *s, const char *id, const char *state,
                   const struct proto_reply *r, const char *text)
{
    struct answer a;

    memset(&a, 0, sizeof a);
    snprintf(a.id, sizeof a.id, "%s", id);
    snprintf(a.verb, sizeof a.verb, "create");
    snprintf(a.state, sizeof a.state, "%s", state);
    snprintf(a.text, sizeof a.text, "%s", text);
    if (r) {
        memcpy(a.generation, r->generation, sizeof a.generation);
        a.pause_us = r->pause_us;
        a.total_ms = r->total_ms;
        a.raw_bytes = r->raw_bytes;
        a.stored_bytes = r->stored_bytes;
    }
    shepherd_answer(s, &a);
}

void shepherd_dump(struct shepherd *s, const char *reason, bool stop)
{
    struct proto_request r;
    struct proto_reply failed;
    struct err err = {{0}};

    shepherd_request_init(s, &r, PROTO_DUMP, reason);
    if (stop)
        r.flags |= PROTO_F_STOP;
    snprintf(s->dump_reason, sizeof s->dump_reason, "%s", reason);
    s->dump_stop = stop;
    s->dump_id = r.id;
    s->dumping = true;
    errno = ENOTSUP;
    if (!s->files)
        err_set(&err, "there is no usable checkpoint directory: %s", s->facts.dir);
    else if (s->rootfd < 0)
        err_set(&err, "the job has no process descriptor");
    else {
        shepherd_place_save(s);
        if (shepherd_send(s, &r, s->rootfd, &err) == 0)
            return;
    }
    proto_reply_init(&failed, &r);
    proto_reply_fail(&failed, errno, "%s", err.text);
    shepherd_dump_done(s, &failed);
}

/* Under private isolation the end of the namespace's init ends everything in it at one blow; the
 * init, our keeper, ends when its socket closes. */
static void kill_stopped(struct shepherd *s)
{
    struct pollfd gone = {.fd = s->rootfd, .events = POLLIN};

    if (s->facts.isolation == ISOLATION_HOST) {
        tree_kill(s->root ? s->root : s->restored_pid);
        return;
    }
    io_close(&s->keeper);
    if (poll(&gone, 1, 5000) <= 0)
        syscall(SYS_pidfd_send_signal, s->rootfd, SIGKILL, NULL, 0);
}

/* The last checkpoint is safe and the tree stands still: nothing more may run. */
static void end_after_final(struct shepherd *s)
{
    struct err err = {{0}};

    if (s->final == FINAL_TIMELIMIT) {
        if (shepherd_slurm_requeue(s, &err) < 0)
            shepherd_say(
                "cannot requeue the job at its time limit: %s; scontrol requeue %u continues it",
                err.text, s->facts.job);
        else
            shepherd_event(s, "requeue", "", "at the time limit", NULL);
    }
    kill_stopped(s);
    s->ended = true;
    s->status = SIGTERM; /* as a wait status: killed by SIGTERM */
}

static void succeeded(struct shepherd *s, const struct proto_reply *r)
{
    s->failures = 0;
    s->last_failure[0] = '\0';
    last_dump_s = now_s();
    if (r->total_ms > s->slowest_ms) {
        s->slowest_ms = r->total_ms;
        shepherd_limit_arm(s);
    }
    shepherd_event(s, "checkpoint", r->generation, r->text[0] ? r->text : s->dump_reason, r);
    if (r->text[0])
        shepherd_say("%s", r->text);
    if (s->dump_stop)
        shepherd_say("%s saved (%s): paused %.1f ms, %.1f MiB stored", r->generation,
                     s->dump_reason, r->pause_us / 1000.0, (double)r->stored_bytes / 1048576.0);
}

static void failed(struct shepherd *s, const struct proto_reply *r)
{
    s->failures++;
    shepherd_event(s, "checkpoint-failed", r->generation, r->text, r);
    if (strcmp(s->last_failure, r->text) != 0)
        shepherd_say("not saved (%s): %s", s->dump_reason, r->text);
    memcpy(s->last_failure, r->text, sizeof s->last_failure);
}

static void look_for_request(struct shepherd *s, bool rung);

void shepherd_dump_done(struct shepherd *s, const struct proto_reply *r)
{
    bool stopped = s->dump_stop;

    s->dumping = false;
    if (r->error == 0)
        succeeded(s, r);
    else
        failed(s, r);
    if (s->request_id[0])
        answer(s, s->request_id, r->error ? "failed" : "done", r, r->text);
    s->request_id[0] = '\0';
    if (stopped && r->error == 0) {
        end_after_final(s);
        return;
    }
    /* A helper that was killed could not let the tree go on. (Under private isolation the keeper does.) */
    if (stopped && s->facts.isolation == ISOLATION_HOST)
        tree_continue(s->root ? s->root : s->restored_pid);
    if (s->final != FINAL_NONE && !stopped && s->final != FINAL_UNKNOWN) {
        shepherd_dump(s, s->final == FINAL_TIMELIMIT ? "timelimit" : "requeue", true);
        return;
    }
    if (s->final != FINAL_NONE) { /* it could not be saved, or nobody knows why it should end */
        s->final = FINAL_NONE;
        if (!s->early)
            shepherd_forward(s, SIGTERM);
        s->early = false; /* before the limit: Slurm's own SIGTERM gives a second chance */
    }
    shepherd_timer_arm(s);
    if (s->bell)
        shepherd_bell(s);
    else if (s->more)
        look_for_request(s, false);
}

/* A ring without a request is an operator's; one that was only looked for is not a ring. */
static void look_for_request(struct shepherd *s, bool rung)
{
    struct request q;
    struct err err = {{0}};
    int found;

    s->more = false;
    found = s->files ? shepherd_request_take(s, &q, &err) : 0;
    if (found < 0) {
        shepherd_say("a request cannot be read: %s", err.text);
        return;
    }
    if (found == 0) {
        if (rung && (last_dump_s == 0 || now_s() - last_dump_s >= BARE_RING_GAP_S))
            shepherd_dump(s, "operator", false);
        return;
    }
    if (strcmp(q.verb, "create") != 0) {
        answer(s, q.id, "failed", NULL, "unknown request");
        look_for_request(s, false);
        return;
    }
    s->more = true;
    answer(s, q.id, "running", NULL, "");
    memcpy(s->request_id, q.id, sizeof s->request_id);
    shepherd_dump(s, "request", false);
}

void shepherd_bell(struct shepherd *s)
{
    s->bell = s->dumping;
    if (!s->dumping)
        look_for_request(s, true);
}

bool shepherd_none_last(struct shepherd *s)
{
    static bool said;

    if (strcmp(s->facts.proctrack, "linuxproc") != 0)
        return false;
    if (!said)
        shepherd_say(
            "no last checkpoint: under proctrack/linuxproc the whole job gets SIGTERM at once; "
            "the newest earlier generation counts");
    said = true;
    return true;
}

/* SIGTERM is all that Slurm says; slurmctld knows why. */
void shepherd_terminate(struct shepherd *s)
{
    if (s->final != FINAL_NONE) {
        s->early = false;
        return;
    }
    switch (shepherd_ask_slurm(s, 1000)) {
    case SLURMJOB_RUNNING: /* the user's own scancel --signal=TERM */
    case SLURMJOB_CANCELLED:
    case SLURMJOB_ENDED:
        shepherd_forward(s, SIGTERM);
        return;
    case SLURMJOB_REQUEUED:
        s->final = FINAL_REQUEUE;
        break;
    case SLURMJOB_TIMEOUT:
        s->final = FINAL_TIMELIMIT;
        break;
    default:
        s->final = FINAL_UNKNOWN;
        break;
    }
    if (shepherd_none_last(s)) {
        s->final = FINAL_NONE;
        shepherd_forward(s, SIGTERM);
        return;
    }
    if (s->dumping)
        return; /* when it is done, the last one follows */
    if (s->final == FINAL_UNKNOWN)
        shepherd_dump(s, "terminate", false);
    else
        shepherd_dump(s, s->final == FINAL_TIMELIMIT ? "timelimit" : "requeue", true);
}
