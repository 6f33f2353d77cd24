/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/placing.h"

#include "spank/placing_memory.h"
#include "spank/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 10 /* threads that make threads while they are being bound */

/* ---- threads ---- */

typedef int thread_fn(pid_t pid, pid_t tid, void *arg);

static int each_thread_of(pid_t pid, thread_fn *fn, void *arg)
{
    char path[64];
    struct dirent *e;
    DIR *d;
    int rc = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    d = opendir(path);
    while (d && rc == 0 && (e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9')
            rc = fn(pid, (pid_t)strtol(e->d_name, NULL, 10), arg);
    if (d)
        closedir(d);
    return rc;
}

static int each_thread(pid_t root, thread_fn *fn, void *arg, struct err *err)
{
    pid_t *pids = NULL;
    size_t n = root > 0 ? tree_list(root, &pids) : 0;
    int rc = 0;

    if (n == 0) {
        errno = ESRCH;
        return err_set(err, "the job's processes are gone");
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = each_thread_of(pids[i], fn, arg);
    free(pids);
    return rc;
}

/* ---- look ---- */

struct mask {
    struct topo_cpus cpus;
    uint32_t binding;
};

struct look {
    const struct topo_cpus *own;
    struct placement *p;
    struct mask *masks; /* different ones, without `own` */
    size_t n;
    bool outside; /* one leaves what Slurm bound the task to */
};

static int look_at(pid_t pid, pid_t tid, void *arg)
{
    struct look *l = arg;
    struct topo_cpus cpus;
    struct mask *bigger;
    size_t i = 0;

    if (topo_get(tid, &cpus) < 0)
        return 0; /* it has ended */
    if (topo_equal(&cpus, l->own))
        return placement_add_thread(l->p, (uint32_t)pid, (uint32_t)tid, PLACEMENT_UNBOUND);
    while (i < l->n && !topo_equal(&l->masks[i].cpus, &cpus))
        i++;
    if (i == l->n) {
        bigger = realloc(l->masks, (l->n + 1) * sizeof *bigger);
        if (!bigger)
            return -1;
        l->masks = bigger;
        l->masks[l->n++].cpus = cpus;
        l->outside = l->outside || !topo_within(&cpus, l->own);
    }
    return placement_add_thread(l->p, (uint32_t)pid, (uint32_t)tid, (uint32_t)i);
}

/* From numbers of masks to numbers of bindings. */
static int bindings(struct look *l, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        struct place_set set;
        size_t b = SIZE_MAX;

        if (topo_places_of(&l->p->places, &l->masks[i].cpus, &set))
            b = placement_binding(l->p, &set);
        if (b == SIZE_MAX) {
            errno = ERANGE;
            return err_set(err, "a thread is bound to a CPU outside the step");
        }
        l->masks[i].binding = (uint32_t)b;
    }
    for (size_t i = 0; i < l->p->nthreads; i++)
        if (l->p->threads[i].binding != PLACEMENT_UNBOUND)
            l->p->threads[i].binding = l->masks[l->p->threads[i].binding].binding;
    return 0;
}

/* The allocation: what Slurm gave the task, or all of the step's. */
static int allocation(const struct topo_cpus *own, bool step, struct topo_cpus *out,
                      struct err *err)
{
    if (step)
        return topo_cpuset(out, err);
    *out = *own;
    return 0;
}

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int placing_look(pid_t root, const struct topo_cpus *own, struct placement *p, struct err *err)
{
    struct placement got = {.nbindings = 0};
    struct look l = {.own = own, .p = &got};
    uint32_t numa[PLACING_NUMA_MAX];
    struct topo_cpus cpus;
    int rc = each_thread(root, look_at, &l, err);

    got.step = l.outside;
    if (rc == 0)
        rc = allocation(own, got.step, &cpus, err);
    if (rc == 0)
        rc = topo_places(&cpus, NULL, &got.places, numa, PLACING_NUMA_MAX, err);
    if (rc == 0)
        rc = bindings(&l, err);
    if (rc == 0)
        rc = placing_memory_look(root, numa, &got, err);
    free(l.masks);
    if (rc < 0) {
        placement_free(&got);
        return -1;
    }
    got.clock_ms = clock_ms();
    *p = got;
    return 0;
}

/* ---- bind again ---- */

struct bind {
    const struct topo_cpus *own;
    const struct placement *old;
    struct place_set *mapped; /* by number of old's binding */
    struct placement *now;
    struct placing_result *r;
    bool more; /* a thread that was not there in the last round */
};

static bool seen(const struct placement *p, pid_t tid)
{
    for (size_t i = 0; i < p->nthreads; i++)
        if (p->threads[i].tid == (uint32_t)tid)
            return true;
    return false;
}

static int bind_thread(pid_t pid, pid_t tid, void *arg)
{
    struct bind *b = arg;
    struct topo_cpus cpus = *b->own;
    uint32_t binding;

    if (seen(b->now, tid))
        return 0;
    b->more = true;
    binding = placement_of(b->old, (uint32_t)pid, (uint32_t)tid);
    if (binding != PLACEMENT_UNBOUND)
        topo_cpus_of(&b->now->places, &b->mapped[binding], &cpus);
    if (topo_set(tid, &cpus) < 0) {
        if (errno == ESRCH)
            return 0;
        if (b->r->failed++ == 0)
            snprintf(b->r->why, sizeof b->r->why, "thread %d: %s", (int)tid, strerror(errno));
        binding = PLACEMENT_UNBOUND;
    } else if (binding != PLACEMENT_UNBOUND) {
        size_t index = placement_binding(b->now, &b->mapped[binding]);

        if (index == SIZE_MAX)
            return -1;
        binding = (uint32_t)index;
        b->r->bound++;
    }
    return placement_add_thread(b->now, (uint32_t)pid, (uint32_t)tid, binding);
}

int placing_restore(pid_t root, const struct topo_cpus *own, const struct placement *old,
                    struct placement *now, struct placing_result *r, struct err *err)
{
    struct placement got = {.step = old->step};
    struct bind b = {.own = own, .old = old, .now = &got, .r = r, .more = true};
    uint32_t numa[PLACING_NUMA_MAX];
    struct topo_cpus cpus;
    int rc = allocation(own, old->step, &cpus, err);

    if (rc == 0)
        rc = topo_places(&cpus, NULL, &got.places, numa, PLACING_NUMA_MAX, err);
    if (rc == 0) {
        b.mapped = calloc(old->nbindings + 1, sizeof *b.mapped);
        rc = b.mapped ? place_map(&old->places, old->bindings, old->nbindings, &got.places,
                                  b.mapped, err)
                      : err_sys(err, "places");
    }
    if (rc == 0)
        r->same_shape = places_same_shape(&old->places, &got.places);
    for (int i = 0; rc == 0 && b.more && i < ROUNDS; i++) {
        b.more = false;
        rc = each_thread(root, bind_thread, &b, err);
    }
    free(b.mapped);
    if (rc == 0)
        rc = placing_memory_restore(old, numa, &got, r, err);
    /* What it has now, as it is. */
    if (rc == 0)
        rc = placing_memory_look(root, numa, &got, err);
    if (rc < 0) {
        placement_free(&got);
        return -1;
    }
    got.clock_ms = clock_ms();
    r->back_ms = old->clock_ms > got.clock_ms ? old->clock_ms - got.clock_ms : 0;
    *now = got;
    return 0;
}
