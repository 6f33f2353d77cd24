/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/beneath.h"
#include "common/gendir_impl.h"
#include "common/io.h"
#include "common/placement.h"
#include "common/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What lies in a task directory beside generations: plain files, and directories of plain files. */
static const char *const files[] = {
    "script",       "script.tmp",  "ckpt-init",   "ckpt-init.tmp", EVENTS_FILE,   EVENTS_FILE ".1",
    "stdin",        "stdout",      "stderr",      "input",         "input.tmp",   "exit",
    "exit.tmp",     "live",        "live.tmp",    "last",          "environment", "environment.tmp",
    PLACEMENT_NEXT, PLACEMENT_NOW, GENDIR_STDOUT, GENDIR_STDERR,   GENDIR_ARRAY};
static const char *const dirs[] = {REQUEST_DIR, ANSWER_DIR, "log", "kept"};

static int empty_dir(int dirfd, const char *name, uid_t uid)
{
    int fd = beneath_open_dir(dirfd, name, uid, NULL);
    DIR *d = fd < 0 ? NULL : beneath_list(fd, NULL);
    struct dirent *e;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(fd, e->d_name, 0); /* a directory in there makes rmdir fail below */
    if (d)
        beneath_end(d);
    io_close(&fd);
    return unlinkat(dirfd, name, AT_REMOVEDIR);
}

static int remove_generations(int taskfd, struct err *err)
{
    DIR *d = beneath_list(taskfd, err);
    struct dirent *e;
    int error = 0;

    if (!d)
        return -1;
    while ((e = readdir(d))) {
        struct gendir_id id;
        bool partial;

        if (gendir_parse_name(e->d_name, &id, &partial) &&
            gendir_remove(taskfd, id, partial, error ? NULL : err) < 0 && !error)
            error = errno;
    }
    beneath_end(d);
    errno = error;
    return error ? -1 : 0;
}

/* The first failure is told, with its errno; the rest is tried all the same. */
static void note_failure(int *error, const char *name, struct err *err)
{
    if (*error)
        return;
    *error = errno;
    err_sys(err, "cannot remove %s", name);
}

static int remove_task(int jobfd, const char *name, uid_t uid, struct err *err)
{
    int taskfd = beneath_open_dir(jobfd, name, uid, err), error = 0;

    if (taskfd < 0)
        return -1;
    if (remove_generations(taskfd, err) < 0)
        error = errno;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (unlinkat(taskfd, files[i], 0) < 0 && errno != ENOENT)
            note_failure(&error, files[i], err);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (empty_dir(taskfd, dirs[i], uid) < 0)
            note_failure(&error, dirs[i], err);
    io_close(&taskfd);
    if (!error && unlinkat(jobfd, name, AT_REMOVEDIR) < 0)
        note_failure(&error, name, err);
    errno = error;
    return error ? -1 : 0;
}

/* With the batch script's go its steps: what they had done has no meaning without it. */
static int remove_steps(int jobfd, uid_t uid, struct err *err)
{
    DIR *d = beneath_list(jobfd, err);
    struct dirent *e;
    int error = 0;

    if (!d)
        return -1;
    while ((e = readdir(d)))
        if (strncmp(e->d_name, "step-", 5) == 0 &&
            remove_task(jobfd, e->d_name, uid, error ? NULL : err) < 0 && !error)
            error = errno;
    if (empty_dir(jobfd, "steps", uid) < 0)
        note_failure(&error, "steps", err);
    beneath_end(d);
    errno = error;
    return error ? -1 : 0;
}

static bool only_steps(int jobfd)
{
    DIR *d = beneath_list(jobfd, NULL);
    struct dirent *e;
    bool only = d != NULL;

    while (only && (e = readdir(d)))
        only = *e->d_name == '.' || strcmp(e->d_name, "steps") == 0;
    if (d)
        beneath_end(d);
    return only;
}

