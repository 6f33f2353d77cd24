/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * submit - the side of sbatch and srun: environment, checks that refuse a submission, what the job
 * needs.
 */
#ifndef SPANK_SUBMIT_H
#define SPANK_SUBMIT_H

#include "common/conf.h"
#include "common/err.h"

#include <stdbool.h>

/* Where the site has Slurm tell jobs of a preemption (SlurmctldParameters=preempt_send_user_signal), the batch task
 * of a job with checkpoints gets SIGURG so many seconds before its limit, and when a grace time begins: unless the
 * user has asked for a signal of his own. */
#define SUBMIT_WARNING_S 120

/* Before options are parsed: SBATCH_CHECKPOINT(_DIR) (srun: SLURM_CHECKPOINT(_DIR)) become the
 * options, and the output files of a job that asks on its command line are opened for appending, so
 * that a restart does not truncate them. Nothing is changed for a job that does not ask. */
void submit_environment(bool is_srun);

/* The option was seen (also in an #SBATCH line): as above for the output files. */
void submit_append_output(void);

/* salloc makes no batch script that could be checkpointed.  Inside a job with checkpoints it inherits the
 * option by the environment: *on_command_line tells whether the user himself asked. */
bool submit_is_salloc(bool *on_command_line);

/* All options are known.  Refuses (-1) with what is wrong and what is allowed. */
int submit_check(const struct conf *conf, const char *spec, const char *dir, struct err *err);

/* Undo what submit_environment did to the environment, so that it does not leak into the job. */
void submit_finish(void);

/* 16 hex digits from the kernel. */
int submit_nonce(char nonce[17], struct err *err);

#endif
