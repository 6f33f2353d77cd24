/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cmd.h"
#include "cmd/foreign.h"
#include "cmd/generation.h"
#include "cmd/history.h"
#include "cmd/job.h"
#include "cmd/target.h"
#include "cmd/text.h"
#include "cmd/verb.h"
#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    struct generation *row;
    size_t n, room;
};

static int add_task(const char *path, const struct base_job *j, struct rows *rows, struct err *err)
{
    struct gendir_id *ids = NULL;
    int taskfd = base_open_task(path, j, err), n, rc = 0;

    if (taskfd < 0)
        return errno == ENOENT ? 0 : -1; /* a job that has just started, or one being removed */
    n = gendir_list(taskfd, &ids, err);
    for (int i = 0; i < n && rc == 0; i++) {
        if (rows->n == rows->room) {
            size_t room = rows->room ? 2 * rows->room : 64;
            struct generation *bigger = realloc(rows->row, room * sizeof *bigger);

            if (!bigger) {
                rc = err_sys(err, "no memory");
                break;
            }
            rows->row = bigger;
            rows->room = room;
        }
        generation_load(taskfd, j, ids[i], &rows->row[rows->n++]);
    }
    free(ids);
    io_close(&taskfd);
    return n < 0 ? -1 : rc;
}

static int add_job(const char *path, const struct base_job *j, struct rows *rows, struct err *err)
{
    struct base_job *tasks = NULL;
    int n = base_tasks(path, j, &tasks, err), rc = n < 0 && errno != ENOENT ? -1 : 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = add_task(path, &tasks[i], rows, err);
    free(tasks);
    return rc;
}

static int newest_first(const void *a, const void *b)
{
    const struct generation *x = a, *y = b;
    int order = strcmp(y->created, x->created);

    return order ? order : gendir_compare(y->id, x->id);
}

static json_t *row_object(const struct generation *r)
{
    char name[40];
    json_t *o;

    gendir_format_name(r->id, false, name);
    o = json_pack("{s:I, s:s, s:s, s:s, s:b}", "job", (json_int_t)r->job.job, "cluster",
                  r->job.cluster, "nonce", r->job.nonce, "generation", name, "damaged", r->damaged);
    if (!o)
        return NULL;
    json_object_set_new(o, "task", json_string(r->job.task));
    if (r->job.is_step) {
        if (r->job.step != UINT32_MAX)
            json_object_set_new(o, "step", json_integer((json_int_t)r->job.step));
        json_object_set_new(o, "task_id", json_integer((json_int_t)r->job.taskid));
    }
    json_object_set_new(o, "created", json_string(r->created));
    if (r->damaged) {
        json_object_set_new(o, "text", json_string(r->why));
        return o;
    }
    json_object_set_new(o, "reason", json_string(r->reason));
    json_object_set_new(o, "node", json_string(r->node));
    json_object_set_new(o, "pause_us", json_integer(r->pause_us));
    json_object_set_new(o, "total_ms", json_integer(r->total_ms));
    json_object_set_new(o, "stored_bytes", json_integer((json_int_t)r->stored_bytes));
    json_object_set_new(o, "written_bytes", json_integer((json_int_t)r->written_bytes));
    json_object_set_new(o, "raw_bytes", json_integer((json_int_t)r->raw_bytes));
    json_object_set_new(o, "processes", json_integer((json_int_t)r->processes));
    if (r->more_processes)
        json_object_set_new(o, "more_processes", json_true());
    return o;
}

/* How much one job's checkpoints take, or all (job NULL). */
struct sum {
    const struct base_job *job;
    size_t generations, jobs;
    uint64_t bytes;
};

static bool same_job(const struct base_job *a, const struct base_job *b)
{
    return a->job == b->job && !strcmp(a->nonce, b->nonce) && !strcmp(a->cluster, b->cluster);
}

static int by_job(const void *a, const void *b)
{
    const struct generation *x = *(const struct generation *const *)a;
    const struct generation *y = *(const struct generation *const *)b;
    int order = strcmp(x->job.cluster, y->job.cluster);

    if (order == 0)
        order = (x->job.job > y->job.job) - (x->job.job < y->job.job);
    return order ? order : strcmp(x->job.nonce, y->job.nonce);
}

/* One sum for each job, by number; *all of them together.  The caller frees the list; NULL: no memory. */
static struct sum *sum_jobs(const struct rows *rows, struct sum *all)
{
    const struct generation **sorted = calloc(rows->n + 1, sizeof(const struct generation *));
    struct sum *sums = calloc(rows->n + 1, sizeof *sums);

