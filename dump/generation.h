/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * generation - one generation directory from .partial to its final name, as the job's user without any
 * capability.
 */
#ifndef DUMP_GENERATION_H
#define DUMP_GENERATION_H

#include "common/err.h"
#include "common/facts.h"
#include "common/gendir.h"
#include "common/manifest.h"
#include "dump/base.h"
#include "dump/images.h"
#include "dump/pack.h"

#include <stdbool.h>
#include <stdint.h>

struct generation {
    int taskfd, dirfd, pagesfd;
    int directfd;     /* pages.zst once more, past the page cache; -1: the filesystem cannot */
    uint64_t reserve; /* bytes of it that there is room for twice */
    struct gendir_id id;
    char name[40];
    bool begun;
};

void generation_init(struct generation *g);

/* Open the task's directory (made when missing), see whether `memory` bytes of a tree may fit in (ENOSPC), make
 * the partial directory and an empty pages.zst in it. */
int generation_begin(struct generation *g, const struct facts *f, uint64_t memory, bool last,
                     struct err *err);

/* What only the caller knows of the manifest; the rest is filled in by generation_write. */
struct generation_info {
    const char *reason, *criu_version, *snapshot;
    bool suspended;
    uint32_t pause_us, freeze_us, total_ms;
    bool incremental;
    const struct base *base; /* incremental: what the pack has taken from; may be NULL */
    const struct manifest_process *processes;
    size_t nprocesses;
};

/* After pack_finish: the other parts, manifest and seal, all fsynced.  raw/stored: bytes of the whole
 * generation, what was taken over with it. */
int generation_write(struct generation *g, const struct facts *f, const struct images *images,
                     const struct pack *pack, const struct generation_info *info, uint64_t *raw,
                     uint64_t *stored, struct err *err);

/* Give it its final name. */
int generation_commit(struct generation *g, struct err *err);

/* Remove older ones beyond facts.keep.  A failure is worth a warning only. */
int generation_prune(const struct generation *g, const struct facts *f, struct err *err);

/* Close all; a generation that was begun and not committed is removed.  errno is kept. */
void generation_end(struct generation *g);

#endif
