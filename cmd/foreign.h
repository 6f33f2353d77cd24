/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * foreign - verbs that look at checkpoints, called by somebody else than their owner.
 *
 * Root becomes the owner in a child (become.h): --user NAME, else the owner of the job as slurmctld has it.  Anybody
 * else cannot open a directory of mode 0700, and no daemon of ours would do it for him: an operator is told what
 * slurmctld knows, which is the job's state and the last word that its shepherd put into its comment.
 */
#ifndef CMD_FOREIGN_H
#define CMD_FOREIGN_H

#include "cmd/cmd.h"

/* Run `own` as who may, or tell what can be told of c->job.  verb: for messages. */
int foreign_run(const struct cmd *c, const char *verb, int (*own)(const struct cmd *c));

#endif
