/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/beneath.h"
#include "common/gendir.h"
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
    PLACEMENT_NEXT, PLACEMENT_NOW, GENDIR_STDOUT, GENDIR_STDERR};
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
    int rc = 0;

    if (!d)
        return -1;
    while ((e = readdir(d))) {
        struct gendir_id id;
        bool partial;

        if (gendir_parse_name(e->d_name, &id, &partial) &&
            gendir_remove(taskfd, id, partial, rc ? NULL : err) < 0)
            rc = -1;
    }
    beneath_end(d);
    return rc;
}

static int remove_task(int jobfd, const char *name, uid_t uid, struct err *err)
{
    int taskfd = beneath_open_dir(jobfd, name, uid, err);
    int rc;

    if (taskfd < 0)
        return -1;
    rc = remove_generations(taskfd, err);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (unlinkat(taskfd, files[i], 0) < 0 && errno != ENOENT && rc == 0)
            rc = err_sys(err, "cannot remove %s", files[i]);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (empty_dir(taskfd, dirs[i], uid) < 0 && rc == 0)
            rc = err_sys(err, "cannot remove %s", dirs[i]);
    io_close(&taskfd);
    if (rc == 0 && unlinkat(jobfd, name, AT_REMOVEDIR) < 0)
        rc = err_sys(err, "cannot remove %s", name);
    return rc;
}

/* With the batch script's go its steps': what they had done has no meaning without it. */
static int remove_steps(int jobfd, uid_t uid, struct err *err)
{
    DIR *d = beneath_list(jobfd, err);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return -1;
    while ((e = readdir(d)))
        if (strncmp(e->d_name, "step-", 5) == 0 &&
            remove_task(jobfd, e->d_name, uid, rc ? NULL : err) < 0)
            rc = -1;
    beneath_end(d);
    if (empty_dir(jobfd, "steps", uid) < 0 && rc == 0)
        rc = err_sys(err, "cannot remove steps");
    return rc;
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

/* "CLUSTER.JOBID.NONCE" of that job? */
static bool is_of_job(const char *name, const char *prefix, char nonce[17])
{
    size_t n = strlen(prefix);

    if (strncmp(name, prefix, n) != 0 || !facts_nonce_ok(name + n))
        return false;
    memcpy(nonce, name + n, 17);
    return true;
}

/* When something in it changed last; false: it is no directory of ours. */
static bool last_change(int basefd, const char *name, const struct facts *f, struct timespec *when)
{
    int jobfd = beneath_open_dir(basefd, name, f->uid, NULL);
    int taskfd = jobfd < 0 ? -1 : beneath_open_dir(jobfd, f->task, f->uid, NULL);
    struct stat st;
    bool ok = taskfd >= 0 && fstat(taskfd, &st) == 0;

    if (ok)
        *when = st.st_mtim;
    io_close(&taskfd);
    io_close(&jobfd);
    return ok;
}

int gendir_find_job(const struct facts *f, uint32_t job, char nonce[17], struct err *err)
{
    struct timespec best = {0, 0}, when;
    int basefd = gendir_open_base(f->dir, f->uid, false, err);
    DIR *d = basefd < 0 ? NULL : beneath_list(basefd, err);
    char prefix[96], one[17];
    bool found = false;
    struct dirent *e;

    snprintf(prefix, sizeof prefix, "%s.%u.", f->cluster, job);
    while (d && (e = readdir(d)))
        if (is_of_job(e->d_name, prefix, one) && last_change(basefd, e->d_name, f, &when) &&
            (!found || when.tv_sec > best.tv_sec ||
             (when.tv_sec == best.tv_sec && when.tv_nsec > best.tv_nsec))) {
            found = true;
            best = when;
            memcpy(nonce, one, sizeof one);
        }
    if (d)
        beneath_end(d);
    io_close(&basefd);
    if (!d) {
        errno = errno == ENOENT ? ENXIO : errno;
        return -1;
    }
    errno = ENOENT;
    return found ? 0 : err_set(err, "there are no checkpoints of job %u in %s", job, f->dir);
}
