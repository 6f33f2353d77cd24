/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * submit_restore - sbatch --checkpoint=restore=JOBID[.GENERATION]: what can be seen to be wrong at submission.
 *
 * Only for an early word: the job itself looks again, and whether the checkpoint is good is decided there.
 */
#ifndef SPANK_SUBMIT_RESTORE_H
#define SPANK_SUBMIT_RESTORE_H

#include "common/err.h"
#include "common/spec.h"

/* As the user; dir: where the new job's checkpoints will be.  -1: the old job has not ended, or there is no such
 * checkpoint. */
int submit_check_restore(const char *dir, const struct spec *s, struct err *err);

#endif
