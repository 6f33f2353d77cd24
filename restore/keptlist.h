/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * keptlist - ckpt-files.img of a generation, read from a hostile hand.
 *
 * Whoever forged it acts with his own rights only: what it names is opened as the job's user, see putback.h.
 * Here it is made sure that it is well formed and that what it names is in the generation.
 */
#ifndef RESTORE_KEPTLIST_H
#define RESTORE_KEPTLIST_H

#include "common/err.h"
#include "common/filelist.h"
#include "restore/bundle.h"
#include "restore/index.h"

/* Decode and check: each path once, each ckpt-file-N.img named once and as long as its entry says, none
 * left over.  Sorted by path.  A generation without the image (made before there was one) gives an empty list.
 * -1 (EBADMSG) with a text: *l holds nothing. */
int keptlist_load(const struct bundle *b, const struct index *ix, struct filelist *l,
                  struct err *err);

/* NULL: not in it. */
const struct file_entry *keptlist_find(const struct filelist *l, const char *path);

/* "cut", "copy", ...: static */
const char *keptlist_role(enum file_role role);

#endif