    memset(all, 0, sizeof *all);
    for (size_t i = 0; sorted && i < rows->n; i++)
        sorted[i] = &rows->row[i];
    if (sorted && rows->n > 1)
        qsort(sorted, rows->n, sizeof(const struct generation *), by_job);
    for (size_t i = 0; sorted && sums && i < rows->n; i++) {
        if (i == 0 || !same_job(&sorted[i]->job, &sorted[i - 1]->job))
            sums[all->jobs++].job = &sorted[i]->job;
        sums[all->jobs - 1].generations++;
        sums[all->jobs - 1].bytes += sorted[i]->stored_bytes;
        all->generations++;
        all->bytes += sorted[i]->stored_bytes;
    }
    if (!sorted) {
        free(sums);
        sums = NULL;
    }
    free(sorted);
    return sums;
}

static int print_json(const char *path, const struct rows *rows, json_t *history)
{
    json_t *list = json_array(), *jobs = json_array(), *top;
    struct sum all, *sums = sum_jobs(rows, &all);

    for (size_t i = 0; i < rows->n; i++)
        json_array_append_new(list, row_object(&rows->row[i]));
    for (size_t i = 0; sums && i < all.jobs; i++)
        json_array_append_new(jobs, json_pack("{s:I, s:s, s:s, s:I, s:I}", "job",
                                              (json_int_t)sums[i].job->job, "cluster",
                                              sums[i].job->cluster, "nonce", sums[i].job->nonce,
                                              "generations", (json_int_t)sums[i].generations,
                                              "stored_bytes", (json_int_t)sums[i].bytes));
    free(sums);
    top = json_pack("{s:s, s:o, s:o, s:I}", "directory", path, "generations", list, "jobs", jobs,
                    "stored_bytes", (json_int_t)all.bytes);
    if (top && history)
        json_object_set(top, "history", history);
    return cmd_print_json(top);
}

static void print_sum(const struct sum *s)
{
    char bytes[16];

    text_bytes(s->bytes, bytes);
    if (s->job)
        printf("job %u: ", s->job->job);
    else
        printf("together: %zu jobs, ", s->jobs);
    printf("%zu generation%s, %s\n", s->generations, s->generations == 1 ? "" : "s", bytes);
}

static int print_sums(const struct rows *rows)
{
    struct sum all, *sums = sum_jobs(rows, &all);

    if (!sums)
        return -1;
    if (all.jobs > 0)
        putchar('\n');
    for (size_t i = 0; i < all.jobs; i++)
        print_sum(&sums[i]);
    if (all.jobs > 1)
        print_sum(&all);
    free(sums);
    return 0;
}

static int add_cells(struct text_table *t, const char *const *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text_table_add(t, cells[i]) < 0)
            return -1;
    return 0;
}

static int add_row(struct text_table *t, const struct generation *r)
{
    char job[BASE_LABEL_MAX], gen[40], when[32], pause[16], stored[16], raw[16], procs[24];
    const char *const good[] = {job, gen, when, r->reason, r->node, pause, stored, raw, procs};
    const char *const bad[] = {job, gen, when, "damaged", "-", "-", "-", "-", "-"};

    base_label(&r->job, job);
    gendir_format_name(r->id, false, gen);
    text_local_time(r->created, when);
    text_microseconds(r->pause_us, pause);
    text_bytes(r->stored_bytes, stored);
    text_bytes(r->raw_bytes, raw);
    snprintf(procs, sizeof procs, "%zu%s", r->processes, r->more_processes ? "+" : "");
    return add_cells(t, r->damaged ? bad : good, sizeof good / sizeof good[0]);
}

static int print_table(const struct rows *rows)
{
    static const char *const head[] = {"JOBID", "GENERATION", "WHEN", "REASON", "NODE",
                                       "PAUSE", "SIZE",       "RAW",  "PROCS"};
    size_t columns = sizeof head / sizeof head[0];
    struct text_table *t = text_table_create(columns);
    int rc = t ? add_cells(t, head, columns) : -1;

    for (size_t i = 0; i < rows->n && rc == 0; i++)
        rc = add_row(t, &rows->row[i]);
    if (rc == 0)
        text_table_print(t, 1u << 0 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8, stdout);
    text_table_destroy(t);
    if (rc == 0)
        rc = print_sums(rows);
    for (size_t i = 0; i < rows->n && rc == 0; i++) {
        const struct generation *r = &rows->row[i];
        char name[40], job[BASE_LABEL_MAX];

        gendir_format_name(r->id, false, name);
        base_label(&r->job, job);
        if (r->damaged)
            fprintf(stderr, "scheckpoint: job %s: %s is damaged: %s\n", job, name, r->why);
    }
    return rc;
}

