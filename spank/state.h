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

/* A task starts on `node`: 0, or 1 for the record that an epilog has closed.  ENOENT: the prolog left nothing.
 * slurmd runs no prolog for a job that comes back to the node before its credential has expired (`scontrol release`,
 * or `scontrol update StartTime=now`, soon after a requeue); then the closed record is all there is, and its epoch is
 * too small by as many starts as the job has had since, here and elsewhere: ask (restarts.h), and store it. */
int state_load(const char *dir, uint32_t job, const char *node, struct state *s, struct err *err);

/* A file whose bytes are locked by those keepers of this node that run a dump (slots.h).  Nobody but root can open it. */
int state_open_slots(const char *dir, struct err *err);

/* Epilog: close the job's record; closed ones are removed after STATE_CLOSED_S. */
#define STATE_CLOSED_S 3600
int state_close(const char *dir, uint32_t job, const char *node, struct err *err);

#endif
