/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "common/request.h"
#include "common/runclock.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"
#include "spank/steps.h"
#include "spank/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* CRIU cannot dump its connections to slurmctld and slurmstepd. */
#define SRUN "srun"

void shepherd_task_path(const struct shepherd *s, const char *name, char path[2 * PATH_MAX])
{
    const struct facts *f = &s->facts;

    snprintf(path, 2 * PATH_MAX, "%s/%s.%u.%s/%s%s%s", f->dir, f->cluster, f->job, f->nonce,
             f->task, *name ? "/" : "", name);
}

/* In a private pid namespace nothing else of that name can be; the shepherd does not know the root's number there. */
bool shepherd_script_busy(const struct shepherd *s)
{
    if (s->step)
        return false;
    if (s->facts.isolation == ISOLATION_PRIVATE)
        return tree_has(0, SRUN);
    return tree_has(s->root ? s->root : s->restored_pid, SRUN);
}

/* ---- starting ---- */

static int begin(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    struct steps_run run = {f->epoch,
                            f->source_job == 0}; /* else a tree that has begun in another job */
    int fd = steps_open(f, true, err), rc;

    (void)result;
    if (fd < 0)
        return -1;
    rc = steps_reset(fd, err) < 0 ? -1 : steps_run_write(fd, &run, err);
    io_close(&fd);
    return rc;
}

int shepherd_script_begin(struct shepherd *s, struct err *err)
{
    if (s->step || !s->files)
        return 0;
    return clerk_run(begin, &s->facts, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, err);
}

/* The newest generation older than `before`; before NULL: any. 1: found, 0: none. */
static int newest(const struct facts *f, const struct gendir_id *before, struct gendir_id *id,
                  struct err *err)
{
    int taskfd = gendir_open_task(f, false, err), n, found = 0;
    struct gendir_id *ids = NULL;

    if (taskfd < 0)
        return errno == ENOENT ? 0 : -1;
    n = gendir_list(taskfd, &ids, err);
    for (int i = 0; i < n && !found; i++)
        if (!before || gendir_compare(ids[i], *before) < 0) {
            *id = ids[i];
            found = 1;
        }
    free(ids);
    io_close(&taskfd);
    return n < 0 ? -1 : found;
}

static int is_marked(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    struct gendir_id id;
    int found = newest(f, NULL, &id, err), fd;
    bool *marked = result;

    if (found < 0)
        return -1;
    fd = steps_open(f, false, NULL);
    *marked = fd >= 0 && steps_marked(fd, found ? &id : NULL);
    io_close(&fd);
    return 0;
}

bool shepherd_script_rerun(struct shepherd *s)
{
    bool marked = false;
    struct err err = {{0}};

    if (s->step)
        return false;
    if (clerk_run(is_marked, &s->facts, &marked, sizeof marked, SHEPHERD_FILES_TIMEOUT_MS, &err) <
        0)
        shepherd_say("what the script had come to cannot be read: %s", err.text);
    return marked;
}

struct rewind_work {
    const struct facts *facts;
    const char *before;
};

/* The base directory was there when the job started: one that is missing is a filesystem that is not mounted, in whose
 * place nothing must be made. */
static int open_steps(const struct facts *f, struct err *err)
{
    int base = gendir_open_base(f->dir, f->uid, false, err);

    if (base < 0)
        return -1;
    io_close(&base);
    return steps_open(f, true, err);
}

static int rewind_steps(void *arg, void *result, struct err *err)
{
    const struct rewind_work *w = arg;
    struct steps_run run = {w->facts->epoch, false};
    struct gendir_id before, id;
    int fd, found, rc;

    if (*w->before && !gendir_parse_name(w->before, &before, NULL)) {
        errno = EINVAL;
        return err_set(err, "bad generation");
    }
    found = newest(w->facts, *w->before ? &before : NULL, &id, err);
    if (found <= 0) {
        errno = found < 0 ? errno : ENOENT;
        return -1;
    }
    fd = open_steps(w->facts, err);
    if (fd < 0)
        return -1;
    rc = steps_rewind(fd, id, err);
    if (rc < 0 && errno == ENOENT)
        errno = EXDEV;
    else if (rc == 0)
        rc = steps_run_write(fd, &run, err);
    io_close(&fd);
    if (rc == 0)
        gendir_format_name(id, false, result);
    return rc;
}

