/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_TRIES 10

struct set_up {
    const struct facts *facts;
    bool step;
    bool once; /* a start has one set up only */
    bool
        sure; /* slurmctld says that it is this start: then the user himself has put there what contradicts it */
    const char *script;
};

/* Where stdout or stderr goes: a job that begins with a checkpoint of this one puts its own there. */
static void note_output(int taskfd, int fd, const char *name)
{
    char link[32], path[PATH_MAX];
    struct stat st;
    ssize_t n;

    (void)unlinkat(taskfd, name, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    n = readlink(link, path, sizeof path - 1);
    if (n < 1)
        return;
    path[n] = '\0';
    if (symlinkat(path, taskfd, name) < 0)
        errno = 0; /* then the other job writes into this one's output */
}

/* For --checkpoint=restore=12_3: the directory has the task's own id in its name. */
static void note_array(const struct facts *f, int taskfd)
{
    char name[32];

    if (f->array_job == 0)
        return;
    (void)unlinkat(taskfd, GENDIR_ARRAY, 0);
    snprintf(name, sizeof name, "%u_%u", f->array_job, f->array_task);
    if (symlinkat(name, taskfd, GENDIR_ARRAY) < 0)
        errno = 0; /* then it is found by its own id only */
}

int shepherd_files_open_source(const struct facts *f, struct err *err)
{
    struct facts from = *f;

    if (gendir_find_source(f, &from.job, from.nonce, err) < 0)
        return -1;
    return gendir_open_task(&from, false, err);
}

/* A copy lives as long as the checkpoints: slurmd deletes the batch script with the job, and an
 * upgrade replaces ckpt-init, whose file CRIU looks for at a restore.  One that is there already is
 * left alone. */
static int copy_file(int taskfd, int sourcefd, const char *from, const char *to, struct err *err)
{
    char buf[65536], tmp[64];
    int in = -1, out = -1, rc = -1;
    struct stat st;
    ssize_t n;

    if (fstatat(taskfd, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        return 0;
    snprintf(tmp, sizeof tmp, "%s.tmp", to);
    in = sourcefd >= 0 ? gendir_open_file(sourcefd, to, O_RDONLY, 0, err)
                       : open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0 && sourcefd >= 0 && errno == ENOENT)
        return err_set(err,
                       "the other job has no copy of its %s: what scheckpoint run has made, it "
                       "alone can restore",
                       to);
    if (in < 0)
        return sourcefd >= 0 ? -1 : err_sys(err, "%s", from);
    unlinkat(taskfd, tmp, 0);
    out = gendir_open_file(taskfd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0700, err);
    if (out < 0)
        goto out;
    while ((n = read(in, buf, sizeof buf)) > 0)
        if (io_write_full(out, buf, (size_t)n) < 0)
            break;
    if (n != 0 || fsync(out) < 0 || renameat(taskfd, tmp, taskfd, to) < 0)
        err_sys(err, "cannot copy %s into the checkpoint directory", from);
    else
        rc = 0;
out:
    io_close(&in);
    io_close(&out);
    return rc;
}

static int make_dir(int taskfd, const char *name, struct err *err)
{
    if (mkdirat(taskfd, name, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "cannot make %s in the checkpoint directory", name);
    return 0;
}

/* An earlier start of the job has made it. */
static bool has_vanished(const struct facts *f)
{
    int taskfd = f->epoch > 0 ? gendir_open_task(f, false, NULL) : -1;
    const bool vanished = f->epoch > 0 && taskfd < 0 && errno == ENOENT;

    io_close(&taskfd);
    return vanished;
}

static int stale(struct err *err)
{
    errno = ESTALE;
    return err_set(err, "the job has been started before");
}

/* Before anything is looked for that an earlier start may still be writing.  Is this the start that it is said to be? */
static int fence(const struct set_up *w, int taskfd, struct err *err)
{
    const struct facts *f = w->facts;
    uint32_t newest = 0;
    int saved;

    if (w->step)
        return gendir_fence_check(taskfd, f->epoch, err);
    if (!w->sure && gendir_fence_read(taskfd, &newest, NULL) == 0 &&
        (newest > f->epoch || (newest > 0 && newest == f->epoch && w->once)))
        return stale(err);
    if (f->epoch > 0)
        return gendir_fence(taskfd, f->epoch, err);
    saved = w->sure ? 0 : gendir_saved(f, err);
    return saved > 0 ? stale(err) : saved;
}

static int set_up(void *arg, void *result, struct err *err)
{
    const struct set_up *w = arg;
    bool *vanished = result;
    char path[PATH_MAX + 16];
    int base, taskfd = -1, sourcefd = -1, rc;

    /* At a restart a base that is not there is a filesystem that is not mounted: what is saved must not
     * be taken for lost, nor a new tree be begun below the mount point. */
    base = gendir_open_base(w->facts->dir, w->facts->uid, w->facts->epoch == 0, err);
    if (base < 0)
        return -1;
    io_close(&base);
    if (w->facts->source_job && w->facts->epoch == 0) {
        sourcefd = shepherd_files_open_source(w->facts, err);
        if (sourcefd < 0)
            return -1;
    }
    *vanished = !w->step && has_vanished(w->facts);
    taskfd = gendir_open_task(w->facts, true, err);
    if (taskfd < 0) {
        io_close(&sourcefd);
        return -1;
    }
    snprintf(path, sizeof path, "%s/ckpt-init", w->facts->helper_dir);
    if (fence(w, taskfd, err) < 0) {
        io_close(&sourcefd);
        io_close(&taskfd);
        return -1;
    }
    rc = make_dir(taskfd, REQUEST_DIR, err) < 0 || make_dir(taskfd, ANSWER_DIR, err) < 0 ||
                 make_dir(taskfd, "log", err) < 0 ||
                 copy_file(taskfd, sourcefd, path, "ckpt-init", err) < 0 ||
                 (w->script && copy_file(taskfd, sourcefd, w->script, "script", err) < 0) ||
                 (w->step && relay_make(taskfd, err) < 0)
             ? -1
             : 0;
    note_output(taskfd, STDOUT_FILENO, GENDIR_STDOUT);
    note_output(taskfd, STDERR_FILENO, GENDIR_STDERR);
    note_array(w->facts, taskfd);
    io_close(&sourcefd);
    /* What an earlier run of the job was told to leave alone does not bind this one. */
    if (w->facts->epoch > 0)
        answer_forget(taskfd, "disable");
    io_close(&taskfd);
    return rc;
}

static int find_source(void *arg, void *result, struct err *err)
{
    char nonce[17];

    return gendir_find_source(arg, result, nonce, err);
}

int shepherd_files_find_source(struct shepherd *s, struct err *err)
{
    uint32_t id = 0;

    if (s->facts.source_task == 0)
        return 0;
    if (clerk_run(find_source, &s->facts, &id, sizeof id, 60000, err) < 0)
        return -1;
    s->facts.source_job = id;
    s->facts.source_task = 0;
    return 0;
}

int shepherd_files_set_up(struct shepherd *s, const char *script, struct err *err)
{
    struct set_up w = {&s->facts, s->step, !s->no_plugin, s->sure, script};

    if (clerk_run(set_up, &w, &s->vanished, sizeof s->vanished, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return err_prefix(err, "%s", s->facts.dir);
    s->files = true;
    return 0;
}

bool shepherd_files_vanished(const struct shepherd *s, char text[640])
{
    const struct facts *f = &s->facts;

    *text = '\0';
    if (s->vanished)
        snprintf(text, 640,
                 "this job's directory %.250s/%.64s.%u.%s, which an earlier run should have made, "
                 "is not there: it was removed, or its filesystem is not mounted on this node",
                 f->dir, f->cluster, f->job, f->nonce);
    return s->vanished;
}

void shepherd_files_scratch(struct shepherd *s)
{
    char why[640];
    const char *sep = shepherd_files_vanished(s, why) ? "; " : "";

    if (!s->step)
        shepherd_say("no checkpoint to restore from: %s%sthe job starts from the beginning", why,
                     sep);
    shepherd_event(s, "scratch", "", *why ? why : "no generation was there", NULL);
}

struct event_work {
    const struct facts *facts;
    struct event event;
};

static int add_event(void *arg, void *result, struct err *err)
{
    const struct event_work *w = arg;
    int taskfd = gendir_open_task(w->facts, false, err);
    int rc;

    (void)result;
    if (taskfd < 0)
        return -1;
    rc = event_add(taskfd, &w->event, err);
    io_close(&taskfd);
    return rc;
}

static void put(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

void shepherd_event(struct shepherd *s, const char *event, const char *generation, const char *text,
                    const struct proto_reply *r)
{
    struct event_work w = {.facts = &s->facts};

    if (!s->files)
        return;
    put(w.event.event, sizeof w.event.event, event);
    put(w.event.generation, sizeof w.event.generation, generation);
    put(w.event.text, sizeof w.event.text, text);
    put(w.event.node, sizeof w.event.node, s->facts.node);
    w.event.epoch = s->facts.epoch;
    if (r) {
        w.event.pause_us = r->pause_us;
        w.event.total_ms = r->total_ms;
        w.event.stored_bytes = r->stored_bytes;
    }
    clerk_run(add_event, &w, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, NULL);
}

struct taken {
    int found;
    struct request request;
};

static int take_request(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    struct taken *t = result;
    int taskfd = gendir_open_task(f, false, err);

    if (taskfd < 0)
        return -1;
    t->found = request_take(taskfd, f->uid, &t->request, err);
    io_close(&taskfd);
    return t->found < 0 ? -1 : 0;
}

int shepherd_request_take(struct shepherd *s, struct request *out, struct err *err)
{
    struct taken t = {0};

    if (clerk_run(take_request, &s->facts, &t, sizeof t, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return -1;
    if (t.found)
        *out = t.request;
    return t.found;
}

struct answer_work {
    const struct facts *facts;
    const struct answer *answer;
};

static int put_answer(void *arg, void *result, struct err *err)
{
    const struct answer_work *w = arg;
    int taskfd = gendir_open_task(w->facts, false, err);
    int rc;

    (void)result;
    if (taskfd < 0)
        return -1;
    rc = answer_put(taskfd, w->answer, err);
    io_close(&taskfd);
    return rc;
}

void shepherd_answer(struct shepherd *s, const struct answer *a)
{
    struct answer_work w = {&s->facts, a};

    clerk_run(put_answer, &w, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, NULL);
}

/* scheckpoint may put a request there at this very moment. */
static int remove_job(void *arg, void *result, struct err *err)
{
    const struct timespec nap = {0, 200000000};
    int rc = gendir_remove_job(arg, err);

    (void)result;
    for (int i = 0; i < REMOVE_TRIES && rc < 0 && errno == ENOTEMPTY; i++) {
        nanosleep(&nap, NULL);
        rc = gendir_remove_job(arg, err);
    }
    return rc;
}

int shepherd_files_remove(struct shepherd *s, struct err *err)
{
    shepherd_dump_cancel(s);
    return clerk_run(remove_job, &s->facts, NULL, 0, 4 * SHEPHERD_FILES_TIMEOUT_MS, err);
}
