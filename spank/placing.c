/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/placing.h"

#include "common/io.h"
#include "spank/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMA_MAX 1024
#define ROUNDS 10 /* threads that make threads while they are being bound */
/* numa_maps walks all page tables: on a machine with one NUMA node only small processes are looked at. */
#define NUMA_MAPS_MAX (UINT64_C(1) << 30)

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

/* ---- memory ---- */

struct memory {
    struct placement *p;
    uint32_t numa[NUMA_MAX];
    bool many; /* more than one NUMA node */
};

static bool is_big(pid_t pid)
{
    char path[64], text[128];
    unsigned long long size, resident;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    io_close(&fd);
    if (n <= 0)
        return true;
    text[n] = '\0';
    return sscanf(text, "%llu %llu", &size, &resident) != 2 ||
           resident * (unsigned long long)sysconf(_SC_PAGESIZE) > NUMA_MAPS_MAX;
}

/* The kernel's numbers of NUMA nodes, "0-1,3", to those of the table. */
static void logical_nodes(const struct memory *m, const char *text, char *out, size_t size)
{
    struct place_set os, ours = {{0}};

    *out = '\0';
    if (!place_set_parse(text, NUMA_MAX, &os))
        return;
    for (size_t i = 0; i < NUMA_MAX; i++)
        if (place_set_has(&os, i) && m->numa[i] < NUMA_MAX)
            place_set_add(&ours, m->numa[i]);
    place_set_format(&ours, out, size);
}

/* "bind:0", "interleave=static:0-1", "prefer (many):0", "local" */
static int add_policy(struct memory *m, pid_t pid, char *policy)
{
    struct placement_memory x = {.pid = (uint32_t)pid, .areas = 1}, *bigger;
    char *nodes = strrchr(policy, ':');

    if (nodes)
        *nodes++ = '\0';
    snprintf(x.policy, sizeof x.policy, "%s", policy);
    logical_nodes(m, nodes ? nodes : "", x.nodes, sizeof x.nodes);
    for (size_t i = 0; i < m->p->nmemory; i++) {
        struct placement_memory *k = &m->p->memory[i];

        if (k->pid == x.pid && !strcmp(k->policy, x.policy) && !strcmp(k->nodes, x.nodes)) {
            k->areas++;
            return 0;
        }
    }
    bigger = realloc(m->p->memory, (m->p->nmemory + 1) * sizeof *bigger);
    if (!bigger)
        return -1;
    m->p->memory = bigger;
    m->p->memory[m->p->nmemory++] = x;
    return 0;
}

/* Lines of numa_maps(5): ADDRESS POLICY KEY=VALUE...; the policy may hold " (many)". */
static int look_at_memory(struct memory *m, pid_t pid)
{
    char path[64], *line = NULL;
    size_t size = 0;
    FILE *f;
    int rc = 0;

    if (!m->many && is_big(pid))
        return 0;
    snprintf(path, sizeof path, "/proc/%d/numa_maps", (int)pid);
    f = fopen(path, "re");
    while (f && rc == 0 && getline(&line, &size, f) > 0) {
        char *policy = strchr(line, ' '), *end;

        if (!policy)
            continue;
        policy++;
        end = strstr(policy, " (many)");
        end = end == policy + strcspn(policy, " :\n") ? end + 7 : policy;
        end[strcspn(end, " \n")] = '\0';
        if (strcmp(policy, "default") != 0)
            rc = add_policy(m, pid, policy);
    }
    free(line);
    if (f)
        fclose(f);
    return rc;
}

static void look_at_all_memory(pid_t root, struct memory *m)
{
    pid_t *pids = NULL;
    size_t n = tree_list(root, &pids);

    m->many = access("/sys/devices/system/node/node1", F_OK) == 0;
    for (size_t i = 0; i < n; i++)
        if (look_at_memory(m, pids[i]) < 0)
            break;
    free(pids);
}

int placing_look(pid_t root, const struct topo_cpus *own, struct placement *p, struct err *err)
{
    struct placement got = {.nbindings = 0};
    struct look l = {.own = own, .p = &got};
    struct memory m = {.p = &got};
    struct topo_cpus cpus;
    int rc = each_thread(root, look_at, &l, err);

    got.step = l.outside;
    if (rc == 0)
        rc = allocation(own, got.step, &cpus, err);
    if (rc == 0)
        rc = topo_places(&cpus, NULL, &got.places, m.numa, NUMA_MAX, err);
    if (rc == 0)
        rc = bindings(&l, err);
    free(l.masks);
    if (rc < 0) {
        placement_free(&got);
        return -1;
    }
    look_at_all_memory(root, &m);
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

static void tell_memory(const struct placement *old, struct placing_result *r)
{
    const struct placement_memory *m = old->memory;

    if (old->nmemory > 0)
        snprintf(r->memory, sizeof r->memory, "process %u had %s%s%s%s", m->pid, m->policy,
                 m->nodes[0] ? " of NUMA nodes " : "", m->nodes,
                 old->nmemory > 1 ? ", and there are more" : "");
}

int placing_restore(pid_t root, const struct topo_cpus *own, const struct placement *old,
                    struct placement *now, struct placing_result *r, struct err *err)
{
    struct placement got = {.step = old->step};
    struct bind b = {.own = own, .old = old, .now = &got, .r = r, .more = true};
    struct topo_cpus cpus;
    int rc = allocation(own, old->step, &cpus, err);

    if (rc == 0)
        rc = topo_places(&cpus, NULL, &got.places, NULL, 0, err);
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
    if (rc < 0) {
        placement_free(&got);
        return -1;
    }
    tell_memory(old, r);
    *now = got;
    return 0;
}
