/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * base - the caller's directory of checkpoints and the jobs in it.
 */
#ifndef CMD_BASE_H
#define CMD_BASE_H

#include "cmd/cmd.h"
#include "common/err.h"

#include <limits.h>
#include <stdint.h>
#include <time.h>

#define BASE_TASK "batch"

struct base_job {
    char cluster[64];
    uint32_t job;
    char nonce[17];
    char task[64];           /* directory of one of its tasks; "": the batch script's */
    bool is_step;            /* ... which is of a step of srun's */
    uint32_t step, taskid;   /* step: UINT32_MAX when it is not known */
    uint32_t epoch;          /* when it last ran */
    struct timespec changed; /* of its directory or its task's, whichever is newer */
};

/* Where the caller's checkpoints are: -d DIR, SLURM_CHECKPOINT_DIR, SBATCH_CHECKPOINT_DIR, Dir of
 * checkpoint.conf, with % patterns expanded for the caller. A relative -d counts from here. */
int base_path(const struct cmd *c, char path[PATH_MAX], struct err *err);

/* "CLUSTER.JOBID.NONCE"; a cluster's name may hold dots. */
bool base_parse_name(const char *name, struct base_job *j);

/* The jobs in it, last changed first; job != 0: only of that id; cluster not NULL: only of that
 * cluster. *jobs is malloc'ed, the caller frees it. Returns the count. errno ENOENT: there is no
 * such directory (so there are no checkpoints). */
int base_scan(const char *path, uint32_t job, const char *cluster, struct base_job **jobs,
              struct err *err);

/* The newest of a job.  errno ESRCH: none. */
int base_find(const char *path, uint32_t job, const char *cluster, struct base_job *j,
              struct err *err);

#define BASE_LABEL_MAX 48
/* "12"; of a step's task "12.0/1". */
void base_label(const struct base_job *j, char label[BASE_LABEL_MAX]);

/* All tasks of a job that have a directory: the batch script, then those of steps by step and number.  *tasks is malloc'ed, the
 * caller frees it.  Returns the count. */
int base_tasks(const char *path, const struct base_job *j, struct base_job **tasks,
               struct err *err);

/* Open a directory in the job's, by its name. */
int base_open(const char *path, const struct base_job *j, const char *task, struct err *err);
/* Open the directory of its task. */
int base_open_task(const char *path, const struct base_job *j, struct err *err);

#endif
