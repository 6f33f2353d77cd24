/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/placing_memory.h"

#include "common/io.h"
#include "spank/mempolicy.h"
#include "spank/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* numa_maps walks all page tables: on a machine with one NUMA node the areas of small processes only are looked at. */
#define NUMA_MAPS_MAX (UINT64_C(1) << 30)
/* A thread that is being changed ends with whoever changes it: there must be time left of the clerk's (shepherd_place.c). */
#define WORK_SECONDS 20

/* ---- look ---- */

struct look {
    struct placement *p;
    const uint32_t *numa;
    bool many; /* more than one NUMA node */
};

static bool is_big(pid_t pid)
{
    char path[64], text[128];
    unsigned long long size, resident;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (io_read_start(path, text, sizeof text) < 0)
        return true;
    return sscanf(text, "%llu %llu", &size, &resident) != 2 ||
           resident * (unsigned long long)sysconf(_SC_PAGESIZE) > NUMA_MAPS_MAX;
}

/* The kernel's numbers of NUMA nodes, "0-1,3", to those of the table. */
static void logical_nodes(const struct look *l, const char *text, char *out, size_t size)
{
    struct place_set os, ours = {{0}};

    *out = '\0';
    if (!place_set_parse(text, PLACING_NUMA_MAX, &os))
        return;
    for (size_t i = 0; i < PLACING_NUMA_MAX; i++)
        if (place_set_has(&os, i) && l->numa[i] < PLACING_NUMA_MAX)
            place_set_add(&ours, l->numa[i]);
    place_set_format(&ours, out, size);
}

static int add(struct look *l, pid_t pid, pid_t tid, const char *word, const char *nodes,
               size_t *index)
{
    char ours[128];

    logical_nodes(l, nodes, ours, sizeof ours);
    *index = placement_memory_of(l->p, (uint32_t)pid, (uint32_t)tid, word, ours);
    return *index == SIZE_MAX ? -1 : 0;
}

/* What the lines of maps and numa_maps(5) that begin with the same address tell of one area. */
static int look_at_line(struct look *l, pid_t pid, char *line, const char *leader, FILE *maps)
{
    uint64_t start = strtoull(line, NULL, 16), from = 0, to = 0;
    char *policy = strchr(line, ' '), *end, whole[160], range[128];
    const char *nodes;
    size_t index;

    if (!policy)
        return 0;
    policy++;
    end = strstr(policy, " (many)");
    end = end == policy + strcspn(policy, " :\n") ? end + 7 : policy;
    if (strncmp(policy, "weighted ", 9) == 0)
        end = policy + 9;
    end[strcspn(end, " \n")] = '\0';
    snprintf(whole, sizeof whole, "%s", policy);
    if (strcmp(policy, "default") == 0 || strcmp(whole, leader) == 0)
        return 0;
    /* Both are sorted by address. */
    while (from < start && fgets(range, sizeof range, maps))
        if (sscanf(range, "%" SCNx64 "-%" SCNx64, &from, &to) != 2)
            from = 0; /* the rest of a long line */
    if (from != start || to <= from)
        return 0;
    mempolicy_split(policy, &nodes);
    return add(l, pid, 0, policy, nodes, &index) < 0 ||
                   placement_add_area(l->p, index, start, to - from) < 0
               ? -1
               : 0;
}

static int look_at_areas(struct look *l, pid_t pid, const char *leader)
{
    char path[64], *line = NULL;
    FILE *numa, *maps;
    size_t size = 0;
    int rc = 0;

    if (!l->many && is_big(pid))
        return 0;
    snprintf(path, sizeof path, "/proc/%d/numa_maps", (int)pid);
    numa = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    while (numa && maps && rc == 0 && getline(&line, &size, numa) > 0)
        rc = look_at_line(l, pid, line, leader, maps);
    free(line);
    if (numa)
        fclose(numa);
    if (maps)
        fclose(maps);
    return rc;
}

static int look_at_process(struct look *l, pid_t pid)
{
    char word[24], nodes[128], leader[160] = "";
    size_t index;
    int rc = 0;

    for (size_t i = 0; i < l->p->nthreads && rc == 0; i++) {
        const pid_t tid = (pid_t)l->p->threads[i].tid;

        if (l->p->threads[i].pid != (uint32_t)pid || mempolicy_of(pid, tid, word, nodes) < 0)
            continue;
        if (tid == pid)
            snprintf(leader, sizeof leader, "%s%s%s", word, *nodes ? ":" : "", nodes);
        if (strcmp(word, "default") != 0)
            rc = add(l, pid, tid, word, nodes, &index);
    }
    return rc == 0 ? look_at_areas(l, pid, leader) : rc;
}

int placing_memory_look(pid_t root, const uint32_t numa[PLACING_NUMA_MAX], struct placement *p,
                        struct err *err)
{
    struct look l = {p, numa, access("/sys/devices/system/node/node1", F_OK) == 0};
    pid_t *pids = NULL;
    size_t n = tree_list(root, &pids);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = look_at_process(&l, pids[i]);
    free(pids);
    return rc < 0 ? err_sys(err, "the memory policy of its areas") : 0;
}

/* ---- give it back ---- */

