/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/base.h"
#include "common/beneath.h"
#include "common/gendir.h"
#include "common/io.h"
#include "spank/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAMES 1000000 /* of a directory that its owner may have filled */

void base_label(const struct base_job *j, char label[BASE_LABEL_MAX])
{
    if (!j->is_step)
        snprintf(label, BASE_LABEL_MAX, "%u", j->job);
    else if (j->step == UINT32_MAX)
        snprintf(label, BASE_LABEL_MAX, "%u.?/%u", j->job, j->taskid);
    else
        snprintf(label, BASE_LABEL_MAX, "%u.%u/%u", j->job, j->step, j->taskid);
}

/* "step-KEY.TASKID" */
static bool parse_task(const char *name, uint32_t *taskid)
{
    const char *dot = strrchr(name, '.');
    unsigned long v;
    char *end;

    if (strncmp(name, "step-", 5) != 0 || !facts_name_ok(name) || !dot || dot[1] < '0' ||
        dot[1] > '9')
        return false;
    errno = 0;
    v = strtoul(dot + 1, &end, 10);
    if (errno || *end || v >= UINT32_MAX)
        return false;
    *taskid = (uint32_t)v;
    return true;
}

/* False: not a task's. */
static bool fill(int jobfd, const char *name, struct base_job *j)
{
    struct steps_live last;
    int fd;

    j->is_step = strcmp(name, BASE_TASK) != 0;
    if (j->is_step && !parse_task(name, &j->taskid))
        return false;
    fd = gendir_open_dir(jobfd, name, NULL);
    if (fd < 0)
        return false;
    j->step = UINT32_MAX;
    if (j->is_step && steps_last_read(fd, &last, NULL) == 0) {
        j->step = last.step;
        j->epoch = last.epoch;
    }
    io_close(&fd);
    snprintf(j->task, sizeof j->task, "%.63s", name);
    return true;
}

static int in_order(const void *a, const void *b)
{
    const struct base_job *x = a, *y = b;

    if (x->is_step != y->is_step)
        return x->is_step ? 1 : -1;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    if (x->taskid != y->taskid)
        return x->taskid < y->taskid ? -1 : 1;
    /* Of an earlier run of the script, which counted otherwise. */
    if (x->epoch != y->epoch)
        return x->epoch > y->epoch ? -1 : 1;
    return strcmp(x->task, y->task);
}

static int collect(DIR *d, const struct base_job *j, struct base_job **tasks, struct err *err)
{
    struct base_job *list = NULL, *bigger, one;
    size_t n = 0, room = 0;
    struct dirent *e;

    for (int seen = 0; errno = 0, seen < MAX_NAMES && (e = readdir(d)); seen++) {
        one = *j;
        if (!fill(dirfd(d), e->d_name, &one))
            continue;
        if (n == room) {
            room = room ? 2 * room : 16;
            bigger = realloc(list, room * sizeof *list);
            if (!bigger) {
                free(list);
                return err_sys(err, "no memory");
            }
            list = bigger;
        }
        list[n++] = one;
    }
    if (errno) {
        free(list);
        return err_sys(err, "cannot read the job's directory");
    }
    if (n > 1)
        qsort(list, n, sizeof *list, in_order);
    *tasks = list;
    return (int)n;
}

int base_tasks(const char *path, const struct base_job *j, struct base_job **tasks, struct err *err)
{
    char name[160];
    int basefd = gendir_open_base(path, geteuid(), false, err), jobfd, n = -1;
    DIR *d;

    if (basefd < 0)
        return -1;
    snprintf(name, sizeof name, "%s.%u.%s", j->cluster, j->job, j->nonce);
    jobfd = gendir_open_dir(basefd, name, err);
    io_close(&basefd);
    d = jobfd < 0 ? NULL : beneath_list(jobfd, err);
    if (d) {
        n = collect(d, j, tasks, err);
        beneath_end(d);
    }
    io_close(&jobfd);
    return n;
}
