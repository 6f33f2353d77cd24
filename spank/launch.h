/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * launch - what happens to a task between its fork from slurmstepd and its exec.
 *
 *   launch_prepare  task_init_privileged, root: facts, preflight, namespaces, the inheritable bit
 *   launch_start    task_init, the user:        keeper forked, the bit cleared, shepherd put in
 * front
 *
 * The inheritable bit (CAP_CHECKPOINT_RESTORE) exists only between the two, while nothing but
 * slurmstepd's own code runs in the task; launch_start clears it on every path before it returns
 * (TaskProlog and the user's program come after).
 */
#ifndef SPANK_LAUNCH_H
#define SPANK_LAUNCH_H

#include "common/err.h"
#include "spank/policy.h"

#include <slurm/spank.h>

/* Returns 0 when the task can be checkpointed; -1 with a reason when it runs without (nothing is
 * left behind); with errno ENOTRECOVERABLE the task must not run at all. */
int launch_prepare(const struct conf *conf, const struct policy_task *task, struct err *err);

/* Continue a launch_prepare() that succeeded; same results. */
int launch_start(spank_t sp, struct err *err);

/* The last of task_init, after launch_start succeeded and the bit is cleared.  It does not return when the task's
 * program cannot be replaced where it is (srun --multi-prog, Slurm before 23.02.5). */
void launch_finish(spank_t sp);

/* In task_init, for a job that was requeued and cannot be restored on this node (`why`): have the
 * shepherd, an ordinary process, look whether there are checkpoints, and hold the job if so,
 * instead of letting it start over.  One that begins with another job's checkpoint (`restores`) is held in any case.
 * -1: that cannot be arranged. */
int launch_hold(spank_t sp, const struct conf *conf, const struct policy_task *task, bool restores,
                const char *why, struct err *err);

/* Clear the inheritable bit, whatever happened before. Aborts the process if that cannot be done:
 * user code must never see it. */
void launch_clear_bit(void);

#endif
