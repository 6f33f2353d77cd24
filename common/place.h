/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * place - where the threads of a job run, as logical places, and where they go on another node.
 *
 * CRIU saves no CPU binding (its issues 1298, 2014).  A place is one processing unit (PU, what the kernel
 * calls a CPU) of the allocation, numbered from 0 in hwloc's logical order, so that neighbours have
 * neighbouring numbers whatever the kernel calls them.  Package, NUMA node, last-level cache and core are
 * numbered the same way, from 0, each over the whole allocation.
 *
 * Nothing here asks the machine: topo.h makes the table.
 */
#ifndef COMMON_PLACE_H
#define COMMON_PLACE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACE_MAX 4096     /* processing units of an allocation on one node */
#define PLACE_OS_MAX 16383 /* the highest number that the kernel may give one */

struct place {
    uint32_t os; /* the kernel's number */
    uint32_t package, numa, cache, core;
};

struct places {
    size_t n;
    struct place *p; /* logical order; the places of a core follow each other */
};

struct place_set {
    uint64_t bits[PLACE_MAX / 64];
};

static inline void place_set_add(struct place_set *s, size_t i)
{
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline bool place_set_has(const struct place_set *s, size_t i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}
bool place_set_is_empty(const struct place_set *s);
bool place_set_equal(const struct place_set *a, const struct place_set *b);

/* "0-3,8"; or back (false: malformed, or a number >= n).  out is cut at size. */
void place_set_format(const struct place_set *s, char *out, size_t size);
bool place_set_parse(const char *text, size_t n, struct place_set *s);

/* Are the numbers those of an allocation: 1..PLACE_MAX places, cores 0, 1, 2 ... in order, each in one
 * package, NUMA node and cache, no kernel's number twice? */
bool places_ok(const struct places *p);

/* The same shape: everything equal but the kernel's numbers. */
bool places_same_shape(const struct places *a, const struct places *b);

/* The rule: bound[i] (places of `from`) becomes out[i] (places of `to`), n of both.
 *
 *  1. In an allocation of the same shape every place becomes the place of the same number.
 *  2. Else whole cores move.  Every core in use gets a core of its own as long as there are enough: cores
 *     that shared a package, NUMA node or cache go into one together while there is room in it, in the same
 *     order.  When the ones in use followed each other without a gap they do so again (compact); when
 *     there were gaps they are spread evenly again.
 *  3. With fewer cores than were in use they share evenly, neighbours with neighbours, and none stays free.
 *  4. Within a core: what had the whole core gets the whole core; what had its own hyperthread keeps one of
 *     its own while the new core has as many, else it counts as a core of its own in 2 and 3.
 *
 * So a binding never leaves `to`, bindings that overlapped still do, and two that were apart on different
 * cores share one only when no core is free.  Both tables must be places_ok, no bound[i] empty. -1: ENOMEM,
 * or EINVAL. */
int place_map(const struct places *from, const struct place_set *bound, size_t n,
              const struct places *to, struct place_set *out, struct err *err);

size_t places_nodes(const struct places *p); /* how many NUMA nodes: of a table that is places_ok */

/* The NUMA nodes of `to` that stand for each of `from`, nodes[places_nodes(from)]: memory follows what was bound in the
 * node, as place_map moves it.  A node in which nothing was bound becomes the one of the same number where there are as
 * many, else the one at the same part of the way. */
int place_map_nodes(const struct places *from, const struct place_set *bound, size_t n,
                    const struct places *to, struct place_set *nodes, struct err *err);

#endif
