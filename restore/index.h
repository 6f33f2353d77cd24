/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * index - where the bulk images lie in pages.zst, and in those of earlier generations.
 *
 * The file has one line per frame (common/frameline.h).  The
 * frames of one image need not follow each other, but are in the order of the image's bytes.
 */
#ifndef RESTORE_INDEX_H
#define RESTORE_INDEX_H

#include "common/crimg.h"
#include "common/err.h"
#include "common/manifest.h"

#include <stddef.h>
#include <stdint.h>

#define INDEX_MAX_BYTES (256u << 20)
#define INDEX_NONE UINT32_MAX

struct frame {
    uint64_t at;    /* in its file */
    uint64_t start; /* of its raw bytes in the image */
    uint32_t raw, stored;
    uint32_t next; /* frame of the same image, or INDEX_NONE */
    uint32_t file; /* 0: pages.zst; n: the manifest's n-th link */
    uint8_t sha256[32];
};

/* Eight bytes of an image that are served as zeros whatever is stored. */
struct blank {
    uint64_t at; /* in the image */
};

/* A piece of an image that is looked at as a whole before its last part is served. */
struct probe {
    uint64_t at; /* in the image */
    uint32_t len;
    uint64_t have; /* bytes copied: the unpack pool's, under its lock */
    int (*check)(const uint8_t *data, size_t len, struct err *err);
    uint8_t copy[];
};

struct bulk {
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    uint64_t raw;         /* size of the image */
    uint32_t first, last; /* frames */
    struct blank *blanks;
    size_t nblanks;
    struct probe *probe; /* at most one */
};

struct index {
    struct frame *frames;
    size_t nframes;
    struct bulk *images; /* sorted by name */
    size_t nimages;
    uint64_t stored, raw; /* sums: of pages.zst; of all */
};

/* The files that frames are in, by frame.file: open for reading; whoever has made it closes them. */
struct pages {
    int fd[1 + MANIFEST_LINKS_MAX];
    struct gendir_id from[1 + MANIFEST_LINKS_MAX]; /* of links */
};

/* What to call one of them. */
const char *pages_name(const struct pages *pages, uint32_t file, char name[48]);

/* Parse; `compressed` false: every frame is stored raw.  `*ix` is untouched on failure. */
int index_load(const char *text, size_t len, int compressed, struct index *ix, struct err *err);
/* That of a generation whose manifest says incremental.  Each frame is in pages.zst, which they are the whole of without
 * overlapping, or lies within a file that the manifest names, and of each of those there is at least one. */
int index_load_incremental(const char *text, size_t len, const struct manifest *m, struct index *ix,
                           struct err *err);
void index_free(struct index *ix);

struct bulk *index_find(const struct index *ix, const char *name);

/* Have the eight bytes at `at` of the image served as zeros; they must lie inside it. */
int index_blank(struct bulk *image, uint64_t at, struct err *err);

/* Have `len` bytes at `at` checked while they are served.  EEXIST: the image has a probe already. */
int index_probe(struct bulk *image, uint64_t at, uint32_t len,
                int (*check)(const uint8_t *data, size_t len, struct err *err), struct err *err);

#endif
