/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/base.h"
#include "cmd/cmd.h"
#include "cmd/foreign.h"
#include "cmd/generation.h"
#include "cmd/job.h"
#include "cmd/quietly.h"
#include "cmd/target.h"
#include "cmd/text.h"
#include "cmd/verb.h"
#include "common/event.h"
#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 5

/* What is remembered while the history goes by, oldest first. */
struct history {
    struct event failure[SHOWN]; /* a ring */
    unsigned failures;           /* all of them */
    unsigned current;            /* since the last success */
    struct event success;        /* the last checkpoint or restore that worked; "" none */
    char last[32];               /* when the last event was, of any kind */
};

static int note(const struct event *e, void *arg)
{
    struct history *h = arg;

    memcpy(h->last, e->time, sizeof h->last);
    if (!strcmp(e->event, "checkpoint-failed") || !strcmp(e->event, "restore-failed") ||
        !strcmp(e->event, "held") || !strcmp(e->event, "vetoed") ||
        !strcmp(e->event, "elsewhere")) {
        h->failure[h->failures++ % SHOWN] = *e;
        h->current++;
    } else if (!strcmp(e->event, "checkpoint") || !strcmp(e->event, "restored")) {
        h->success = *e;
        h->current = 0;
    }
    return 0;
}

/* The newest generation that is not damaged; false: none. */
static bool last_good(int taskfd, const struct base_job *j, struct generation *row)
{
    struct gendir_id *ids = NULL;
    int n = gendir_list(taskfd, &ids, NULL);
    bool found = false;

    for (int i = 0; i < n && !found; i++) {
        generation_load(taskfd, j, ids[i], row);
        found = !row->damaged;
    }
    free(ids);
    return found;
}

static unsigned shown(const struct history *h)
{
    return h->failures < SHOWN ? h->failures : SHOWN;
}

/* i counts from the newest. */
static const struct event *failure(const struct history *h, unsigned i)
{
    return &h->failure[(h->failures - 1 - i) % SHOWN];
}

static void print_event(const struct event *e)
{
    char when[32], text[sizeof e->text];

    text_local_time(e->time, when);
    memcpy(text, e->text, sizeof text);
    err_clean(text);
    printf("  %s  %s on %s%s%s: %s\n", when, e->event, e->node, *e->generation ? ", " : "",
           e->generation, text);
}

/* Why the job is held, where its directory could not be written and has no event of that. */
struct held {
    char when[32], why[512];
};

static int ask_held(void *arg, void *result, struct err *err)
{
    const struct base_job *j = arg;
    struct held *held = result;
    const char *cluster = job_cluster();

    if (cluster && !strcmp(cluster, j->cluster) && job_held(j->job, held->when, held->why))
        return 0;
    errno = ENOENT;
    return err_set(err, "it is not held");
}

static bool is_held(const struct base_job *j, const struct history *h, struct held *held)
{
    struct base_job job = *j;

    memset(held, 0, sizeof *held);
    return !strcmp(j->task, "batch") && quietly(ask_held, &job, held, sizeof *held) == 0 &&
           strncmp(held->when, h->last, strlen("2026-01-01T00:00:00")) >= 0 &&
           (h->failures == 0 || strcmp(failure(h, 0)->event, "held") != 0 ||
            strncmp(failure(h, 0)->text, held->why, strlen(held->why)) != 0);
}

static void print_text(const struct base_job *j, const struct history *h,
                       const struct generation *good, const struct held *held)
{
    char when[32], job[BASE_LABEL_MAX];

    base_label(j, job);
    if (held) {
        text_local_time(held->when, when);
        printf("job %s: held since %s: %s; scontrol release %u tries again\n", job, when, held->why,
               j->job);
    }
    if (h->failures == 0 && !held)
        printf("job %s: no error\n", job);
    else if (h->failures > 0 && h->current == 0)
        printf("job %s: no error since; earlier, newest first:\n", job);
    else if (h->failures > 0)
        printf("job %s: failed %u time%s since the last success; newest first:\n", job, h->current,
               h->current == 1 ? "" : "s");
    for (unsigned i = 0; i < shown(h); i++)
        print_event(failure(h, i));
    if (h->failures > SHOWN)
        printf("  ... and %u before\n", h->failures - SHOWN);
    if (good) {
        char name[40];

        text_local_time(good->created, when);
        gendir_format_name(good->id, false, name);
        printf("last good generation: %s of %s on %s\n", name, when, good->node);
    } else {
        printf("last good generation: none\n");
    }
}

