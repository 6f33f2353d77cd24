/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * node - what root does on a node at the beginning and end of jobs and steps: in processes of slurmd's and slurmstepd's.
 *
 * Nothing here opens a user's directory; what fails goes to slurmd's log, and no node is drained for it.  path: the
 * site's checkpoint.conf.
 */
#ifndef SPANK_NODE_H
#define SPANK_NODE_H

#include <stdint.h>

/* nonce: from the job's environment, its user's word. */
void node_prolog(const char *path, const char *nonce);
void node_epilog(const char *path);
/* In slurmstepd, when a step is over: a job may have any number of them before its epilog. */
void node_end_step(const char *path, uint32_t job, uint32_t step);

#endif
