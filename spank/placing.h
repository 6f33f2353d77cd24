/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * placing - look where the threads of a tree run, and bind them again.
 *
 * For a process of the job's user in the job's pid and time namespaces; needs no capability: sched_setaffinity(2) asks
 * for the same uid, as ptrace(2) does (mempolicy.h).  The kernel keeps every binding within the step's cpuset.
 */
#ifndef SPANK_PLACING_H
#define SPANK_PLACING_H

#include "common/placement.h"
#include "spank/topo.h"

#include <stdbool.h>
#include <sys/types.h>

struct placing_result {
    unsigned bound;    /* threads that were bound and are again */
    unsigned failed;   /* threads whose binding could not be set */
    bool same_shape;   /* the allocation has the shape of the old one */
    char why[128];     /* failed: the first reason */
    unsigned policies; /* threads whose memory policy is again what it was */
    unsigned areas;    /* areas of memory, likewise */
    unsigned policies_failed;
    char policy_why[200]; /* the first reason */
    uint64_t back_ms;     /* by how much CLOCK_MONOTONIC has gone back */
};

/* Every thread of the tree below root: unbound when it has the mask `own` that Slurm gave the task.  *p gets
 * everything but node, generation and time.  -1 with a text. */
int placing_look(pid_t root, const struct topo_cpus *own, struct placement *p, struct err *err);

/* Bind the threads of the tree, which were `old`, to the places of this allocation.  *now: as placing_look. Threads
 * that come meanwhile inherit from the one that made them and are looked at again. */
int placing_restore(pid_t root, const struct topo_cpus *own, const struct placement *old,
                    struct placement *now, struct placing_result *r, struct err *err);

#endif
