/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * mempolicy - NUMA memory policy of threads and areas of other processes.
 *
 * The kernel lets a thread set its own policy only (set_mempolicy(2), mbind(2)); migrate_pages(2) moves pages and leaves
 * the policy as it is.  So the thread is stopped (PTRACE_SEIZE) and makes the call itself, see dump/inject.h.  Needs what
 * ptrace asks for: the same uid, a dumpable process, no Yama in the way.
 */
#ifndef SPANK_MEMPOLICY_H
#define SPANK_MEMPOLICY_H

#include "common/err.h"
#include "common/place.h"

#include <stdint.h>
#include <sys/types.h>

#define MEMPOLICY_NODES 1024 /* MAX_NUMNODES of the kernel */

struct mempolicy {
    int mode;               /* MPOL_* with MPOL_F_*, as set_mempolicy(2) takes them */
    struct place_set nodes; /* the kernel's numbers, below MEMPOLICY_NODES */
};

/* The mode of a word of numa_maps(5), "bind", "interleave=static", "prefer (many)"; -1: not known.  Nodes that are
 * relative to a cpuset are shown as what they are at the time; the flag is left out. */
int mempolicy_mode(const char *word);

/* The word and nodes that numa_maps shows for the thread's own policy: "bind" and "0-1"; "default" and "".  -1: it is gone,
 * or the kernel has no NUMA. */
int mempolicy_of(pid_t pid, pid_t tid, char word[24], char nodes[128]);
/* Splits "bind=static:0-1", in place; *nodes is "" without any. */
void mempolicy_split(char *text, const char **nodes);

/* Give the thread this policy.  -1 with a text. */
int mempolicy_set(pid_t pid, pid_t tid, const struct mempolicy *p, struct err *err);
/* Give areas of the process this policy: n pairs of address and length.  Returns how many, -1 with a text when none. */
int mempolicy_set_areas(pid_t pid, const struct mempolicy *p, const uint64_t (*area)[2], size_t n,
                        struct err *err);
/* Move what lies on other nodes to these; needs no ptrace.  -1 with a text. */
int mempolicy_move(pid_t pid, const struct place_set *nodes, struct err *err);

#endif
