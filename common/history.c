/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t history_time(const char *rfc3339)
{
    struct tm tm;
    const char *end;

    memset(&tm, 0, sizeof tm);
    end = strptime(rfc3339, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return end && !*end ? (int64_t)timegm(&tm) : 0;
}

static bool is(const struct event *e, const char *name)
{
    return strcmp(e->event, name) == 0;
}

/* The generation that a restore goes back to was saved in some run: what that run did later, and all between, is lost. */
static void lose(struct history *h, const char *generation, bool scratch)
{
    for (size_t i = h->n; i-- > 0;) {
        struct history_run *r = &h->runs[i];

        for (size_t k = r->nmarks; k-- > 0 && !scratch;)
            if (strcmp(r->marks[k].event, "checkpoint") == 0 &&
                strcmp(r->marks[k].generation, generation) == 0) {
                r->lost = r->end - r->marks[k].at;
                return;
            }
        r->lost = r->end - r->start;
        if (!scratch && strcmp(r->generation, generation) == 0)
            return; /* it had begun from there itself */
    }
}

static struct history_run *add_run(struct history *h, const struct event *e, int64_t at)
{
    struct history_run *r;

    if (h->n == HISTORY_RUNS_MAX)
        return NULL;
    if (!h->runs || (h->n & (h->n - 1)) == 0) { /* room doubles at each power of two */
        r = realloc(h->runs, (h->n ? 2 * h->n : 1) * sizeof *r);
        if (!r)
            return NULL;
        h->runs = r;
    }
    r = &h->runs[h->n++];
    memset(r, 0, sizeof *r);
    r->epoch = e->epoch;
    r->start = r->end = at;
    memcpy(r->node, e->node, sizeof r->node);
    return r;
}

static int add_mark(struct history_run *r, const struct event *e, int64_t at)
{
    struct history_mark *m;

    if ((r->nmarks & (r->nmarks - 1)) == 0) {
        m = realloc(r->marks, (r->nmarks ? 2 * r->nmarks : 1) * sizeof *m);
        if (!m)
            return -1;
        r->marks = m;
    }
    m = &r->marks[r->nmarks++];
    m->at = at;
    memcpy(m->event, e->event, sizeof m->event);
    memcpy(m->generation, e->generation, sizeof m->generation);
    m->pause_us = e->pause_us;
    return 0;
}

static void begin(struct history *h, struct history_run *r, const struct event *e, int64_t at)
{
    bool scratch = is(e, "scratch");

    memcpy(r->began, e->event, sizeof r->began);
    r->start = at;
    if (is(e, "restored"))
        memcpy(r->generation, e->generation, sizeof r->generation);
    if (is(e, "started") || is(e, "rerun"))
        return;
    h->n--; /* it has lost nothing itself */
    lose(h, e->generation, scratch);
    h->n++;
}

/* Is it over with this event?  A checkpoint by Slurm's SIGTERM is the last one of its run. */
static void note_end(struct history_run *r, const struct event *e)
{
    if (is(e, "note") || is(e, "skipped") || is(e, "vetoed"))
        return;
    if (is(e, "checkpoint"))
        r->ended = r->ending || !strcmp(e->text, "requeue") || !strcmp(e->text, "preempt") ||
                   !strcmp(e->text, "terminate");
    else
        r->ended = is(e, "ended") || is(e, "requeue") || is(e, "held") || is(e, "elsewhere") ||
                   is(e, "cancelled");
    r->ending = is(e, "last-begun");
}

int history_add(const struct event *e, void *arg)
{
    struct history *h = arg;
    struct history_run *r = h->n ? &h->runs[h->n - 1] : NULL;
    int64_t at = history_time(e->time);

    if (at == 0)
        return 0;
    if (!r || e->epoch != r->epoch)
        r = add_run(h, e, at);
    if (!r)
        return 1;
    if (at > r->end)
        r->end = at;
    note_end(r, e);
    if (is(e, "started") || is(e, "restored") || is(e, "scratch") || is(e, "rerun")) {
        begin(h, r, e, at);
        return 0;
    }
    if (is(e, "checkpoint")) {
        r->saved++;
        r->last_saved = at;
    } else if (is(e, "checkpoint-failed") || is(e, "restore-failed")) {
        r->failed++;
    } else if (is(e, "note") || is(e, "skipped") || is(e, "vetoed") || is(e, "last-begun")) {
        return 0;
    }
    return add_mark(r, e, at) < 0;
}

void history_free(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->runs[i].marks);
    free(h->runs);
    memset(h, 0, sizeof *h);
}

int64_t history_ran(const struct history *h, uint32_t epoch)
{
    int64_t sum = 0;

    for (size_t i = 0; i < h->n; i++)
        if (h->runs[i].epoch < epoch)
            sum += h->runs[i].end - h->runs[i].start;
    return sum;
}

int64_t history_lost(const struct history *h)
{
    int64_t sum = 0;

    for (size_t i = 0; i < h->n; i++)
        sum += h->runs[i].lost;
    return sum;
}
