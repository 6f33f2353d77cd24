/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "restore/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define PID_MAX_WANTED 4194304 /* PID_MAX_LIMIT of 64-bit kernels */

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* All numbers that must be free: processes, threads, groups, sessions; sorted, once each. */
static uint32_t *wanted(const struct manifest *m, size_t *n)
{
    uint32_t *ids;
    size_t k = 0, kept = 0;

    for (size_t i = 0; i < m->nprocesses; i++)
        k += m->processes[i].nthreads + (size_t)2;
    ids = calloc(k + 1, sizeof *ids);
    k = 0;
    for (size_t i = 0; ids && i < m->nprocesses; i++) {
        const struct manifest_process *x = &m->processes[i];

        memcpy(ids + k, x->threads, x->nthreads * sizeof *ids);
        k += x->nthreads;
        ids[k++] = x->pgid;
        ids[k++] = x->sid;
    }
    if (k > 0)
        qsort(ids, k, sizeof *ids, by_number);
    for (size_t i = 0; i < k; i++)
        if (kept == 0 || ids[i] != ids[kept - 1])
            ids[kept++] = ids[i];
    *n = kept;
    return ids;
}

static unsigned long pid_max(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    io_close(&fd);
    return n > 0 ? strtoul(text, NULL, 10) : 0;
}

static void check_pid_max(uint32_t highest, struct preflight *p)
{
    unsigned long max = pid_max();

    if (max > 0 && highest >= max)
        preflight_add(p, "pid_max", PREFLIGHT_FAIL, HERE,
                      "pid %u of the job is not below kernel.pid_max, %lu", highest, max);
    else if (max < PID_MAX_WANTED)
        preflight_add(p, "pid_max", PREFLIGHT_WARN, HERE,
                      "kernel.pid_max is %lu; with 4194304 pids are hardly ever taken", max);
    else
        preflight_add(p, "pid_max", PREFLIGHT_GOOD, HERE, "%lu", max);
}

void preflight_pids(const struct checkpoint *c, const struct facts *f, struct preflight *p)
{
    struct err err = {""};
    uint32_t *ids;
    size_t n = 0;

    if (strcmp(c->m.isolation, "host") != 0) {
        preflight_add(p, "pids", PREFLIGHT_GOOD, EVERYWHERE, "the job has its own (isolation=%s)",
                      c->m.isolation);
        return;
    }
    ids = wanted(&c->m, &n);
    if (!ids || n == 0)
        preflight_add(p, "pids", PREFLIGHT_WARN, HERE, "not known: no memory");
    else if (procs_wait_free(ids, n, (int)f->busy_wait * 1000, &err) < 0)
        preflight_add(p, "pids", PREFLIGHT_FAIL, HERE, "%s", err.text);
    else
        preflight_add(p, "pids", PREFLIGHT_GOOD, HERE, "all %zu are free", n);
    if (ids && n > 0)
        check_pid_max(ids[n - 1], p);
    free(ids);
}
