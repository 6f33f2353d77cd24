/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/base.h"
#include "common/gendir.h"
#include "common/io.h"
#include "spank/steps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bool ask_steps_live(const struct ask *k)
{
    struct steps_live live;

    return steps_live_read(k->taskfd, &live, NULL) == 0 && live.epoch == k->job.restarts;
}

static bool is_live(int jobfd, const char *task, const struct job *job, uint32_t *step)
{
    struct steps_live live;
    int fd = gendir_open_dir(jobfd, task, NULL);
    bool ok = fd >= 0 && steps_live_read(fd, &live, NULL) == 0 && live.epoch == job->restarts;

    io_close(&fd);
    if (ok)
        *step = live.step;
    return ok;
}

int ask_steps_each(const struct cmd *c, const struct job *job, const struct job_name *name,
                   int (*fn)(void *arg, const char *task, uint32_t step), void *arg)
{
    struct base_job found;
    char path[PATH_MAX];
    struct dirent *e;
    uint32_t step;
    int stepsfd, jobfd, rc = 0;
    DIR *d;

    /* What is wrong with the directory, the job itself tells. */
    if (base_path(c, path, NULL) < 0 || base_find(path, job->id, job_cluster(), &found, NULL) < 0 ||
        (stepsfd = base_open(path, &found, STEPS_DIR, NULL)) < 0)
        return 0;
    jobfd = openat(stepsfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    io_close(&stepsfd);
    d = jobfd < 0 ? NULL : fdopendir(jobfd);
    if (!d)
        return 0;
    while (rc == 0 && (e = readdir(d)))
        if (strncmp(e->d_name, "step-", 5) == 0 && strlen(e->d_name) < 64 &&
            strchr(e->d_name, '.') && is_live(dirfd(d), e->d_name, job, &step) &&
            (!name->has_step || name->step == step) &&
            (!name->has_taskid || name->taskid == strtoul(strrchr(e->d_name, '.') + 1, NULL, 10)))
            rc = fn(arg, e->d_name, step);
    closedir(d);
    return rc;
}
