/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * look_impl - what the parts of look share.  Not for others: look.h is the interface.
 */
#ifndef CMD_LOOK_IMPL_H
#define CMD_LOOK_IMPL_H

#include "cmd/look.h"
#include "common/criu.pb-c.h"
#include "restore/wire.h"

/* The entries of files.img, decoded, sorted by type and id. */
struct look_table {
    FileEntry **entry;
    size_t n;
};

int look_table_load(const struct bundle *b, struct look_table *t, struct err *err);
void look_table_free(struct look_table *t);
/* NULL: none */
const FileEntry *look_table_find(const struct look_table *t, uint32_t type, uint32_t id);
/* The path of a regular file, or NULL. */
const char *look_table_path(const struct look_table *t, uint32_t id);

/* Kind and text (malloc'ed) of what a descriptor is; e may be NULL. -1 without memory. */
int look_describe(const FileEntry *e, uint32_t type, struct look_file *f, struct err *err);

/* Reads saved memory: frames of pages.zst, each verified. */
struct look_memory;
struct look_memory *look_memory_create(const struct checkpoint *c, struct err *err);
void look_memory_destroy(struct look_memory *m);
/* The pagemap of a process: how many bytes are saved, and those of [start, start + len), malloc'ed;
 * NULL when they are not saved (`*data` then) or cannot be read.  -1: the pagemap is wrong. */
int look_memory_read(struct look_memory *m, uint32_t pid, uint64_t start, size_t len, char **data,
                     uint64_t *saved, struct err *err);

/* The image's next message, strictly decoded: 1, 0 at the end, -1. */
int look_next(struct crimg_iter *it, const struct image *im, const ProtobufCMessageDescriptor *type,
              ProtobufCMessage **msg, struct err *err);
/* The single message of PREFIXid.img; NULL and errno ENOENT: no such image. */
ProtobufCMessage *look_one(const struct bundle *b, const char *prefix, uint64_t id,
                           const ProtobufCMessageDescriptor *type, struct err *err);

#endif
