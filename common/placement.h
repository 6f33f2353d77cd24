/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * placement - placement.json: where each thread of a job ran, as logical places (place.h).
 *
 * The shepherd writes it right before a dump, dump moves it into the generation unread, and the manifest has
 * its digest.  Written again after a restore, beside the generations, it says where the job runs now.
 */
#ifndef COMMON_PLACEMENT_H
#define COMMON_PLACEMENT_H

#include "common/err.h"
#include "common/manifest.h"
#include "common/place.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACEMENT_FILE "placement.json" /* in a generation */
#define PLACEMENT_NEXT "placement.next" /* in the task's directory: for the dump that begins */
#define PLACEMENT_NOW "placement.now"   /* in the task's directory: after the last restore */
#define PLACEMENT_MAX_BYTES (16u << 20)
#define PLACEMENT_UNBOUND UINT32_MAX /* may run anywhere in the allocation */

struct placement_thread {
    uint32_t pid, tid; /* as the manifest numbers them */
    uint32_t binding;  /* index, or PLACEMENT_UNBOUND */
};

struct placement_area {
    uint64_t start, bytes;
};

/* What does not follow the kernel's default policy: a thread's memory (tid), or areas of a process that have a policy
 * of their own (tid 0). */
struct placement_memory {
    uint32_t pid, tid;
    char policy[24]; /* "bind", "interleave", "prefer", ..., as numa_maps(5) has it */
    char nodes[128]; /* of the table's NUMA nodes, "0-1"; "" when it names none of them */
    size_t nareas;
    struct placement_area *areas;
};

struct placement {
    char node[64];
    char generation[32]; /* that the job was restored from; "" in a generation */
    char created[32];    /* RFC 3339 */
    uint64_t clock_ms;   /* CLOCK_MONOTONIC, as the job reads it */
    bool
        step; /* the table is of all that the step may use, because a thread had left what Slurm bound
                            the task to; else of that */
    struct places places;
    size_t nbindings;
    struct place_set *bindings; /* different ones */
    size_t nthreads;
    struct placement_thread *threads;
    size_t nmemory;
    struct placement_memory *memory;
};

/* malloc'ed text, or NULL: ENOMEM. */
char *placement_encode(const struct placement *p, struct err *err);
/* Strict, as manifest_decode.  -1, EBADMSG: *p is untouched. */
int placement_decode(const char *text, size_t len, struct placement *p, struct err *err);
/* Of an open generation whose manifest is *m: checks the digest.  1: loaded, 0: it has none, -1. */
int placement_load(int genfd, const struct manifest *m, struct placement *p, struct err *err);
void placement_free(struct placement *p); /* what p holds; errno kept */

/* The index of this binding, added when it is new; SIZE_MAX without memory. */
size_t placement_binding(struct placement *p, const struct place_set *s);
/* -1 without memory */
int placement_add_thread(struct placement *p, uint32_t pid, uint32_t tid, uint32_t binding);

/* The index of what has this policy, added when it is new; SIZE_MAX without memory. */
size_t placement_memory_of(struct placement *p, uint32_t pid, uint32_t tid, const char *policy,
                           const char *nodes);
/* One more area of memory[index]; one that follows the last without a gap is joined to it. -1 without memory, and
 * E2BIG. */
int placement_add_area(struct placement *p, size_t index, uint64_t start, uint64_t bytes);

/* The binding of a thread, an index or PLACEMENT_UNBOUND: its own; or, of a thread that is not in *p because it
 * is younger, its leader's, because the kernel gives a new thread its creator's. */
uint32_t placement_of(const struct placement *p, uint32_t pid, uint32_t tid);
/* The same for its memory: NULL when it has the default policy. */
const struct placement_memory *placement_policy_of(const struct placement *p, uint32_t pid,
                                                   uint32_t tid);

#endif
