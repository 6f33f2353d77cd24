/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * placing_memory - look at the NUMA memory policy of a tree, and give it back (mempolicy.h).  For placing.c.
 */
#ifndef SPANK_PLACING_MEMORY_H
#define SPANK_PLACING_MEMORY_H

#include "common/placement.h"
#include "spank/placing.h"

#include <sys/types.h>

#define PLACING_NUMA_MAX 1024

/* Of all threads of the tree, into p->memory, with the numbers of the table's nodes: numa, by the kernel's number. */
int placing_memory_look(pid_t root, const uint32_t numa[PLACING_NUMA_MAX], struct placement *p,
                        struct err *err);

/* Every thread of `now` gets what it had in `old`, on the nodes of now's places that stand for the old ones; r->policies
 * and what follows are filled.  -1: no memory. */
int placing_memory_restore(const struct placement *old, const uint32_t numa[PLACING_NUMA_MAX],
                           const struct placement *now, struct placing_result *r, struct err *err);

#endif
