/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * filescan - which regular files the tree has open or mapped, and how, as CRIU's images tell it.
 */
#ifndef DUMP_FILESCAN_H
#define DUMP_FILESCAN_H

#include "common/err.h"
#include "common/filelist.h"
#include "dump/images.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything that the tree does with one path. */
struct scan_file {
    const char *path; /* the scan's */
    uint64_t size;
    bool has_size;
    bool only_write;   /* a descriptor: O_WRONLY */
    bool read_write;   /* a descriptor: O_RDWR */
    bool append;       /* a writing descriptor has O_APPEND */
    bool inside;       /* a writing descriptor does not stand at the end */
    bool mapped_write; /* mapped shared, and writable */
    bool code;         /* executed, or mapped to be executed */
    bool output;       /* fd 1 or 2 of the root */
    size_t build_id_len;
    uint8_t build_id[FILELIST_BUILD_ID_MAX];
};

struct filescan {
    struct scan_file *v; /* sorted by path, each once */
    size_t n;
    char *cwd;      /* the root's working directory, or NULL */
    uint32_t *pids; /* of the living processes, the root first */
    size_t npids;
    void *own; /* what the paths lie in */
};

/* From a dump's images, all of them complete.  Left out: what is no regular file, and deleted files, which CRIU
 * brings back itself. */
int filescan_run(const struct images *im, struct filescan *s, struct err *err);
void filescan_free(struct filescan *s);

const struct scan_file *filescan_find(const struct filescan *s, const char *path);

/* What a restore is to do with it. */
enum file_role filescan_role(const struct scan_file *f);

#endif