struct give {
    const struct placement *old;
    struct place_set *nodes; /* by node of old: nodes of now */
    size_t nnodes;
    const uint32_t *numa;
    struct placing_result *r;
};

/* The nodes of old, mapped, as the kernel numbers them. */
static bool kernel_nodes(const struct give *g, const char *text, struct place_set *out)
{
    struct place_set wanted, mapped = {{0}};

    memset(out, 0, sizeof *out);
    if (!*text)
        return true;
    if (!place_set_parse(text, g->nnodes, &wanted))
        return false;
    for (size_t i = 0; i < g->nnodes; i++)
        for (size_t k = 0; place_set_has(&wanted, i) && k < PLACING_NUMA_MAX; k++)
            if (place_set_has(&g->nodes[i], k))
                place_set_add(&mapped, k);
    for (size_t i = 0; i < PLACING_NUMA_MAX; i++)
        if (g->numa[i] < PLACING_NUMA_MAX && place_set_has(&mapped, g->numa[i]))
            place_set_add(out, i);
    return !place_set_is_empty(out);
}

static void failed(struct give *g, const char *why)
{
    if (g->r->policies_failed++ == 0)
        snprintf(g->r->policy_why, sizeof g->r->policy_why, "%s", why);
}

static bool policy_of(struct give *g, const struct placement_memory *m, struct mempolicy *p)
{
    char why[200];

    p->mode = m ? mempolicy_mode(m->policy) : MPOL_DEFAULT;
    memset(&p->nodes, 0, sizeof p->nodes);
    if (p->mode >= 0 && (!m || kernel_nodes(g, m->nodes, &p->nodes)) &&
        (p->mode == MPOL_DEFAULT || p->mode == MPOL_LOCAL || !place_set_is_empty(&p->nodes)))
        return true;
    snprintf(why, sizeof why, "process %u had %s on NUMA nodes outside the allocation", m->pid,
             m->policy);
    failed(g, why);
    return false;
}

/* What it has is criu's, which has it from the Slurm task: that may be what is wanted. */
static void give_thread(struct give *g, pid_t pid, pid_t tid)
{
    const struct placement_memory *m = placement_policy_of(g->old, (uint32_t)pid, (uint32_t)tid);
    char word[24], nodes[128], wanted[128];
    struct err err = {""};
    struct mempolicy p;

    if (mempolicy_of(pid, tid, word, nodes) < 0 || (!m && strcmp(word, "default") == 0) ||
        !policy_of(g, m, &p))
        return;
    place_set_format(&p.nodes, wanted, sizeof wanted);
    if ((mempolicy_mode(word) != p.mode || strcmp(nodes, wanted) != 0) &&
        mempolicy_set(pid, tid, &p, &err) < 0) {
        if (errno != ESRCH)
            failed(g, err.text);
        return;
    }
    g->r->policies += m != NULL;
    /* criu has allocated its memory, wherever it was itself. */
    if (tid == pid && (p.mode & ~MPOL_F_STATIC_NODES) == MPOL_BIND &&
        mempolicy_move(pid, &p.nodes, &err) < 0 && errno != ESRCH)
        failed(g, err.text);
}

static void give_areas(struct give *g, const struct placement_memory *m)
{
    uint64_t(*area)[2] = calloc(m->nareas + 1, sizeof *area);
    struct err err = {""};
    struct mempolicy p;
    int n;

    for (size_t i = 0; area && i < m->nareas; i++) {
        area[i][0] = m->areas[i].start;
        area[i][1] = m->areas[i].bytes;
    }
    if (!area) {
        failed(g, strerror(ENOMEM));
    } else if (policy_of(g, m, &p)) {
        n = mempolicy_set_areas((pid_t)m->pid, &p, (const uint64_t(*)[2])area, m->nareas, &err);
        if (n > 0)
            g->r->areas += (unsigned)n;
        if (n < (int)m->nareas && errno != ESRCH)
            failed(g, err.text);
    }
    free(area);
}

static bool in_time(time_t began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - began < WORK_SECONDS;
}

int placing_memory_restore(const struct placement *old, const uint32_t numa[PLACING_NUMA_MAX],
                           const struct placement *now, struct placing_result *r, struct err *err)
{
    struct give g = {.old = old, .nnodes = places_nodes(&old->places), .numa = numa, .r = r};
    struct timespec began;

    clock_gettime(CLOCK_MONOTONIC, &began);
    g.nodes = calloc(g.nnodes, sizeof *g.nodes);
    if (!g.nodes || place_map_nodes(&old->places, old->bindings, old->nbindings, &now->places,
                                    g.nodes, err) < 0) {
        free(g.nodes);
        return err_prefix(err, "memory policy");
    }
    for (size_t i = 0; i < now->nthreads; i++) {
        if (in_time(began.tv_sec))
            give_thread(&g, (pid_t)now->threads[i].pid, (pid_t)now->threads[i].tid);
        else
            failed(&g, "there was no time left for it");
    }
    for (size_t i = 0; i < old->nmemory; i++)
        if (old->memory[i].tid == 0 && in_time(began.tv_sec))
            give_areas(&g, &old->memory[i]);
    free(g.nodes);
    return 0;
}
