/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/topo.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

int topo_get(int tid, struct topo_cpus *out)
{
    memset(out, 0, sizeof *out);
    return sched_getaffinity(tid, sizeof *out, out->set);
}

int topo_set(int tid, const struct topo_cpus *cpus)
{
    return sched_setaffinity(tid, sizeof *cpus, cpus->set);
}

static bool has(const struct topo_cpus *c, size_t cpu)
{
    return CPU_ISSET_S(cpu, sizeof *c, c->set);
}

static void add(struct topo_cpus *c, size_t cpu)
{
    CPU_SET_S(cpu, sizeof *c, c->set);
}

bool topo_equal(const struct topo_cpus *a, const struct topo_cpus *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool topo_within(const struct topo_cpus *a, const struct topo_cpus *b)
{
    for (size_t i = 0; i <= PLACE_OS_MAX; i++)
        if (has(a, i) && !has(b, i))
            return false;
    return true;
}

int topo_cpuset(struct topo_cpus *out, struct err *err)
{
    struct topo_cpus before, all, got;

    memset(&all, 0xff, sizeof all);
    if (topo_get(0, &before) < 0 || topo_set(0, &all) < 0)
        return err_sys(err, "CPU affinity");
    if (topo_get(0, &got) < 0)
        return err_sys(err, "CPU affinity");
    (void)topo_set(0, &before);
    *out = got;
    return 0;
}

/* ---- the table ---- */

/* Numbers in the order in which they are first seen. */
struct renumber {
    unsigned *seen;
    uint32_t n;
};

static uint32_t number(struct renumber *r, unsigned index)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (r->seen[i] == index)
            return i;
    r->seen[r->n] = index;
    return r->n++;
}

static unsigned above(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(topology, type, pu);

    return o ? o->logical_index : 0;
}

/* The last level that is shared: L3, else L2, as the machine has it. */
static unsigned cache_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE,
                                             HWLOC_OBJ_L2CACHE};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(topology, types[i], pu);

        if (o)
            return o->logical_index;
    }
    return 0;
}

static unsigned core_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);

    return o ? o->logical_index : 0x80000000u + pu->logical_index; /* its own */
}

static void learn_numa(hwloc_obj_t pu, uint32_t n, uint32_t *numa, size_t size)
{
    int os = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : -1;

    if (numa && os >= 0 && (size_t)os < size)
        numa[os] = n;
}

static size_t fill(hwloc_topology_t topology, const struct topo_cpus *cpus, struct place *p,
                   unsigned *room, /* NOLINT(readability-non-const-parameter): written through `number` */
                   uint32_t *numa, size_t numa_size)
{
    struct renumber package = {room, 0}, node = {room + PLACE_MAX, 0},
                    cache = {room + 2 * PLACE_MAX, 0}, core = {room + 3 * PLACE_MAX, 0};
    hwloc_obj_t pu = NULL;
    size_t n = 0;

    while (n < PLACE_MAX && (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu))) {
        int os_node = pu->nodeset ? hwloc_bitmap_first(pu->nodeset) : 0;

        if (pu->os_index > PLACE_OS_MAX || !has(cpus, pu->os_index))
            continue;
        p[n].os = pu->os_index;
        p[n].package = number(&package, above(topology, pu, HWLOC_OBJ_PACKAGE));
        p[n].numa = number(&node, os_node < 0 ? 0 : (unsigned)os_node);
        p[n].cache = number(&cache, cache_of(topology, pu));
        p[n].core = number(&core, core_of(topology, pu));
        learn_numa(pu, p[n].numa, numa, numa_size);
        n++;
    }
    return n;
}

/* One package, every CPU a core. */
static size_t fill_flat(const struct topo_cpus *cpus, struct place *p, uint32_t *numa,
                        size_t numa_size)
{
    size_t n = 0;

    memset(p, 0, PLACE_MAX * sizeof *p);
    for (uint32_t i = 0; i <= PLACE_OS_MAX && n < PLACE_MAX; i++)
        if (has(cpus, i)) {
            p[n].os = i;
            p[n].core = (uint32_t)n;
            n++;
        }
    for (size_t i = 0; numa && i < numa_size; i++)
        numa[i] = i == 0 ? 0 : UINT32_MAX;
    return n;
}

static hwloc_topology_t load(const char *synthetic)
{
    hwloc_topology_t topology;

    if (hwloc_topology_init(&topology) < 0)
        return NULL;
    if ((synthetic && hwloc_topology_set_synthetic(topology, synthetic) < 0) ||
        hwloc_topology_load(topology) < 0) {
        hwloc_topology_destroy(topology);
        return NULL;
    }
    return topology;
}

static size_t count(const struct topo_cpus *cpus)
{
    return (size_t)CPU_COUNT_S(sizeof *cpus, cpus->set);
}

int topo_places(const struct topo_cpus *cpus, const char *synthetic, struct places *out,
                uint32_t *numa, size_t numa_size, struct err *err)
{
    struct places got = {0, calloc(PLACE_MAX, sizeof *got.p)};
    unsigned *room = calloc((size_t)4 * PLACE_MAX, sizeof *room);
    hwloc_topology_t topology = load(synthetic);

    for (size_t i = 0; numa && i < numa_size; i++)
        numa[i] = UINT32_MAX;
    if (!got.p || !room) {
        err_sys(err, "places");
        goto fail;
    }
    if (topology)
        got.n = fill(topology, cpus, got.p, room, numa, numa_size);
    if (got.n != count(cpus) || !places_ok(&got))
        got.n = fill_flat(cpus, got.p, numa, numa_size);
    if (!places_ok(&got)) {
        errno = ERANGE;
        err_set(err, "%zu CPUs: not between 1 and %d", count(cpus), PLACE_MAX);
        goto fail;
    }
    *out = got;
    free(room);
    if (topology)
        hwloc_topology_destroy(topology);
    return 0;
fail:
    free(got.p);
    free(room);
    if (topology)
        hwloc_topology_destroy(topology);
    return -1;
}

void topo_cpus_of(const struct places *p, const struct place_set *s, struct topo_cpus *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < p->n; i++)
        if (place_set_has(s, i))
            add(out, p->p[i].os);
}

bool topo_places_of(const struct places *p, const struct topo_cpus *cpus, struct place_set *out)
{
    size_t n = 0;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < p->n; i++)
        if (has(cpus, p->p[i].os)) {
            place_set_add(out, i);
            n++;
        }
    return n == count(cpus);
}
