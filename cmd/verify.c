/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "cmd/target.h"
#include "cmd/text.h"
#include "cmd/verb.h"
#include "cmd/verify_pages.h"
#include "common/beneath.h"
#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BAR 30
#define REDRAW_MS 100

/* One run of the verb. */
struct run {
    const struct cmd *c;
    struct progress progress;
    uint64_t total, before; /* bytes of all; of the generations that are done */
    uint64_t read;
    char name[40];            /* the one at hand */
    char job[BASE_LABEL_MAX]; /* and its task */
    unsigned good, bad;
    int failed; /* jobs that could not be looked at */
    json_t *list;
    int64_t shown_ms; /* when the line was drawn last */
};

/* The generations of one job that are to be read. */
struct work {
    struct target t;
    struct gendir_id *ids; /* malloc'ed */
    int n;
};

static void tick(uint64_t done, void *arg)
{
    struct run *r = arg;
    const uint64_t at = r->before + done, total = r->total ? r->total : 1;
    const int64_t ms = progress_elapsed_ms(&r->progress);
    const unsigned filled = (unsigned)(at >= total ? BAR : (double)at / (double)total * BAR);
    char line[200], bar[BAR + 1];

    if (ms - r->shown_ms < REDRAW_MS)
        return;
    r->shown_ms = ms;
    memset(bar, '.', BAR);
    memset(bar, '#', filled);
    bar[BAR] = '\0';
    snprintf(line, sizeof line, "[%s] %3u %%, job %s, %s, %.0f MiB/s", bar,
             (unsigned)(at >= total ? 100 : (double)at / (double)total * 100), r->job, r->name,
             ms > 0 ? (double)at / 1048.576 / (double)ms : 0.0);
    progress_show(&r->progress, line);
}

static void tell(struct run *r, const struct base_job *j, bool good, uint64_t bytes,
                 const struct err *err)
{
    struct err clean = *err;
    char size[16];

    err_clean(clean.text);
    if (r->c->json) {
        json_array_append_new(
            r->list,
            json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:I}", "job", (json_int_t)j->job,
                      "task", j->task[0] ? j->task : BASE_TASK, "label", r->job, "cluster",
                      j->cluster, "nonce", j->nonce, "generation", r->name, "good", good, "text",
                      good ? "" : clean.text, "bytes", (json_int_t)bytes));
        return;
    }
    text_bytes(bytes, size);
    progress_end(&r->progress);
    if (good)
        printf("job %s, %s: good, %s\n", r->job, r->name, size);
    else
        printf("job %s, %s: BAD: %s\n", r->job, r->name, clean.text);
    fflush(stdout);
}

/* What is to be read of it; 0 when that is not to be found out: verifying will tell. */
static uint64_t size_of(int taskfd, struct gendir_id id)
{
    uint64_t sum = 0;
    char name[40];
    const struct dirent *e;
    struct stat st;
    DIR *d;
    int fd;

    gendir_format_name(id, false, name);
    fd = gendir_open_dir(taskfd, name, NULL);
    d = fd < 0 ? NULL : beneath_list(fd, NULL);
    while (d && (e = readdir(d)))
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
    if (d)
        beneath_end(d);
    io_close(&fd);
    return sum;
}

static int do_work(struct run *r, const struct work *w, struct err *err)
{
    struct facts *f = target_facts(r->c, w->t.path, &w->t.job, err);

    if (!f)
        return -1;
    base_label(&w->t.job, r->job);
    for (int i = 0; i < w->n; i++) {
        struct err why = {""};
        uint64_t bytes = 0;
        bool good;

        gendir_format_name(w->ids[i], false, r->name);
        tick(0, r);
        good = verify_whole(w->t.taskfd, w->ids[i], f, tick, r, &bytes, &why) == 0;
        r->read += bytes;
        r->before += size_of(w->t.taskfd, w->ids[i]);
        r->good += good;
        r->bad += !good;
        tell(r, &w->t.job, good, bytes, &why);
    }
    free(f);
    return 0;
}

static int open_task(const char *path, const struct base_job *task, struct work *w, struct err *err)
{
    memset(w, 0, sizeof *w);
    w->t.taskfd = -1;
    if (target_open_task(path, task, &w->t, err) < 0)
        return errno == ENOENT ? 0 : -1; /* it is being removed */
    w->n = gendir_list(w->t.taskfd, &w->ids, err);
    return w->n < 0 ? -1 : 0;
}

/* Only the one that is meant. */
static int choose(struct work *w, const struct target_name *name, struct err *err)
{
    struct gendir_id id;

    if (name->which == TARGET_ANY)
        return 0;
    if (w->n == 0)
        return 0;
    if (target_find(&w->t, name, &id, err) < 0) {
        w->n = 0;
        return errno == ENOENT ? 0 : -1;
    }
    w->ids[0] = id;
    w->n = 1;
    return 0;
}

