/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * files - what of the tree's files goes into the generation beside CRIU's images (common/filelist.h).
 *
 *   files.c      the plan, and what is read while the tree stands still
 *   files_more.c files that are not open: those that the user named, and those of a temporary directory that
 *                is the job's alone
 *   files_small.c small ones of the job's own
 *   files_copy.c contents into the pack
 *
 * As the job's user without any capability.  Files are opened by the names that CRIU saved, without following
 * a symbolic link.
 *
 * The pause is kept short: a file whose filesystem can share its blocks with the generation's (FICLONE) is
 * cloned at once and read later; others are read while the tree stands still, as fast as the pack takes
 * them in.
 */
#ifndef DUMP_FILES_H
#define DUMP_FILES_H

#include "common/err.h"
#include "common/facts.h"
#include "dump/images.h"
#include "dump/pack.h"
#include "dump/wanted.h"

#include <stddef.h>
#include <stdint.h>

struct files;

struct files_opts {
    const struct facts *facts;
    struct images *images;
    struct pack *pack;
    int taskfd, dirfd;    /* the task's directory and the generation's */
    struct wanted wanted; /* when it is not any more: give up */
};

/* Copies *o; what it points to must outlive the files.  NULL: no memory. */
struct files *files_create(const struct files_opts *o);
void files_destroy(struct files *fs);

/* While the tree stands still and all images are in.  arg: struct files.  EFBIG: something may not be
 * copied for its size and the policy is to refuse. */
int files_frozen(void *arg, struct err *err);

/* The tree runs again: the rest of the contents into the pack, the list into the images. */
int files_finish(struct files *fs, struct err *err);

/* One line about what could not be taken along, or "". */
const char *files_warning(const struct files *fs);
/* What was copied, and how long the tree stood still for it. */
uint64_t files_bytes(const struct files *fs);
uint32_t files_pause_ms(const struct files *fs);

#endif