static bool is_missing(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

int gendir_remove_job(const struct facts *f, struct err *err)
{
    char job[160];
    int basefd, jobfd, rc;

    if (!facts_name_ok(f->cluster) || !facts_name_ok(f->task) || !facts_nonce_ok(f->nonce)) {
        errno = EINVAL;
        return err_set(err, "bad cluster, task or nonce");
    }
    snprintf(job, sizeof job, "%s.%u.%s", f->cluster, f->job, f->nonce);
    basefd = gendir_open_base(f->dir, f->uid, false, err);
    if (basefd < 0)
        return -1;
    jobfd = beneath_open_dir(basefd, job, f->uid, err);
    if (jobfd < 0)
        rc = -1;
    else if (strcmp(f->task, "batch") == 0 && is_missing(jobfd, f->task))
        rc = 0; /* an allocation without a batch script */
    else
        rc = remove_task(jobfd, f->task, f->uid, err);
    if (rc == 0 && strcmp(f->task, "batch") == 0)
        rc = remove_steps(jobfd, f->uid, err);
    else if (rc == 0 && only_steps(jobfd)) /* the last of an allocation without a batch script */
        (void)empty_dir(jobfd, "steps", f->uid);
    io_close(&jobfd);
    /* Other tasks of the job may have theirs there still. */
    if (rc == 0 && unlinkat(basefd, job, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
        rc = err_sys(err, "cannot remove %s", job);
    io_close(&basefd);
    return rc;
}

static int saved_by_task(int taskfd, struct err *err)
{
    struct gendir_id *ids = NULL;
    int n = gendir_list(taskfd, &ids, err);

    free(ids);
    return n < 0 ? -1 : n + (is_missing(taskfd, "exit") ? 0 : 1);
}

static int saved_by_steps(int taskfd, struct err *err)
{
    int jobfd = gendir_open_job(taskfd, err), sum = 0;
    DIR *d = jobfd < 0 ? NULL : beneath_list(jobfd, err);
    struct dirent *e;

    while (d && sum >= 0 && (e = readdir(d))) {
        int fd, n;

        if (strncmp(e->d_name, "step-", 5) != 0)
            continue;
        fd = gendir_open_dir(jobfd, e->d_name, err);
        n = fd < 0 ? -1 : saved_by_task(fd, err);
        sum = n < 0 ? -1 : sum + n;
        io_close(&fd);
    }
    if (d)
        beneath_end(d);
    else
        sum = -1;
    io_close(&jobfd);
    return sum;
}

int gendir_saved(const struct facts *f, struct err *err)
{
    int taskfd = gendir_open_task(f, false, err), n, steps = 0;

    if (taskfd < 0)
        return errno == ENOENT ? 0 : -1;
    n = saved_by_task(taskfd, err);
    if (n >= 0 && strcmp(f->task, "batch") == 0)
        steps = saved_by_steps(taskfd, err);
    io_close(&taskfd);
    return n < 0 || steps < 0 ? -1 : n + steps;
}

/* What is looked for, and what was found last. */
struct find {
    const struct facts *f;
    uint32_t job;   /* its id; 0: whoever has the link */
    char array[32]; /* target of that link */
    int basefd;
    bool found;
    struct timespec when;
    uint32_t id;
    char nonce[17];
};

/* "CLUSTER.JOBID.NONCE": a cluster's name may hold dots. */
static bool parse_name(const struct find *x, const char *name, uint32_t *id, const char **nonce)
{
    size_t n = strlen(x->f->cluster);
    char *end;
    unsigned long v;

    if (strncmp(name, x->f->cluster, n) != 0 || name[n] != '.' || name[n + 1] < '1' ||
        name[n + 1] > '9')
        return false;
    errno = 0;
    v = strtoul(name + n + 1, &end, 10);
    if (errno || *end != '.' || v >= UINT32_MAX || !facts_nonce_ok(end + 1))
        return false;
    *id = (uint32_t)v;
    *nonce = end + 1;
    return x->job == 0 || x->job == *id;
}

static bool has_link(const struct find *x, int taskfd)
{
    char to[sizeof x->array + 1];
    ssize_t n = readlinkat(taskfd, GENDIR_ARRAY, to, sizeof to - 1);

    to[n > 0 ? n : 0] = '\0';
    return strcmp(to, x->array) == 0;
}

/* When something in it changed last; false: it is no directory of ours. */
static bool last_change(const struct find *x, const char *name, struct timespec *when)
{
    int jobfd = beneath_open_dir(x->basefd, name, x->f->uid, NULL);
    int taskfd = jobfd < 0 ? -1 : beneath_open_dir(jobfd, x->f->task, x->f->uid, NULL);
    struct stat st;
    bool ok = taskfd >= 0 && fstat(taskfd, &st) == 0 && (!x->array[0] || has_link(x, taskfd));

    if (ok)
        *when = st.st_mtim;
    io_close(&taskfd);
    io_close(&jobfd);
    return ok;
}

static void consider(struct find *x, const char *name)
{
    struct timespec when;
    const char *nonce;
    uint32_t id;

    if (!parse_name(x, name, &id, &nonce) || !last_change(x, name, &when) ||
        (x->found && (when.tv_sec < x->when.tv_sec ||
                      (when.tv_sec == x->when.tv_sec && when.tv_nsec <= x->when.tv_nsec))))
        return;
    x->found = true;
    x->when = when;
    x->id = id;
    memcpy(x->nonce, nonce, sizeof x->nonce);
}

static int find(struct find *x, struct err *err)
{
    DIR *d;
    struct dirent *e;

    x->basefd = gendir_open_base(x->f->dir, x->f->uid, false, err);
    d = x->basefd < 0 ? NULL : beneath_list(x->basefd, err);
    while (d && (e = readdir(d)))
        consider(x, e->d_name);
    if (d)
        beneath_end(d);
    io_close(&x->basefd);
    if (!d) {
        errno = errno == ENOENT ? ENXIO : errno;
        return -1;
    }
    return 0;
}

int gendir_find_job(const struct facts *f, uint32_t job, char nonce[17], struct err *err)
{
    struct find x = {.f = f, .job = job};

    if (find(&x, err) < 0)
        return -1;
    errno = ENOENT;
    if (!x.found)
        return err_set(err, "there are no checkpoints of job %u in %s", job, f->dir);
    memcpy(nonce, x.nonce, sizeof x.nonce);
    return 0;
}

int gendir_find_source(const struct facts *f, uint32_t *job, char nonce[17], struct err *err)
{
    struct find x = {.f = f};

    if (f->source_task == 0) {
        *job = f->source_job;
        return gendir_find_job(f, f->source_job, nonce, err);
    }
    snprintf(x.array, sizeof x.array, "%u_%u", f->source_job, f->source_task - 1);
    if (find(&x, err) < 0)
        return -1;
    errno = ENOENT;
    if (!x.found)
        return err_set(err, "there are no checkpoints of job %s in %s", x.array, f->dir);
    *job = x.id;
    memcpy(nonce, x.nonce, sizeof x.nonce);
    return 0;
}
