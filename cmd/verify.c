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
    char name[40]; /* the one at hand */
    uint32_t job;
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
    snprintf(line, sizeof line, "[%s] %3u %%, job %u, %s, %.0f MiB/s", bar,
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
        json_array_append_new(r->list,
                              json_pack("{s:I, s:s, s:s, s:s, s:b, s:s, s:I}", "job",
                                        (json_int_t)j->job, "cluster", j->cluster, "nonce",
                                        j->nonce, "generation", r->name, "good", good, "text",
                                        good ? "" : clean.text, "bytes", (json_int_t)bytes));
        return;
    }
    text_bytes(bytes, size);
    progress_end(&r->progress);
    if (good)
        printf("job %u, %s: good, %s\n", j->job, r->name, size);
    else
        printf("job %u, %s: BAD: %s\n", j->job, r->name, clean.text);
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
    r->job = w->t.job.job;
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

static int all_of(struct work *w, struct err *err)
{
    w->n = gendir_list(w->t.taskfd, &w->ids, err);
    if (w->n == 0) {
        errno = ENOENT;
        return err_set(err, "job %u has no checkpoint", w->t.job.job);
    }
    return w->n < 0 ? -1 : 0;
}

/* errno EINVAL: not a name. */
static int prepare(const struct cmd *c, const char *text, struct work *w, struct err *err)
{
    struct target_name name;

    if (!target_parse(text, &name)) {
        errno = EINVAL;
        return err_set(err, "not a job or a generation of one: %s (12, 12.last, 12.0.3)", text);
    }
    if (target_open(c, name.job, &w->t, err) < 0)
        return -1;
    if (name.which == TARGET_ANY)
        return all_of(w, err);
    w->ids = malloc(sizeof *w->ids);
    if (!w->ids)
        return err_sys(err, "no memory");
    w->n = 1;
    return target_find(&w->t, &name, &w->ids[0], err);
}

/* One after the other, so that few descriptors are open. */
static int verify_named(struct run *r, struct err *err)
{
    int status = CMD_DONE;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < r->c->nargs; i++) {
            struct work w = {.t = {.taskfd = -1}};
            int rc = prepare(r->c, r->c->args[i], &w, err);

            if (rc < 0 && errno == EINVAL)
                status = CMD_USAGE;
            for (int k = 0; rc == 0 && pass == 0 && k < w.n; k++)
                r->total += size_of(w.t.taskfd, w.ids[k]);
            if (rc == 0 && pass == 1)
                rc = do_work(r, &w, err);
            if (rc < 0 && status == CMD_DONE)
                status = CMD_FAILED;
            free(w.ids);
            target_close(&w.t);
            if (rc < 0)
                return status;
        }
    return status;
}

static int open_job(const char *path, const struct base_job *j, struct work *w, struct err *err)
{
    memset(w, 0, sizeof *w);
    snprintf(w->t.path, sizeof w->t.path, "%s", path);
    w->t.job = *j;
    w->t.taskfd = base_open_task(path, j, err);
    if (w->t.taskfd < 0)
        return -1;
    w->n = gendir_list(w->t.taskfd, &w->ids, err);
    return w->n < 0 ? -1 : 0;
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
            struct work w;
            struct err one = {""};
            int rc = open_job(path, &jobs[i], &w, &one);

            for (int k = 0; rc == 0 && pass == 0 && k < w.n; k++)
                r->total += size_of(w.t.taskfd, w.ids[k]);
            if (rc == 0 && pass == 1)
                rc = do_work(r, &w, &one);
            /* ENOENT: it has just started, or is being removed */
            if (rc < 0 && pass == 1 && errno != ENOENT) {
                err_clean(one.text);
                fprintf(stderr, "scheckpoint: job %u: %s\n", jobs[i].job, one.text);
                r->failed++;
            }
            free(w.ids);
            target_close(&w.t);
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
    .help = "usage: scheckpoint verify [--json] [-d DIR] JOBID[.GENERATION]... | --all\n"
            "\n"
            "Reads checkpoints wholly and verifies seal, manifest and every byte of the data.\n"
            "Without GENERATION all of the job's. Exit status 1 when one is not good.\n"
            "\n"
            "  --all   all checkpoints of all your jobs\n",
};
