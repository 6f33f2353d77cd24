/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * state - what the root prolog was told about a job, kept for its tasks on this node.
 *
 * One file per job and node (several slurmd may share a machine), STATEDIR/JOBID.NODE, written by job_prolog and removed by job_epilog.  Both run as
 * root in a process of slurmd's and touch nothing but this directory (0700, root's).  The restart
 * count comes from slurmctld by way of the job credential (SLURM_JOB_RESTART_COUNT in the prolog's
 * environment), cluster and node from slurmd; the item S_SLURM_RESTART_COUNT always reads 0 and
 * SLURM_RESTART_COUNT in the job's environment is the user's.
 */
#ifndef SPANK_STATE_H
#define SPANK_STATE_H

#include "common/err.h"

#include <stdint.h>
#include <sys/types.h>

struct state {
    uint32_t job;
    uid_t uid;
    uint32_t epoch;
    char nonce[17];
    char cluster[64], node[64];
};

/* As root.  The directory is made when it is missing (its parent must exist) and refused when it is
 * not root's alone. */

/* Prolog: the job starts on this node. */
int state_store(const char *dir, const struct state *s, struct err *err);

/* What a record is worth when a task starts. */
enum state_age {
    STATE_FRESH,  /* the prolog has just run: its epoch is this start's */
    STATE_OLD,    /* of this start, or of an earlier one that was lost with this node */
    STATE_CLOSED, /* an epilog has closed it: of an earlier start for certain */
};
#define STATE_FRESH_S 30

/* A task starts on `node`.  ENOENT: the prolog left nothing. */
int state_load(const char *dir, uint32_t job, const char *node, struct state *s,
               enum state_age *age, struct err *err);

/* A file whose bytes are locked by those keepers of this node that run a dump (slots.h).  Nobody but root can open it. */
int state_open_slots(const char *dir, struct err *err);

/* Epilog: close the job's record; closed ones are removed after STATE_CLOSED_S. */
#define STATE_CLOSED_S 3600
int state_close(const char *dir, uint32_t job, const char *node, struct err *err);

#endif
