/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/history.h"

#include "cmd/cmd.h"
#include "cmd/job.h"
#include "cmd/quietly.h"
#include "cmd/target.h"
#include "cmd/text.h"
#include "cmd/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS 9

static void local(int64_t at, char out[32])
{
    time_t t = (time_t)at;
    struct tm tm;

    snprintf(out, 32, "-");
    if (at > 0 && localtime_r(&t, &tm))
        strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

/* "1-02:03:04", as Slurm writes times. */
static void duration(int64_t s, char out[32])
{
    if (s >= 86400)
        snprintf(out, 32, "%" PRId64 "-%02d:%02d:%02d", s / 86400, (int)(s / 3600 % 24),
                 (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(out, 32, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

/* The same, and whether it may have been more. */
static void at_least(int64_t s, bool more, char out[32])
{
    char text[32];

    duration(s, text);
    snprintf(out, 32, "%s%.28s", more ? ">=" : "", text);
}

struct run_id {
    uint32_t job, epoch;
};

static int runs(void *arg, void *result, struct err *err)
{
    const struct run_id *r = arg;
    const struct job_name name = {.id = r->job};
    struct job *jobs = NULL;
    unsigned waiting;
    int n = job_load_all(&name, &jobs, &waiting, err);
    bool *found = result;

    for (int i = 0; i < n; i++)
        *found |= jobs[i].id == r->job && jobs[i].uid == geteuid() &&
                  jobs[i].restarts == r->epoch &&
                  (jobs[i].phase == JOB_PHASE_RUNNING || jobs[i].phase == JOB_PHASE_SUSPENDED);
    free(jobs);
    return n < 0 ? -1 : 0;
}

void history_ask(uint32_t job, struct history *h)
{
    struct history_run *last = h->n ? &h->runs[h->n - 1] : NULL;
    struct run_id id;
    bool running = false;

    if (!last || last->ended)
        return;
    id = (struct run_id){job, last->epoch};
    if (quietly(runs, &id, &running, sizeof running) < 0 || !running)
        return;
    last->running = true;
    if ((int64_t)time(NULL) > last->end)
        last->end = (int64_t)time(NULL);
}

/* What was lost of the last run nobody knows yet. */
static bool is_open(const struct history *h, size_t i)
{
    return !h->runs[i].ended && !h->runs[i].running && i + 1 < h->n;
}

static int add_run(struct text_table *t, const struct history *h, size_t at)
{
    const struct history_run *r = &h->runs[at];
    char run[16], start[32], end[32], ran[32], lost[32], saved[24], last[32], began[64];
    const char *const cells[COLUMNS] = {run, began, r->node, start, saved, last, end, ran, lost};

    snprintf(run, sizeof run, "%u", r->epoch);
    snprintf(began, sizeof began, "%s%s%s", r->began, r->generation[0] ? " " : "", r->generation);
    local(r->start, start);
    local(r->ended ? r->end : 0, end);
    if (!r->ended && !r->running)
        snprintf(end, sizeof end, "unknown");
    local(r->last_saved, last);
    if (r->failed)
        snprintf(saved, sizeof saved, "%u, %u failed", r->saved, r->failed);
    else
        snprintf(saved, sizeof saved, "%u", r->saved);
    at_least(r->end - r->start, !r->ended && !r->running, ran);
    at_least(r->lost, is_open(h, at), lost);
    for (size_t i = 0; i < COLUMNS; i++)
        if (text_table_add(t, cells[i]) < 0)
            return -1;
    return 0;
}

int history_print(uint32_t job, const struct history *h)
{
    static const char *const head[COLUMNS] = {"RUN",        "BEGAN", "NODE", "START", "CHECKPOINTS",
                                              "LAST SAVED", "END",   "RAN",  "LOST"};
    struct text_table *t = text_table_create(COLUMNS);
    bool more_ran = false, more_lost = false;
    char ran[32], lost[32];
    int rc = t ? 0 : -1;

    for (size_t i = 0; i < h->n; i++) {
        more_ran |= !h->runs[i].ended && !h->runs[i].running;
        more_lost |= is_open(h, i);
    }
    for (size_t i = 0; i < COLUMNS && rc == 0; i++)
        rc = text_table_add(t, head[i]);
    for (size_t i = 0; i < h->n && rc == 0; i++)
        rc = add_run(t, h, i);
    if (rc == 0)
        text_table_print(t, 1u << 0 | 1u << 7 | 1u << 8, stdout);
    text_table_destroy(t);
    at_least(history_ran(h, UINT32_MAX), more_ran, ran);
    at_least(history_lost(h), more_lost, lost);
    printf("job %u: %zu run%s, %s in all, %s of it lost\n", job, h->n, h->n == 1 ? "" : "s", ran,
           lost);
    return rc;
}

static json_t *runs_json(const struct history *h)
{
    json_t *list = json_array();

    for (size_t i = 0; i < h->n; i++) {
        const struct history_run *r = &h->runs[i];

        json_array_append_new(
            list, json_pack("{s:I, s:o, s:s, s:s, s:I, s:o, s:I, s:b, s:I, s:I, s:I, s:I}", "run",
                            (json_int_t)r->epoch, "node", cmd_json_string(r->node), "began",
                            r->began, "generation", r->generation, "start", (json_int_t)r->start,
                            "end", r->ended ? json_integer(r->end) : json_null(), "last_known",
                            (json_int_t)r->end, "running", (int)r->running, "last_saved",
                            (json_int_t)r->last_saved, "checkpoints", (json_int_t)r->saved,
                            "failed", (json_int_t)r->failed, "lost", (json_int_t)r->lost));
    }
    return list;
}

json_t *history_json(uint32_t job, const struct history *h)
{
    return json_pack("{s:I, s:o, s:I, s:I}", "job", (json_int_t)job, "runs", runs_json(h), "ran",
                     (json_int_t)history_ran(h, UINT32_MAX), "lost", (json_int_t)history_lost(h));
}

static int tell(const struct cmd *c, const struct target *t, struct err *err)
{
    struct history h = {0};
    int rc = event_each(t->taskfd, history_add, &h, err);

    history_ask(t->job.job, &h);
    if (rc == 0 && c->html)
        history_html(t->job.job, &h);
    else if (rc == 0 && c->json)
        rc = cmd_print_json(history_json(t->job.job, &h));
    else if (rc == 0 && history_print(t->job.job, &h) < 0)
        rc = err_sys(err, "no memory");
    history_free(&h);
    return rc;
}

static int run_history(const struct cmd *c)
{
    struct target_name name;
    struct err err = {""};

    if (!target_parse(c->job, &name) || name.which != TARGET_ANY) {
        err_set(&err, "not a job or a task of one: %s (12, 12_3, 12.0/1)", c->job);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    return target_with(c, "history", &name, tell);
}

const struct verb verb_history = {
    .name = "history",
    .args = "JOBID",
    .summary = "tell its runs, checkpoints and the time lost",
    .run = run_history,
    .min_args = 1,
    .max_args = 1,
    .takes = VERB_HTML,
    .help = "usage: scheckpoint history [--html | --json] [-d DIR] JOBID\n"
            "\n"
            "Tells a job's runs: what each began from and where, how often it was saved and when\n"
            "last, how long it ran, and how much of that had to be done again. END is \"-\" for\n"
            "the one that runs, and unknown for one that was killed: what is told of its time is\n"
            "then the least that it was (>=).\n"
            "\n"
            "  --html   a page with a drawing, on standard output\n",
};
