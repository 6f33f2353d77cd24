/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/beneath.h"
#include "common/gendir_impl.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS "steps"
#define FENCE_MAX 64u

int gendir_open_job(int taskfd, struct err *err)
{
    int fd = openat(taskfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        err_sys(err, "the job's directory");
        io_close(&fd);
        return -1;
    }
    if (st.st_uid == geteuid() && (st.st_mode & 022) == 0)
        return fd;
    io_close(&fd);
    errno = ENOENT;
    return -1;
}

static int open_steps(int taskfd, struct err *err)
{
    int jobfd = gendir_open_job(taskfd, err), fd;

    if (jobfd < 0)
        return -1;
    fd = beneath_open_dir(jobfd, STEPS, geteuid(), err);
    io_close(&jobfd);
    return fd;
}

static int read_fence(int stepsfd, uint32_t *epoch, struct err *err)
{
    int fd = gendir_open_file(stepsfd, GENDIR_FENCE, O_RDONLY, 0, err);
    size_t len = 0;
    char *text = fd < 0 ? NULL : io_slurp(fd, FENCE_MAX, &len, err), *end = NULL;
    unsigned long v = 0;

    io_close(&fd);
    if (!text)
        return -1;
    errno = 0;
    if (*text >= '0' && *text <= '9')
        v = strtoul(text, &end, 10);
    if (!end || *end != '\n' || errno || v > UINT32_MAX) {
        free(text);
        errno = EBADMSG;
        return err_set(err, STEPS "/" GENDIR_FENCE " does not hold a number");
    }
    free(text);
    *epoch = (uint32_t)v;
    return 0;
}

static int stale(struct err *err)
{
    errno = ESTALE;
    return err_set(err, "the job has been started again since");
}

int gendir_fence_read(int taskfd, uint32_t *epoch, struct err *err)
{
    int stepsfd = open_steps(taskfd, err), rc = -1;
    uint32_t newest = 0;

    if (stepsfd >= 0)
        rc = read_fence(stepsfd, &newest, err);
    io_close(&stepsfd);
    if (rc < 0 && errno != ENOENT)
        return -1;
    *epoch = newest;
    return 0;
}

int gendir_fence_check(int taskfd, uint32_t epoch, struct err *err)
{
    uint32_t newest;

    if (gendir_fence_read(taskfd, &newest, err) < 0)
        return -1;
    return newest > epoch ? stale(err) : 0;
}

static int write_fence(int stepsfd, uint32_t epoch, struct err *err)
{
    char line[16];
    int fd, rc;

    snprintf(line, sizeof line, "%u\n", epoch);
    unlinkat(stepsfd, GENDIR_FENCE ".tmp", 0);
    fd = gendir_open_file(stepsfd, GENDIR_FENCE ".tmp", O_WRONLY | O_CREAT, 0600, err);
    if (fd < 0)
        return -1;
    rc = io_write_full(fd, line, strlen(line)) < 0 || fsync(fd) < 0 ||
                 renameat(stepsfd, GENDIR_FENCE ".tmp", stepsfd, GENDIR_FENCE) < 0 ||
                 fsync(stepsfd) < 0
             ? err_sys(err, "cannot write " STEPS "/" GENDIR_FENCE)
             : 0;
    io_close(&fd);
    return rc;
}

static int sweep_task(int jobfd, const char *name, uint32_t epoch, struct err *err)
{
    int taskfd, rc;

    if (*name == '.' || strcmp(name, STEPS) == 0)
        return 0;
    taskfd = beneath_open_dir(jobfd, name, geteuid(), NULL);
    if (taskfd < 0)
        return 0; /* not a task's */
    rc = gendir_sweep(taskfd, epoch, err);
    io_close(&taskfd);
    return rc;
}

/* After the fence stands: what was renamed before its partial is taken away was committed in time, all else never
 * is. */
static int sweep(int jobfd, uint32_t epoch, struct err *err)
{
    DIR *d = beneath_list(jobfd, err);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return -1;
    while (rc == 0) {
        errno = 0;
        e = readdir(d);
        if (!e) {
            rc = errno ? err_sys(err, "cannot read the job's directory") : 0;
            break;
        }
        rc = sweep_task(jobfd, e->d_name, epoch, err);
    }
    beneath_end(d);
    return rc;
}

int gendir_fence(int taskfd, uint32_t epoch, struct err *err)
{
    int jobfd = gendir_open_job(taskfd, err), stepsfd = -1, rc = -1;
    uint32_t newest = 0;

    if (jobfd < 0)
        return -1;
    if (mkdirat(jobfd, STEPS, 0700) < 0 && errno != EEXIST) {
        err_sys(err, "cannot make " STEPS);
        goto out;
    }
    stepsfd = beneath_open_dir(jobfd, STEPS, geteuid(), err);
    if (stepsfd < 0)
        goto out;
    /* One that is damaged is written anew. */
    if (read_fence(stepsfd, &newest, err) < 0 && errno != ENOENT && errno != EBADMSG)
        goto out;
    rc = newest > epoch ? stale(err) : write_fence(stepsfd, epoch, err);
    if (rc == 0)
        rc = sweep(jobfd, epoch, err);
out:
    io_close(&stepsfd);
    io_close(&jobfd);
    return rc;
}