int shepherd_script_rewind(struct shepherd *s, const char *before, char generation[40],
                           struct err *err)
{
    struct rewind_work w = {&s->facts, before};

    return clerk_run(rewind_steps, &w, generation, 40, SHEPHERD_FILES_TIMEOUT_MS, err);
}

/* ---- a checkpoint ---- */

struct prepare_work {
    const struct shepherd *s;
};

static int prepare(void *arg, void *result, struct err *err)
{
    const struct shepherd *s = ((const struct prepare_work *)arg)->s;
    bool *busy = result;
    struct gendir_id id;
    int fd = shepherd_fence_open(&s->facts, err) < 0 ? -1 : open_steps(&s->facts, err), found, rc;

    if (fd < 0)
        return -1;
    /* First the hold: an srun that is not to be seen yet will wait before it takes its place. */
    found = steps_hold(fd, true, err) < 0 ? -1 : newest(&s->facts, NULL, &id, err);
    if (found < 0) {
        io_close(&fd);
        return -1;
    }
    *busy = shepherd_script_busy(s);
    if (*busy && s->no_plugin) {
        errno = EBUSY;
        rc = err_set(err,
                     "srun runs in it: steps are checkpointed only where the plugin is installed");
    } else if (*busy)
        rc = steps_mark(fd, s->facts.epoch, found ? &id : NULL, err);
    else
        rc = steps_snapshot(fd, found ? &id : NULL, err);
    if (rc < 0 || *busy)
        (void)steps_hold(fd, false, NULL);
    io_close(&fd);
    return rc;
}

