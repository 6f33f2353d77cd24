/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * expire - at a job's end: have the checkpoints removed that its owner's other jobs left behind long ago.
 */
#ifndef SPANK_EXPIRE_H
#define SPANK_EXPIRE_H

#include "common/conf.h"
#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define EXPIRE_EVERY_S 86400

/* Is it time again, once a day for each user and node?  As root; notes in the state directory that it was. */
bool expire_due(const char *state_dir, uid_t uid);

/* As root in the epilog: start `scheckpoint prune --expired --all-jobs` for the site's Dir as that user, in a process
 * that has become him for good, that nobody waits for, and that ends within EXPIRE_MOST_S.  conf_path: the site's
 * file.  0: started, or there is nothing to be done (no Dir, ExpireDays=0, root, not due). */
#define EXPIRE_MOST_S 600
int expire_start(const struct conf *conf, const char *conf_path, uid_t uid, const char *cluster,
                 struct err *err);

#endif
