/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * environ - what the shell must read to have the names of this run: a restored program's environment is the first run's.
 */
#ifndef SPANK_ENVIRON_H
#define SPANK_ENVIRON_H

#define ENVIRON_VARIABLE "CHECKPOINT_ENVIRONMENT" /* in the job's environment: where the file is */
#define ENVIRON_FILE "environment"                /* in the task's directory */

/* Lines "export NAME='VALUE'" of what Slurm has set in env (SLURM*), and of HOSTNAME, for the shell to read; what is no
 * name for it is left out.  malloc'ed; NULL: no memory. */
char *environ_text(char *const *env, const char *host);

#endif