int shepherd_script_prepare(struct shepherd *s, struct err *err)
{
    struct prepare_work w = {s};
    bool busy = false;

    if (s->step)
        return 0;
    if (clerk_run(prepare, &w, &busy, sizeof busy, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return -1;
    return busy ? 1 : 0;
}

static int release(void *arg, void *result, struct err *err)
{
    int fd = steps_open(arg, false, err), rc;

    (void)result;
    if (fd < 0)
        return -1;
    rc = steps_hold(fd, false, err);
    io_close(&fd);
    return rc;
}

void shepherd_script_release(struct shepherd *s)
{
    if (!s->step && s->files)
        clerk_run(release, &s->facts, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, NULL);
}

/* ---- the last one, while srun runs ---- */

pid_t shepherd_root_pid(int pidfd)
{
    char path[64], text[512], *at;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    if (io_read_start(path, text, sizeof text) < 0)
        return -1;
    at = strstr(text, "\nPid:");
    return at ? (pid_t)strtol(at + 5, NULL, 10) : -1;
}

struct stop_work {
    int rootfd;
    const char *but;
};

static int stop_script(void *arg, void *result, struct err *err)
{
    const struct stop_work *w = arg;
    pid_t root = shepherd_root_pid(w->rootfd);

    (void)result;
    if (root <= 1) {
        errno = ESRCH;
        return err_set(err, "the script has ended");
    }
    tree_stop_but(root, w->but);
    return 0;
}

void shepherd_stand_still(struct shepherd *s)
{
    struct stop_work w = {s->rootfd, ""};
    struct err err = {{0}};

    if (clerk_run(stop_script, &w, NULL, 0, 10000, &err) < 0)
        shepherd_say("it cannot be stopped: %s", err.text);
}

static int ask_task(int jobfd, const char *name, const struct facts *f, const char *verb)
{
    struct request r;
    unsigned char raw[16];
    struct steps_live live;
    int taskfd = gendir_open_dir(jobfd, name, NULL), rc = -1;

    if (taskfd < 0)
        return -1;
    memset(&r, 0, sizeof r);
    snprintf(r.verb, sizeof r.verb, "%s", verb);
    if (steps_live_read(taskfd, &live, NULL) == 0 && live.epoch == f->epoch &&
        getrandom(raw, sizeof raw, 0) == (ssize_t)sizeof raw) {
        for (size_t i = 0; i < sizeof raw; i++)
            snprintf(r.id + 2 * i, 3, "%02x", raw[i]);
        rc = request_put(taskfd, &r, NULL);
    }
    io_close(&taskfd);
    return rc;
}

struct ask_work {
    const struct facts *facts;
    const char *verb;
};

/* Each task of a step finds a request, and they are all rung for. */
static int ask_steps(void *arg, void *result, struct err *err)
{
    const struct ask_work *w = arg;
    const struct facts *f = w->facts;
    int stepsfd = steps_open(f, false, err), jobfd;
    struct dirent *e;
    DIR *d;

    (void)result;
    if (stepsfd < 0)
        return -1;
    jobfd = openat(stepsfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    io_close(&stepsfd);
    d = jobfd < 0 ? NULL : fdopendir(jobfd);
    if (!d)
        return err_sys(err, "the job's directory");
    while ((e = readdir(d)))
        if (strncmp(e->d_name, "step-", 5) == 0)
            (void)ask_task(dirfd(d), e->d_name, f, w->verb);
    closedir(d);
    return slurmjob_ring_steps(f->job, err);
}

void shepherd_script_ask(struct shepherd *s, const char *verb)
{
    struct ask_work w = {&s->facts, verb};
    struct err err = {{0}};

    if (clerk_run(ask_steps, &w, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, &err) < 0)
        shepherd_say("the steps cannot be asked for checkpoints: %s", err.text);
}

static int continue_script(void *arg, void *result, struct err *err)
{
    pid_t root = shepherd_root_pid(*(const int *)arg);

    (void)result;
    (void)err;
    if (root > 1)
        tree_continue(root);
    return 0;
}

void shepherd_script_continue(struct shepherd *s)
{
    s->stopping = false;
    clerk_run(continue_script, &s->rootfd, NULL, 0, 10000, NULL);
}

static void no_generation(struct shepherd *s, struct proto_reply *r)
{
    struct proto_request q;

    shepherd_request_init(s, &q, PROTO_DUMP, "");
    proto_reply_init(r, &q);
}

bool shepherd_script_stop(struct shepherd *s)
{
    int64_t limit_ms = 3600000; /* at a requeue Slurm itself ends it, after KillWait */
    struct stop_work w = {s->rootfd, SRUN};
    struct proto_reply none;
    struct err err = {{0}};

    s->stopping = true;
    if (clerk_run(stop_script, &w, NULL, 0, 10000, &err) < 0)
        shepherd_say("the script cannot be stopped: %s", err.text);
    if (s->final == FINAL_TIMELIMIT) {
        shepherd_script_ask(s, "stop");
        if (s->lead_s > 0)
            limit_ms = s->lead_s * 1000 * 2 / 3;
    } else {
        /* Slurm's SIGTERM then makes the steps save themselves. */
        no_generation(s, &none);
        if (!shepherd_final_requeue(s, &none)) {
            shepherd_script_continue(s);
            return false;
        }
    }
    s->give_up_ms = shepherd_now_ms() + limit_ms;
    return true;
}

void shepherd_script_stopping(struct shepherd *s)
{
    struct proto_reply none;

    if (shepherd_script_busy(s) && shepherd_now_ms() < s->give_up_ms)
        return;
    s->stopping = false;
    no_generation(s, &none);
    shepherd_final_saved(s, &none);
}