/* One after the other, so that few descriptors are open.  The number of generations, or -1. */
static int do_tasks(struct run *r, int pass, const char *path, const struct base_job *tasks, int n,
                    const struct target_name *name, struct err *err)
{
    int found = 0, rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        struct work w;

        /* A generation without a step is the batch script's. */
        if (i > 0 && name->which == TARGET_EXACT && !name->has_step)
            break;
        rc = open_task(path, &tasks[i], &w, err);
        if (rc == 0)
            rc = choose(&w, name, err);
        for (int k = 0; rc == 0 && pass == 0 && k < w.n; k++)
            r->total += size_of(w.t.taskfd, w.ids[k]);
        if (rc == 0 && pass == 1 && w.n > 0)
            rc = do_work(r, &w, err);
        found += w.n > 0 ? w.n : 0;
        free(w.ids);
        target_close(&w.t);
    }
    return rc < 0 ? -1 : found;
}

/* errno EINVAL: not a name. */
static int verify_one(struct run *r, int pass, const char *text, struct err *err)
{
    struct base_job *tasks = NULL;
    struct target_name name;
    char path[PATH_MAX];
    int n, found;

    if (!target_parse(text, &name)) {
        errno = EINVAL;
        return err_set(err, "not a job or a generation of one: %s (" TARGET_FORMS ")", text);
    }
    n = target_tasks(r->c, &name, path, &tasks, err);
    if (n < 0)
        return -1;
    found = do_tasks(r, pass, path, tasks, n, &name, err);
    free(tasks);
    if (found == 0) {
        errno = ENOENT;
        if (name.which == TARGET_ANY || !err->text[0])
            err_set(err, "job %s has no checkpoint", text);
    }
    return found > 0 ? 0 : -1;
}

static int verify_named(struct run *r, struct err *err)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < r->c->nargs; i++)
            if (verify_one(r, pass, r->c->args[i], err) < 0)
                return errno == EINVAL ? CMD_USAGE : CMD_FAILED;
    return CMD_DONE;
}

static int verify_job(struct run *r, int pass, const char *path, const struct base_job *job,
                      struct err *err)
{
    static const struct target_name any = {.which = TARGET_ANY};
    struct base_job *tasks = NULL;
    int n = base_tasks(path, job, &tasks, err), found;

    found = n < 0 ? -1 : do_tasks(r, pass, path, tasks, n, &any, err);
    free(tasks);
    return found < 0 ? -1 : 0;
}

static int verify_all(struct run *r, struct err *err)
{
    struct base_job *jobs = NULL;
    char path[PATH_MAX];
    int n;

    if (base_path(r->c, path, err) < 0)
        return CMD_FAILED;
    n = base_scan(path, 0, NULL, &jobs, err);
    if (n < 0 && errno != ENOENT)
        return CMD_FAILED;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n; i++) {
            struct err one = {""};

            if (verify_job(r, pass, path, &jobs[i], &one) == 0 || errno == ENOENT || pass == 0)
                continue;
            err_clean(one.text);
            fprintf(stderr, "scheckpoint: job %u: %s\n", jobs[i].job, one.text);
            r->failed++;
        }
    free(jobs);
    return CMD_DONE;
}

static int finish(struct run *r)
{
    const int64_t ms = progress_elapsed_ms(&r->progress);
    const double rate = (double)r->read / 1048.576 / (double)(ms > 0 ? ms : 1);
    const bool bad = r->bad > 0 || r->failed > 0;
    char size[16];

    if (r->c->json) {
        if (cmd_print_json(json_pack("{s:I, s:I, s:I, s:I, s:o}", "good", (json_int_t)r->good,
                                     "bad", (json_int_t)r->bad, "bytes", (json_int_t)r->read,
                                     "elapsed_ms", (json_int_t)ms, "generations", r->list)) < 0)
            return CMD_FAILED;
    } else {
        text_bytes(r->read, size);
        printf("%u good, %u bad: %s in %.1f s, %.0f MiB/s\n", r->good, r->bad, size,
               (double)ms / 1e3, rate);
    }
    return bad ? CMD_FAILED : CMD_DONE;
}

static int run_verify(const struct cmd *c)
{
    struct run r = {.c = c};
    struct err err = {""};
    int status;

    if (cmd_is_root(c, "verify", &err))
        return cmd_fail(c, CMD_REFUSED, &err);
    r.list = json_array();
    progress_start(&r.progress);
    status = c->all ? verify_all(&r, &err) : verify_named(&r, &err);
    progress_end(&r.progress);
    if (status == CMD_DONE)
        return finish(&r);
    json_decref(r.list);
    return cmd_fail(c, status, &err);
}

const struct verb verb_verify = {
    .name = "verify",
    .args = "JOBID[.GEN]",
    .summary = "read checkpoints wholly and verify them",
    .run = run_verify,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_ALL,
    .help = "usage: scheckpoint verify [--json] [-d DIR] JOBID[.STEP[/TASK]][.GENERATION]...\n"
            "       scheckpoint verify [--json] [-d DIR] --all\n"
            "\n"
            "Reads checkpoints wholly and verifies seal, manifest and every byte of the data.\n"
            "Without GENERATION all of the job's, those of all tasks of srun's too (or of one\n"
            "step's, 12.0, or of one task's, 12.0/1). Exit status 1 when one is not good.\n"
            "\n"
            "  --all   all checkpoints of all your jobs\n",
};
