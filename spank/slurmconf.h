/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * slurmconf - what is read out of the Slurm process that the plugin is loaded in.
 *
 * The plugin must not link libslurm: its symbols come from the host process.  They are looked up at
 * run time and used with the headers of the same release, to which a SPANK plugin is bound anyway.
 */
#ifndef SPANK_SLURMCONF_H
#define SPANK_SLURMCONF_H

#include "common/err.h"

#include <slurm/spank.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of ProctrackType after the slash, e.g. "cgroup". */
int slurmconf_proctrack(char *out, size_t size, struct err *err);

/* Does Slurm's own accounting kill a job for its memory (JobAcctGatherParams=OverMemoryKill)? */
bool slurmconf_memory_kill(void);

/* Does Slurm send a job's own warning signal (--signal) when it is preempted, too?  (SlurmctldParameters:
 * preempt_send_user_signal in 22.05, send_user_signal in 24.11.) */
bool slurmconf_warns(void);

/* The cluster's name; "" when it is not known. */
const char *slurmconf_cluster(void);

/* At submission: Slurm's word for the state of a job that has not ended, NULL when it has or slurmctld does not
 * know it.  task: 0, or 1 and the number of a task of the array `job`. */
const char *slurmconf_job_unended(uint32_t job, uint32_t task);

/* Run `program` in place of the task's own: in task_init.  Slurm 23.02.5 and later have
 * spank_prepend_task_argv(); before, argv[0] is replaced and the original goes into the environment
 * variable `original` for the program to read.  Returns -1 and changes nothing on failure. */
int slurmconf_replace_program(spank_t sp, const char *program, const char *original,
                              struct err *err);

/* For srun --multi-prog under a Slurm without spank_prepend_task_argv(): there the program is not where
 * slurmconf_replace_program can change it.  At the end of task_init, exec `program` itself with the task's own program
 * and arguments; TaskProlog and the submit host's limits are left out then.  Returns only when that cannot be done. */
int slurmconf_exec_multi(spank_t sp, const char *program, const char *original, struct err *err);
bool slurmconf_can_prepend(void);

#endif
