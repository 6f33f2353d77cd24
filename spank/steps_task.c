/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/steps.h"

#include "common/beneath.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS_MAX 1000000u

static int put(int taskfd, const char *name, const char *text, struct err *err)
{
    char tmp[32];
    int file, rc;

    snprintf(tmp, sizeof tmp, "%s.tmp", name);
    unlinkat(taskfd, tmp, 0);
    file = gendir_open_file(taskfd, tmp, O_WRONLY | O_CREAT, 0600, err);
    if (file < 0)
        return -1;
    rc = io_write_full(file, text, strlen(text)) < 0 || fsync(file) < 0 ||
                 renameat(taskfd, tmp, taskfd, name) < 0
             ? err_sys(err, "cannot write %s", name)
             : 0;
    io_close(&file);
    return rc;
}

static int get(int taskfd, const char *name, char *text, size_t size, struct err *err)
{
    int file = gendir_open_file(taskfd, name, O_RDONLY, 0, err);
    ssize_t n;

    if (file < 0)
        return -1;
    n = read(file, text, size - 1);
    io_close(&file);
    if (n < 0)
        return err_sys(err, "%s", name);
    text[n] = '\0';
    return 0;
}

int steps_exit_write(int taskfd, const struct steps_exit *e, struct err *err)
{
    char text[64];

    snprintf(text, sizeof text, "%u %d %u\n", e->epoch, e->status, e->ntasks);
    return put(taskfd, STEPS_EXIT, text, err);
}

int steps_exit_read(int taskfd, struct steps_exit *e, struct err *err)
{
    struct steps_exit got;
    char text[128];

    if (get(taskfd, STEPS_EXIT, text, sizeof text, err) < 0)
        return -1;
    if (sscanf(text, "%u %d %u", &got.epoch, &got.status, &got.ntasks) != 3 || got.ntasks < 1 ||
        got.ntasks > TASKS_MAX || (!WIFEXITED(got.status) && !WIFSIGNALED(got.status))) {
        errno = EBADMSG;
        return err_set(err, "%s is damaged", STEPS_EXIT);
    }
    *e = got;
    return 0;
}

int steps_live_write(int taskfd, const struct steps_live *l, struct err *err)
{
    char text[128];

    snprintf(text, sizeof text, "%u %u %s\n", l->epoch, l->step, l->node);
    return put(taskfd, STEPS_LIVE, text, err);
}

static int read_live(int taskfd, const char *name, struct steps_live *l, struct err *err)
{
    struct steps_live got;
    char text[192];

    if (get(taskfd, name, text, sizeof text, err) < 0)
        return -1;
    if (sscanf(text, "%u %u %63s", &got.epoch, &got.step, got.node) != 3 ||
        !facts_name_ok(got.node)) {
        errno = EBADMSG;
        return err_set(err, "%s is damaged", name);
    }
    *l = got;
    return 0;
}

int steps_live_read(int taskfd, struct steps_live *l, struct err *err)
{
    return read_live(taskfd, STEPS_LIVE, l, err);
}

void steps_live_end(int taskfd)
{
    if (renameat(taskfd, STEPS_LIVE, taskfd, STEPS_LAST) < 0)
        unlinkat(taskfd, STEPS_LIVE, 0);
}

int steps_last_read(int taskfd, struct steps_live *l, struct err *err)
{
    return read_live(taskfd, STEPS_LIVE, l, NULL) == 0 ? 0 : read_live(taskfd, STEPS_LAST, l, err);
}

/* As srun counts (launch/slurm, 22.05 to 24.11): a signal beats any code, else the largest code. */
static int add_status(int code, int status)
{
    if (code > 128)
        return code;
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status) > code ? WEXITSTATUS(status) : code;
}

int steps_exit_code(const struct facts *f, const char *key, uint32_t epoch, int *code,
                    struct err *err)
{
    struct facts *g = malloc(sizeof *g);
    uint32_t ntasks = 1;
    int sum = 0, rc = g ? 0 : err_sys(err, "no memory");

    if (g)
        *g = *f;
    for (uint32_t i = 0; i < ntasks && rc == 0; i++) {
        struct steps_exit e;
        int taskfd;

        snprintf(g->task, sizeof g->task, "step-%s.%u", key, i);
        taskfd = gendir_open_task(g, false, err);
        rc = taskfd < 0 ? -1 : steps_exit_read(taskfd, &e, err);
        io_close(&taskfd);
        if (rc < 0)
            break;
        if (e.epoch >= epoch || (i > 0 && e.ntasks != ntasks)) {
            errno = ENOENT;
            rc = err_set(err, "task %u has not ended before", i);
        } else {
            ntasks = e.ntasks;
            sum = add_status(sum, e.status);
        }
    }
    free(g);
    if (rc == 0)
        *code = sum;
    return rc;
}
