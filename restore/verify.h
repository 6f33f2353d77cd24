/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * verify - choose a generation and make sure that it is whole and this job's.
 *
 * Runs without any capability.  Nothing here trusts the directory: names, sizes and digests all
 * come from its owner.  A digest proves that a part is the one its manifest names, the seal that a
 * process of the job's uid on this cluster vouched for the manifest; what is in the images is
 * filter.h's business.
 */
#ifndef RESTORE_VERIFY_H
#define RESTORE_VERIFY_H

#include "common/err.h"
#include "common/facts.h"
#include "common/gendir.h"
#include "common/manifest.h"
#include "restore/bundle.h"
#include "restore/index.h"

#include <stdbool.h>

struct checkpoint {
    struct gendir_id id;
    char name[40];
    struct manifest m;
    struct bundle b;
    struct index ix;
    struct pages pages; /* read with pread only */
};

/* The newest complete generation older than `before` ("": any), or exactly that one.  -1, ENOENT
 * when there is none. */
int verify_choose(int taskfd, const char *before, bool exact, struct gendir_id *id,
                  struct err *err);

/* Open it and check manifest, seal, key, parts, index and small images; pages.zst and the files of earlier
 * generations that are used are only measured: their frames are verified as they are served.  On failure *c holds nothing. */
int verify_open(int taskfd, struct gendir_id id, const struct facts *f, struct checkpoint *c,
                struct err *err);
void verify_close(struct checkpoint *c);

#endif