/* The jobs to show: all, or the newest of one id, or tasks of steps in it. */
static int choose(const struct cmd *c, const char *path, struct base_job **jobs, struct err *err)
{
    char same[PATH_MAX];
    struct target_name name;
    uint32_t id = 0;
    int n;

    if (!c->job) {
        n = base_scan(path, 0, NULL, jobs, err);
        /* The site's is made with the first job; one that is named is a slip when it is not there. */
        return n < 0 && errno == ENOENT && !c->dir ? 0 : n;
    }
    if (!target_parse(c->job, &name) || name.which != TARGET_ANY) {
        errno = EINVAL;
        return err_set(err, "not a job, a step or a task of one: %s (12, 12_3, 12.0, 12.0/1)",
                       c->job);
    }
    if (name.has_step)
        return target_tasks(c, &name, same, jobs, err);
    *jobs = malloc(sizeof **jobs);
    if (!*jobs)
        return err_sys(err, "no memory");
    return job_resolve(name.job, &id, err) < 0 || base_find(path, id, NULL, *jobs, err) < 0 ? -1
                                                                                            : 1;
}

/* Of one job its runs, too. */
static int load_history(const char *path, const struct base_job *j, struct history *h,
                        struct err *err)
{
    int taskfd = base_open_task(path, j, err);
    int rc = taskfd < 0 ? -1 : event_each(taskfd, history_add, h, err);

    io_close(&taskfd);
    if (rc == 0)
        history_ask(j->job, h);
    return rc;
}

static int print_all(const struct cmd *c, const char *path, const struct rows *rows,
                     const struct base_job *job, const struct history *h)
{
    json_t *runs;
    int rc;

    if (!c->json) {
        rc = print_table(rows);
        if (rc == 0 && h->n > 0) {
            putchar('\n');
            rc = history_print(job->job, h);
        }
        return rc;
    }
    runs = h->n > 0 ? history_json(job->job, h) : NULL;
    rc = print_json(path, rows, runs);
    json_decref(runs);
    return rc == CMD_DONE ? 0 : -1;
}

static int list_own(const struct cmd *c)
{
    char path[PATH_MAX];
    struct base_job *jobs = NULL;
    struct rows rows = {NULL, 0, 0};
    struct history h = {0};
    struct err err = {{0}};
    int n, status = CMD_DONE;

    if (base_path(c, path, &err) < 0)
        return cmd_fail(c, CMD_FAILED, &err);
    n = choose(c, path, &jobs, &err);
    if (n < 0)
        status = cmd_fail(c, errno == EINVAL ? CMD_USAGE : CMD_FAILED, &err);
    for (int i = 0; i < n; i++) {
        struct err one = {{0}};

        if ((jobs[i].is_step ? add_task : add_job)(path, &jobs[i], &rows, &one) < 0 ||
            (c->job && !jobs[i].is_step && load_history(path, &jobs[i], &h, &one) < 0 &&
             errno != ENOENT)) {
            err_prefix(&one, "job %u", jobs[i].job);
            err_clean(one.text);
            fprintf(stderr, "scheckpoint: %s\n", one.text);
            status = CMD_FAILED;
        }
    }
    if (n < 0) {
        free(jobs);
        return status;
    }
    if (rows.n > 1)
        qsort(rows.row, rows.n, sizeof *rows.row, newest_first);
    if (print_all(c, path, &rows, jobs, &h) < 0)
        status = CMD_FAILED;
    history_free(&h);
    free(jobs);
    if (rows.n == 0 && !c->json)
        fprintf(stderr, "scheckpoint: no checkpoints%s%s in %s\n", c->job ? " of job " : "",
                c->job ? c->job : "", path);
    free(rows.row);
    return status;
}

static int run_list(const struct cmd *c)
{
    return foreign_run(c, "list", list_own);
}

const struct verb verb_list = {
    .name = "list",
    .args = "[JOBID]",
    .summary = "list your checkpoints",
    .run = run_list,
    .min_args = 0,
    .max_args = 1,
    .takes = VERB_USER,
    .help =
        "usage: scheckpoint list [--json] [-d DIR] [--user NAME] [JOBID[.STEP[/TASK]]]\n"
        "\n"
        "Lists your checkpoints, newest first; of one job also its runs (scheckpoint history).\n"
        "Those of tasks of srun's are shown as 12.0/1: task 1 of step 0 of job 12.\n"
        "Root may name other users' jobs; an operator of Slurm is told what their comments say.\n"
        "\n"
        "  --user NAME  that user's; root's\n",
};
