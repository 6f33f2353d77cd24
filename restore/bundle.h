/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * bundle - the small CRIU images of a generation, in memory.
 *
 * They come from images.tar.zst: one zstd frame, in it a ustar archive of exactly the kind that
 * `dump` writes: regular files, names from crimg.h's allow-list that are not bulk, no name twice,
 * an end of two zero blocks or more.  Anything else is refused.
 */
#ifndef RESTORE_BUNDLE_H
#define RESTORE_BUNDLE_H

#include "common/crimg.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    uint8_t *data; /* malloc'ed */
    size_t len;
    bool claimed; /* filter: something of the tree asked for it */
};

struct bundle {
    struct image *images; /* sorted by name after bundle_load */
    size_t n;
};

/* Unpack a whole images.tar.zst.  `*b` is untouched on failure. */
int bundle_load(const void *stored, size_t len, struct bundle *b, struct err *err);
void bundle_free(struct bundle *b); /* frees what b holds */

/* NULL when there is none of that name. */
struct image *bundle_find(const struct bundle *b, const char *name);
/* "core-", 17 -> core-17.img */
struct image *bundle_find_id(const struct bundle *b, const char *prefix, uint64_t id);

#endif
