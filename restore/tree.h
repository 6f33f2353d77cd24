/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tree - the processes that are to be restored, as pstree.img names them.
 */
#ifndef RESTORE_TREE_H
#define RESTORE_TREE_H

#include "common/err.h"
#include "common/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PROCESSES_MAX 100000u
#define TREE_THREADS_MAX 1000000u /* of all processes */

struct proc {
    uint32_t pid, ppid, pgid, sid; /* ppid 0: the root */
    uint32_t *tids;                /* the leader's first */
    size_t ntids;
    bool dead; /* a zombie; known once its core is read */
};

struct tree {
    struct proc *procs; /* the root first, parents before children */
    size_t n;
    size_t nthreads;
    uint32_t
        *ids; /* every number that must be free: pids, tids, groups, sessions; sorted, once each */
    size_t nids;
};

/* Add a process; copies the tids.  Refuses (-1, EBADMSG): numbers outside 2..4194304; a first
 * process with a parent or a later one without; a parent that has not come yet; a first tid that is
 * not the pid. */
int tree_add(struct tree *t, const struct proc *p, struct err *err);
/* After the last one: refuses a number that is used for two threads; makes `ids`. */
int tree_finish(struct tree *t, struct err *err);
void tree_free(struct tree *t);

/* Does the manifest name the same processes with the same threads, parents, groups and sessions?
 * (Parents but the root's, which is outside.) */
int tree_compare(const struct tree *t, const struct manifest *m, struct err *err);

uint32_t tree_max_id(const struct tree *t);

#endif
