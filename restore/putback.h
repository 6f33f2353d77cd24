/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * putback - the files of a checkpoint as they were, before criu looks at them; and back again when it fails.
 *
 *   putback.c       the order of things, what is told
 *   putback_copy.c  files that are put back from the generation
 *   putback_cut.c   files that are cut back to their size
 *   putback_path.c  names
 *
 * As the job's user without any capability.  Names and contents come from the user's directory, and other
 * users may write in directories on the way: no symbolic link is followed, nothing but a regular file of the
 * job's user is touched, one that is cut has no other name (hard link).
 *
 *   stage   what is missing is made; of the others everything is verified, room is reserved, and what will be
 *           overwritten or cut off is copied to kept/ in the task's directory.  A disk that fills up, or
 *           damage, is found here, when nothing has changed.
 *   commit  files are overwritten in place (SQLite 3.40 will not write to one whose inode has changed), and what
 *           is too long is cut.
 *   undo    criu has failed: everything as it was found.
 *   done    the tree runs: tails stay in kept/, what was overwritten goes.
 *
 * Who else writes to a file is seen where it can be: on this node by asking the kernel for a lease, on others
 * by a time of last change after this task was started.
 */
#ifndef RESTORE_PUTBACK_H
#define RESTORE_PUTBACK_H

#include "common/err.h"
#include "common/facts.h"
#include "common/filelist.h"
#include "restore/verify.h"

#include <stdbool.h>
#include <stddef.h>

#define PUTBACK_KEPT                                                                               \
    "kept" /* directory in the task's; names in it: rEEEE-N (tails), rEEEE.txt, u-N (to undo) */

struct putback;

struct putback_opts {
    const struct facts *facts;
    const struct checkpoint *c;
    const struct filelist *list;
    int taskfd;
    bool cut_output; /* nobody else writes the job's stdout and stderr */
};

/* *o is copied.  NULL: no memory. */
struct putback *putback_create(const struct putback_opts *o, struct err *err);

/* -1, PROTO_E_HOLD: an older generation would not help.  Nothing of the job's has changed then; after a failed
 * commit call undo. */
int putback_stage(struct putback *p, struct err *err);
int putback_commit(struct putback *p, struct err *err);
void putback_undo(struct putback *p);
/* note: one line about what was changed, "" when nothing was. */
void putback_done(struct putback *p, char *note, size_t size);

/* What was staged and not committed is removed. */
void putback_destroy(struct putback *p);

#endif
