/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * filelist - the files of a tree that must fit its memory: ckpt-files.img of a generation.
 *
 * CRIU saves open files as names.  What is needed beside them to go on where the tree was is noted here, a
 * message CkptFile (criu.proto) each, and the contents of those that are copied lie in ckpt-file-N.img (bulk,
 * in pages.zst).  doc/format.md describes both.
 */
#ifndef COMMON_FILELIST_H
#define COMMON_FILELIST_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILELIST_IMAGE "ckpt-files.img"
#define FILELIST_CONTENTS "ckpt-file-%u.img"
#define FILELIST_MAX 200000u     /* entries */
#define FILELIST_SUM_BYTES 65536 /* that `head` and `tail` cover */
#define FILELIST_BUILD_ID_MAX 64u

/* What a restore does with it.  Numbers are part of the format. */
enum file_role {
    FILE_CUT = 1,    /* written from front to back by this tree alone: cut back to `size` */
    FILE_COPY = 2,   /* put back as it was, from `image` (none: it was empty) */
    FILE_DIR = 3,    /* made when it is missing */
    FILE_LINK = 4,   /* symbolic link to `target`, made when it is missing */
    FILE_ABSENT = 5, /* belongs to a copied one and was not there: taken away */
    FILE_INPUT = 6,  /* only read: compared */
    FILE_CODE = 7,   /* program or library: compared */
    FILE_LOG = 8,    /* opened for appending: never cut */
    FILE_OUTPUT = 9, /* the job's stdout or stderr: cut back when nobody else writes to it */
    FILE_LEFT = 10,  /* should have been copied and was not: cut back if that is safe */
};

struct file_entry {
    enum file_role role;
    char *path;    /* absolute, as filelist_path_ok() wants it */
    uint32_t mode; /* permission bits, at most 0777 */
    uint64_t size;
    int64_t mtime_s;
    uint32_t mtime_ns;
    bool has_image;
    uint32_t image;
    bool has_sums;
    uint8_t head[32], tail[32]; /* SHA-256 of the first and the last FILELIST_SUM_BYTES of `size` */
    size_t build_id_len;        /* 0: none */
    uint8_t build_id[FILELIST_BUILD_ID_MAX];
    char *target; /* FILE_LINK only */
};

struct filelist {
    struct file_entry *v;
    size_t n;
};

/* Takes e's strings over, also when it fails (EFBIG, ENOMEM). */
int filelist_add(struct filelist *l, const struct file_entry *e, struct err *err);
void filelist_free(struct filelist *l);

/* Absolute, shorter than PATH_MAX, no empty, "." or ".." component, not "/" itself. */
bool filelist_path_ok(const char *path);

/* Is it an entry that a reader may take?  The same rules for both sides. */
int filelist_check(const struct file_entry *e, struct err *err);

/* A cut file, an input or a log that is put back where it is missing: its contents are there, or it was empty. */
bool filelist_may_be_missing(const struct file_entry *e);

/* The image, malloc'ed. */
int filelist_encode(const struct filelist *l, uint8_t **data, size_t *len, struct err *err);

/* head and tail of the first `size` bytes of fd, read with pread.  EIO: it is shorter. */
int filelist_sums(int fd, uint64_t size, uint8_t head[32], uint8_t tail[32], struct err *err);

#endif
