/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * topo - the places of an allocation, as hwloc sees the machine.
 *
 * hwloc loads plugins and reads descriptions that its environment names: for processes of the job's user only.
 */
#ifndef SPANK_TOPO_H
#define SPANK_TOPO_H

#include "common/err.h"
#include "common/place.h"

#include <sched.h>
#include <stdbool.h>

/* Numbers of CPUs, as sched_setaffinity(2) takes them. */
struct topo_cpus {
    cpu_set_t set[(PLACE_OS_MAX + 1) / CPU_SETSIZE];
};

/* -1 with errno of the system call.  tid 0: the caller. */
int topo_get(int tid, struct topo_cpus *out);
int topo_set(int tid, const struct topo_cpus *cpus);
bool topo_equal(const struct topo_cpus *a, const struct topo_cpus *b);
bool topo_within(const struct topo_cpus *a, const struct topo_cpus *b);

/* All that the caller's cpuset allows, whatever it is bound to: asks for everything, which the kernel cuts to
 * the cpuset, and binds itself back.  -1 with a text. */
int topo_cpuset(struct topo_cpus *out, struct err *err);

/* The table of these CPUs (places.p malloc'ed).  Where hwloc knows less than the kernel (a container, a
 * description from the environment) every CPU is a core of its own in one package.  `synthetic`: a machine
 * in hwloc's notation instead of this one, or NULL.  numa: by number of the kernel's NUMA node the number in
 * the table, or UINT32_MAX (numa_size entries; may be NULL). -1 with a text. */
int topo_places(const struct topo_cpus *cpus, const char *synthetic, struct places *out,
                uint32_t *numa, size_t numa_size, struct err *err);

void topo_cpus_of(const struct places *p, const struct place_set *s, struct topo_cpus *out);
/* False when cpus has one that is not in p. */
bool topo_places_of(const struct places *p, const struct topo_cpus *cpus, struct place_set *out);

#endif
