/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * filter_impl - what the parts of the filter share.  Not for others: filter.h is the interface.
 */
#ifndef RESTORE_FILTER_IMPL_H
#define RESTORE_FILTER_IMPL_H

#include "common/criu.pb-c.h"
#include "restore/filter.h"
#include "restore/wire.h"

struct filter {
    const struct filter_rules *rules;
    struct bundle *b;
    struct index *ix;
    struct tree *tree;
    TaskKobjIdsEntry root_ids;
    struct bulk **pages; /* pages images in use */
    size_t npages;
    struct err *err;
};

/* Errors that begin with the image's name. */
int filter_refuse(struct filter *f, const struct image *im, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Find and claim; refused when it is missing. */
struct image *filter_claim(struct filter *f, const char *prefix, uint64_t id);

/* The image's single message, decoded strictly.  NULL with a text. */
ProtobufCMessage *filter_decode_one(struct filter *f, const struct image *im,
                                    const ProtobufCMessageDescriptor *type);

/* Replace the image by its magics and one message. */
int filter_encode_one(struct filter *f, struct image *im, const ProtobufCMessage *msg);

/* Append one framed message to *data (malloc'ed, *len bytes). */
int filter_append(struct filter *f, uint8_t **data, size_t *len, const ProtobufCMessage *msg);

/* Where the kernel's rseq areas of a process lie. */
struct rseq_area {
    uint64_t at;
    uint32_t size;
};

struct rseq_areas {
    struct rseq_area *v; /* malloc'ed */
    size_t n;
};

/* filter_core.c: cores of all threads; sets p->dead. */
int filter_cores(struct filter *f, struct proc *p, struct rseq_areas *areas);
/* filter_mm.c: mm and pagemap of a live process and its rseq areas. */
int filter_memory(struct filter *f, const struct proc *p, const struct rseq_areas *areas);
/* filter_file.c: one message of files.img. */
int filter_file(struct filter *f, struct image *im, ProtobufCMessage *msg);
/* filter_mm.c: one of pagemap-shmem-*. */
int filter_shmem(struct filter *f, struct image *im);

#endif
