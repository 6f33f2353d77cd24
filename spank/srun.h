/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * srun - srun's own side of a step with checkpoints: which step of the script this is.
 *
 * Runs in srun as the user, who could do all of it himself.  What it finds goes to the nodes in an environment
 * variable of the step, where root takes it for a name and for nothing more (policy.h).
 */
#ifndef SPANK_SRUN_H
#define SPANK_SRUN_H

#include "common/conf.h"
#include "common/err.h"

#include <stdbool.h>

/* The step's key; SLURM_, because --export=NONE lets only such ones pass.  The shepherd takes it out. */
#define SRUN_KEY_ENV "SLURM_CHECKPOINT_STEP"
#define SRUN_NONCE_ENV "SLURM_SPANK_CHECKPOINT_NONCE"

enum srun_where {
    SRUN_ALONE, /* srun makes its own allocation */
    SRUN_INSIDE /* of a batch job or a salloc */
};
enum srun_where srun_where(void);

/* Can this srun's tasks be checkpointed?  -1 with the reason: --pty. */
int srun_possible(struct err *err);

/* The command line and the working directory as one line (malloc'ed), and its digest, 16 hex digits. */
char *srun_command(char word[17]);

enum srun_verdict {
    SRUN_RUN,  /* with *key */
    SRUN_DONE, /* the step ended in an earlier run of the script, with *code */
};
/* Inside: claim the step's key.  `name`: the user's own, or "".  EPERM: the allocation was made without
 * --checkpoint. */
int srun_claim(const struct conf *conf, const char *dir, const char *name,
               enum srun_verdict *verdict, char key[64], int *code, struct err *err);

/* "1" for srun --multi-prog, where each task has a program of its own (slurmconf.h). */
#define SRUN_MULTI_ENV "SLURM_CHECKPOINT_MULTI"

/* Put the key in the step's environment, or (NULL) take out what an outer step has left there. */
void srun_export(const char *key);

#endif