static json_t *task_json(const struct base_job *j, const struct history *h,
                         const struct generation *good, const struct held *held)
{
    json_t *list = json_array(), *o;
    char name[40];

    for (unsigned i = 0; i < shown(h); i++) {
        const struct event *e = failure(h, i);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "time", e->time, "event",
                                        e->event, "node", e->node, "generation", e->generation,
                                        "text", e->text, "epoch", (json_int_t)e->epoch));
    }
    o = json_pack("{s:I, s:s, s:s, s:s, s:I, s:o}", "job", (json_int_t)j->job, "task", j->task,
                  "cluster", j->cluster, "nonce", j->nonce, "failures_since_success",
                  (json_int_t)h->current, "failures", list);
    json_object_set_new(o, "held",
                        held ? json_pack("{s:s, s:s}", "time", held->when, "text", held->why)
                             : json_null());
    if (good) {
        gendir_format_name(good->id, false, name);
        json_object_set_new(o, "last_good",
                            json_pack("{s:s, s:s, s:s}", "generation", name, "created",
                                      good->created, "node", good->node));
    } else {
        json_object_set_new(o, "last_good", json_null());
    }
    return o;
}

/* One task; with --json into the list. */
static int tell_task(const struct cmd *c, const char *path, const struct base_job *j, json_t *list,
                     struct err *err)
{
    struct history *h = calloc(1, sizeof *h);
    int taskfd = base_open_task(path, j, err), rc = -1;
    struct generation good;
    struct held now, *held = &now;
    bool found;

    if (!h) {
        err_sys(err, "no memory");
    } else if (taskfd >= 0 && event_each(taskfd, note, h, err) == 0) {
        found = last_good(taskfd, j, &good);
        if (!is_held(j, h, held))
            held = NULL;
        if (c->json)
            json_array_append_new(list, task_json(j, h, found ? &good : NULL, held));
        else
            print_text(j, h, found ? &good : NULL, held);
        rc = 0;
    }
    io_close(&taskfd);
    free(h);
    return rc;
}

/* The first one's, with the others' as its "steps". */
static int print_list(json_t *list)
{
    json_t *o = json_incref(json_array_get(list, 0));

    json_array_remove(list, 0);
    if (json_array_size(list) > 0)
        json_object_set(o, "steps", list);
    return cmd_print_json(o);
}

static int error_own(const struct cmd *c)
{
    struct base_job *tasks = NULL;
    struct target_name name;
    json_t *list = json_array();
    char path[PATH_MAX];
    struct err err = {{0}};
    int n = -1, rc = -1, status = CMD_FAILED;

    if (!target_parse(c->job, &name) || name.which != TARGET_ANY) {
        err_set(&err, "not a job, a step or a task of one: %s (12, 12_3, 12.0, 12.0/1)", c->job);
        status = CMD_USAGE;
    } else {
        n = target_tasks(c, &name, path, &tasks, &err);
        rc = n < 0 ? -1 : 0;
    }
    for (int i = 0; i < n && rc == 0; i++)
        rc = tell_task(c, path, &tasks[i], list, &err);
    if (rc == 0 && c->json)
        rc = print_list(list);
    else if (rc < 0)
        cmd_fail(c, status, &err);
    free(tasks);
    json_decref(list);
    return rc == 0 ? CMD_DONE : status;
}

static int run_error(const struct cmd *c)
{
    return foreign_run(c, "error", error_own);
}

const struct verb verb_error = {
    .name = "error",
    .args = "JOBID",
    .summary = "tell what last went wrong",
    .run = run_error,
    .min_args = 1,
    .max_args = 1,
    .takes = VERB_USER,
    .help =
        "usage: scheckpoint error [--json] [-d DIR] [--user NAME] JOBID[.STEP[/TASK]]\n"
        "\n"
        "Tells the last failures of a job's checkpoints and restores, and its last good\n"
        "generation; of a job with steps of srun's those of each of their tasks, or of one\n"
        "step (12.0), or of one task (12.0/1).\n"
        "Root may name other users' jobs; an operator of Slurm is told what their comments say.\n"
        "\n"
        "  --user NAME  as that user; root's\n",
};
