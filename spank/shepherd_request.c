/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/shepherd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A bare ring (an operator's) right after a checkpoint is answered by that checkpoint. */
#define BARE_RING_GAP_S 5
/* Of requests at one ring. */
#define TAKEN_MOST 64

static void answer(struct shepherd *s, const struct request *q, const char *state,
                   const struct proto_reply *r, const char *text)
{
    struct answer a;

    memset(&a, 0, sizeof a);
    snprintf(a.id, sizeof a.id, "%s", q->id);
    snprintf(a.verb, sizeof a.verb, "%s", q->verb);
    snprintf(a.state, sizeof a.state, "%s", state);
    snprintf(a.text, sizeof a.text, "%s", text);
    a.disabled = s->disabled;
    if (r) {
        memcpy(a.generation, r->generation, sizeof a.generation);
        a.pause_us = r->pause_us;
        a.total_ms = r->total_ms;
        a.raw_bytes = r->raw_bytes;
        a.stored_bytes = r->stored_bytes;
    }
    shepherd_answer(s, &a);
}

void shepherd_refuse(struct shepherd *s, const struct request *q, const char *text)
{
    answer(s, q, "refused", NULL, text);
}

/* Nothing is stopped for it; but while CRIU has the tree in its hands, that is all that one would see. */
static void able(struct shepherd *s, const struct request *q)
{
    if (!s->dumping)
        shepherd_able(s, q);
    else if (!s->able.id[0])
        s->able = *q;
    else
        answer(s, q, "refused", NULL, "a checkpoint is being made, and another one waits to look");
}

/* ---- the counter of disables ---- */

void shepherd_disabled_text(const struct shepherd *s, char text[160])
{
    time_t since = (time_t)s->disabled_since;
    char when[32] = "";
    struct tm tm;

    if (localtime_r(&since, &tm))
        strftime(when, sizeof when, "%F %T", &tm);
    snprintf(text, 160,
             "checkpoints of job %u are disabled since %s (depth %u): scheckpoint enable %u",
             s->facts.job, when, s->disabled, s->facts.job);
}

void shepherd_disabled_tell(struct shepherd *s, const char *what)
{
    char text[160];

    if (s->disabled_told)
        return;
    s->disabled_told = true;
    shepherd_disabled_text(s, text);
    shepherd_say("not saved (%s): %s; it follows then, if there is time", what, text);
    shepherd_event(s, "skipped", "", text, NULL);
}

/* The one that counts is the answer: when it is there, no checkpoint runs and none begins. */
static void disable(struct shepherd *s, const struct request *q)
{
    if (s->final != FINAL_NONE && s->disabled == 0) {
        answer(s, q, "refused", NULL, "the job's last checkpoint is due");
        return;
    }
    if (s->dumping) {
        size_t i = 0;

        while (i < SHEPHERD_WAITING && s->waiting[i][0])
            i++;
        if (i == SHEPHERD_WAITING) {
            answer(s, q, "refused", NULL, "too many at once");
            return;
        }
        memcpy(s->waiting[i], q->id, sizeof s->waiting[i]);
    }
    if (s->disabled++ == 0) {
        s->disabled_since = (int64_t)time(NULL);
        s->disabled_told = false;
    }
    if (!s->dumping)
        answer(s, q, "done", NULL, "");
}

/* What was due meanwhile comes at once, the last one first. */
static void enable(struct shepherd *s, const struct request *q)
{
    bool missed = s->interval_missed;

    if (s->disabled == 0) {
        answer(s, q, "refused", NULL, "its checkpoints are not disabled");
        return;
    }
    s->disabled--;
    answer(s, q, "done", NULL, "");
    if (s->disabled > 0)
        return;
    s->interval_missed = false;
    if (s->final != FINAL_NONE)
        shepherd_final(s);
    else if (s->limit_due)
        shepherd_limit_arm(s);
    else if (missed && !s->dumping)
        shepherd_dump(s, "interval", false);
}

/* ---- requests for checkpoints ---- */

/* Nothing is stopped that Slurm would not start again. */
static bool may_requeue(struct shepherd *s, const struct request *q)
{
    struct slurmjob job;
    char text[160];

    if (shepherd_slurm_load(s, 5000, &job) < 0)
        snprintf(text, sizeof text, "slurmctld does not answer, who should requeue the job");
    else if (job.state != SLURMJOB_RUNNING || job.restart_count > s->facts.epoch)
        snprintf(text, sizeof text, "Slurm is ending this run of the job already");
    else if (!job.may_requeue)
        snprintf(text, sizeof text,
                 "the job may not be requeued: scontrol update job=%u requeue=1 allows it",
                 s->facts.job);
    else
        return true;
    answer(s, q, "refused", NULL, text);
    return false;
}

static void start(struct shepherd *s, const struct request *q)
{
    bool stop = strcmp(q->verb, "create") != 0;

    if (stop && !may_requeue(s, q))
        return;
    if (stop && shepherd_none_last(s)) {
        answer(s, q, "refused", NULL,
               "not under proctrack/linuxproc, which signals the whole tree at a requeue");
        return;
    }
    s->request = *q;
    answer(s, q, "running", NULL, "");
    if (stop) {
        s->final = strcmp(q->verb, "vacate") == 0 ? FINAL_VACATE : FINAL_ASKED;
        s->early = true;
        shepherd_final(s);
    } else {
        shepherd_dump(s, "request", false);
    }
}

static void take(struct shepherd *s, const struct request *q)
{
    char text[160];

    if (strcmp(q->verb, "stop") == 0) {
        if (s->step && s->final == FINAL_NONE) { /* the script's shepherd, at the time limit */
            s->final = FINAL_TIMELIMIT;
            shepherd_final(s);
        }
    } else if (strcmp(q->verb, "disable") == 0) {
        disable(s, q);
    } else if (strcmp(q->verb, "enable") == 0) {
        enable(s, q);
    } else if (strcmp(q->verb, "able") == 0) {
        able(s, q);
    } else if (s->disabled > 0) {
        shepherd_disabled_text(s, text);
        answer(s, q, "refused", NULL, text);
    } else if (s->request.id[0] || s->queued.id[0]) {
        snprintf(text, sizeof text, "another request is under way (%s)",
                 s->request.id[0] ? s->request.verb : s->queued.verb);
        answer(s, q, "refused", NULL, text);
    } else if (s->dumping || s->final != FINAL_NONE) {
        s->queued = *q; /* nobody asked for the one that is running */
        answer(s, q, "running", NULL, "");
    } else {
        start(s, q);
    }
}

/* The number of requests; -1: the directory does not tell. */
static int take_all(struct shepherd *s)
{
    struct err err = {{0}};
    struct request q;

    s->more = false;
    for (int n = 0; n < TAKEN_MOST; n++) {
        int found;

        /* A tree that is being stopped for good takes its own requests along: whoever goes on with it takes them. */
        if (s->ended || (s->dumping && s->dump_stop)) {
            s->more = true;
            return n;
        }
        found = s->files ? shepherd_request_take(s, &q, &err) : 0;
        if (found < 0) {
            shepherd_say("a request cannot be read: %s", err.text);
            return -1;
        }
        if (found == 0)
            return n;
        take(s, &q);
    }
    return TAKEN_MOST;
}

void shepherd_requests(struct shepherd *s)
{
    take_all(s);
}

/* ---- the doorbell ---- */

/* Nobody's request: an operator, or Slurm's warning that the limit or the end of a grace time is near
 * (--signal=B:URG@N).  The verdict for the former is in the job's comment. */
static void bare_ring(struct shepherd *s)
{
    static int64_t noted;
    char text[160];

    if (s->step) /* one ring wakes all tasks of a step, also those that nobody asks for anything */
        return;
    if (s->dumping) {
        s->ring = true;
        return;
    }
    if (s->final == FINAL_NONE)
        shepherd_limit_arm(s);
    if (s->disabled > 0 ||
        (s->last_dump_s && shepherd_now_s() - s->last_dump_s < BARE_RING_GAP_S)) {
        /* A flood of signals is no flood of questions to slurmctld. */
        if (shepherd_now_s() == noted)
            return;
        noted = shepherd_now_s();
        shepherd_disabled_text(s, text);
        if (s->disabled > 0)
            shepherd_slurm_note(s, "refused: %s", text);
        else
            shepherd_slurm_note(s, "saved: %s, just before", s->last_generation);
        return;
    }
    s->ring = true;
    shepherd_slurm_note(s, "a checkpoint is being made");
    if (s->limit_due || s->preempted)
        return; /* the last one comes within a second, or before the end of the grace time */
    shepherd_dump(s, s->limit_near ? "warning" : "operator", false);
}

void shepherd_bell(struct shepherd *s)
{
    if (s->dumping && s->dump_stop) {
        s->bell = true;
        return;
    }
    if (take_all(s) == 0)
        bare_ring(s);
}

void shepherd_requests_answer(struct shepherd *s, const struct proto_reply *r, const char *state,
                              const char *text)
{
    if (s->request.id[0])
        answer(s, &s->request, state, r, text);
    s->request.id[0] = '\0';
    if (s->ring && r->error == 0)
        shepherd_slurm_note(s, "saved: %s", r->generation);
    else if (s->ring)
        shepherd_slurm_note(s, "failed: %.300s", text);
    s->ring = false;
    for (size_t i = 0; i < SHEPHERD_WAITING; i++) {
        struct request q = {.verb = "disable"};

        if (!s->waiting[i][0])
            continue;
        memcpy(q.id, s->waiting[i], sizeof q.id);
        s->waiting[i][0] = '\0';
        answer(s, &q, "done", NULL, "");
    }
}

void shepherd_requests_next(struct shepherd *s)
{
    struct request q = s->queued;
    char text[160];

    s->queued.id[0] = '\0';
    if (s->able.id[0] && !s->ended)
        shepherd_able(s, &s->able);
    s->able.id[0] = '\0';
    if (q.id[0] && s->disabled > 0) {
        shepherd_disabled_text(s, text);
        answer(s, &q, "refused", NULL, text);
    } else if (q.id[0]) {
        start(s, &q);
    }
    if (s->bell && !s->dumping) {
        s->bell = false;
        shepherd_bell(s);
    } else if (s->more && !s->dumping) {
        shepherd_requests(s);
    }
}
