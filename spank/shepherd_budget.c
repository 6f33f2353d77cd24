/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/history.h"
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/interval.h"
#include "spank/shepherd.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

struct past {
    uint32_t epoch;
    int64_t ran;                 /* seconds, in the runs before this one */
    uint32_t pause_us, total_ms; /* of the last checkpoint; 0: there was none */
    bool cut;                    /* SIGKILL came before the last one was done */
};

struct reading {
    struct history history;
    struct past *past;
};

static int take(const struct event *e, void *arg)
{
    struct reading *r = arg;

    if (strcmp(e->event, "checkpoint") == 0 && e->total_ms > 0) {
        r->past->pause_us = e->pause_us;
        r->past->total_ms = e->total_ms;
    }
    if (strcmp(e->event, "note") != 0)
        r->past->cut = strcmp(e->event, "last-begun") == 0;
    return history_add(e, &r->history);
}

static int read_past(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    struct reading r = {.past = result};
    int taskfd = gendir_open_task(f, false, err), rc;

    if (taskfd < 0)
        return -1;
    rc = event_each(taskfd, take, &r, err);
    r.past->ran = history_ran(&r.history, f->epoch);
    history_free(&r.history);
    io_close(&taskfd);
    return rc;
}

static void set_interval(struct shepherd *s, uint32_t pause_us, uint32_t total_ms)
{
    cpu_set_t set;
    unsigned cpus = 1, threads = s->facts.threads;
    uint32_t cost;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = (unsigned)CPU_COUNT(&set);
    if (threads == 0)
        threads = cpus < 8 ? cpus : 8;
    cost = interval_cost(pause_us, total_ms, threads, cpus);
    /* The mean of the last ones, the newest most: one slow moment of the filesystem is not the rule. */
    s->cost_ms = s->cost_ms ? s->cost_ms / 2 + cost / 2 : cost;
    s->facts.interval = interval_next(s->cost_ms, total_ms, s->facts.mtbf, s->facts.overhead);
}

void shepherd_interval_learn(struct shepherd *s, const struct proto_reply *r)
{
    uint32_t before = s->facts.interval;
    char text[160];

    if (!s->facts.interval_auto || r->total_ms == 0)
        return;
    set_interval(s, r->pause_us, r->total_ms);
    if (s->facts.interval > before + before / 4 || s->facts.interval < before - before / 4) {
        snprintf(text, sizeof text, "interval %u s, for a cost of %u ms", s->facts.interval,
                 s->cost_ms);
        shepherd_event(s, "note", "", text, NULL);
    }
}

/* The shepherd that was killed could not. */
static void tell_cut(struct shepherd *s)
{
    static const char text[] =
        "the last checkpoint was not done when Slurm killed the job: KillWait in "
        "slurm.conf is too short for it";

    shepherd_say("%s", text);
    shepherd_event(s, "checkpoint-failed", "", text, NULL);
}

int shepherd_budget_begin(struct shepherd *s)
{
    struct past past = {0};
    char why[200];

    s->began_s = shepherd_now_s();
    if (s->files && (s->facts.interval_auto || s->facts.max_runtime || s->facts.epoch > 0) &&
        clerk_run(read_past, &s->facts, &past, sizeof past, SHEPHERD_FILES_TIMEOUT_MS, NULL) < 0)
        memset(&past, 0, sizeof past);
    s->ran_s = past.ran;
    if (past.cut)
        tell_cut(s);
    if (s->facts.interval_auto) {
        if (past.total_ms > 0)
            set_interval(s, past.pause_us, past.total_ms);
        else if (s->facts.interval == 0 || s->facts.interval > INTERVAL_FIRST_S)
            s->facts.interval = INTERVAL_FIRST_S;
    }
    if (s->facts.max_runtime == 0 || s->ran_s < (int64_t)s->facts.max_runtime || s->step)
        return 0;
    snprintf(why, sizeof why, "max-runtime: the job has run %lld s of the %u s that it may",
             (long long)s->ran_s, s->facts.max_runtime);
    return shepherd_hold(s, why);
}

int64_t shepherd_budget_left(const struct shepherd *s)
{
    if (s->facts.max_runtime == 0 || s->step)
        return INT64_MAX;
    return (int64_t)s->facts.max_runtime - s->ran_s - (shepherd_now_s() - s->began_s);
}
