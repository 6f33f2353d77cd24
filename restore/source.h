/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * source - restore the checkpoint of another job of the same user as this one (--checkpoint=restore=JOBID).
 *
 * Which job is the user's word; everything else is checked as strictly as of this job's own: the uid, the
 * cluster, the seal's realm, and that the manifest names the job that was asked for.  What belongs to the old job
 * is replaced: its copies of script and ckpt-init by this job's copies of them (the old directory may be removed
 * one day), its stdout and stderr by this job's.
 */
#ifndef RESTORE_SOURCE_H
#define RESTORE_SOURCE_H

#include "common/err.h"
#include "common/facts.h"
#include "restore/filter.h"

#define SOURCE_RENAMES 4

struct source {
    struct facts facts; /* of the old job, as far as its checkpoints are concerned */
    struct filter_rename renames[SOURCE_RENAMES];
    size_t n;
};

/* Without capabilities, as the job's user.  f->source_job is not 0.  *taskfd: the old job's task directory. */
int source_open(const struct facts *f, struct source *s, int *taskfd, struct err *err);
void source_close(struct source *s);

#endif
