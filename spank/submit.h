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

enum submit_kind { SUBMIT_SBATCH, SUBMIT_SALLOC, SUBMIT_SRUN };
/* sbatch or salloc? */
enum submit_kind submit_kind(void);
/* Does --checkpoint stand on this very command line, or has it come by the environment? */
bool submit_on_command_line(void);

/* All options are known.  Refuses (-1) with what is wrong and what is allowed. */
int submit_check(const struct conf *conf, const char *spec, const char *dir, enum submit_kind kind,
                 struct err *err);

/* Undo what submit_environment did to the environment, so that it does not leak into the job. */
void submit_finish(void);

/* 16 hex digits from the kernel. */
int submit_nonce(char nonce[17], struct err *err);

#endif
