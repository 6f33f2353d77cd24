/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * crimg - the framing of CRIU's images and the names that may be in a generation.
 *
 * An image starts with magics (little-endian u32): inventory.img with its own; every other one with
 * CRIMG_MAGIC_COMMON and its own; raw ones (pages-*) with none.  Then come messages, each a u32
 * length and that many bytes of protobuf (criu.proto).  Some images carry payload between or behind
 * messages. Source: CRIU 4.2, magic.h, image-desc.c, protobuf.c.
 */
#ifndef COMMON_CRIMG_H
#define COMMON_CRIMG_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRIMG_NAME_MAX 63u
#define CRIMG_MAGIC_COMMON 0x54564319u
#define CRIMG_TOTAL_MAX                                                                            \
    (256u << 20)                /* bytes of all images that are not bulk, of one generation        \
                                 */
#define CRIMG_COUNT_MAX 500000u /* images of one generation */

enum crimg_kind {
    CRIMG_INVENTORY, /* names without a number */
    CRIMG_PSTREE,
    CRIMG_FILES,
    CRIMG_CORE, /* core-TID */
    CRIMG_IDS,  /* ids-PID */
    CRIMG_MM,   /* mm-PID */
    CRIMG_PAGEMAP,
    CRIMG_PAGEMAP_SHMEM,
    CRIMG_SK_QUEUES, /* messages, each with payload behind it */
    CRIMG_PLAIN,     /* messages only; handed on as they are */
    CRIMG_PAYLOAD,   /* messages and payload; handed on as it is */
    CRIMG_KEPT,      /* ours, not CRIU's: the list of files (restore/filelist.h) */
    CRIMG_BULK,      /* pages-*, ghost-file-*, ckpt-file-*: in pages.zst, not in images.tar.zst */
};

struct crimg_name {
    const char *prefix; /* static: "core-" */
    enum crimg_kind kind;
    uint32_t magic; /* 0: a raw image, without any magic */
    bool numbered;  /* the name has a number: one of many */
    uint64_t id;    /* it, else 0 */
};

/* True when the name is on the allow-list: exactly one of the table's patterns, numbers without
 * leading zeros or signs.  Everything that CRIU would take beside these (creds-*, namespaces,
 * netfilter, mounts, cgroups, LSM, seccomp, bpf, binfmt, autofs, tar archives, formats before 2.x)
 * is not. */
bool crimg_parse_name(const char *name, struct crimg_name *out);

/* Names that CRIU may offer at a dump and that are dropped: nothing of them is used at a restore.
 */
bool crimg_ignored(const char *name);

/* Bytes in front of the first message: 0, 4 or 8. */
size_t crimg_head_size(const struct crimg_name *name);
/* Write them; returns the number. */
size_t crimg_head_put(const struct crimg_name *name, uint8_t head[8]);

/* Walk over the messages of an image.  It holds no memory; the data must outlive it. */
struct crimg_iter {
    const uint8_t *data;
    size_t len, off;
};

/* Check the magics.  -1 (EBADMSG) when they are wrong. */
int crimg_open(struct crimg_iter *it, const struct crimg_name *name, const void *data, size_t len,
               struct err *err);
/* 1 and the message, 0 at the exact end, -1 (EBADMSG) when the length runs past the end. */
int crimg_next(struct crimg_iter *it, const uint8_t **msg, size_t *len, struct err *err);
/* Step over n bytes of payload behind a message. */
int crimg_skip(struct crimg_iter *it, size_t n, struct err *err);

/* Little-endian helpers for the framing. */
uint32_t crimg_get32(const uint8_t *p);
void crimg_put32(uint8_t *p, uint32_t v);

/* fd types of FileEntry */
enum crimg_fd_type {
    CRIMG_FD_REG = 1,
    CRIMG_FD_PIPE = 2,
    CRIMG_FD_FIFO = 3,
    CRIMG_FD_INETSK = 4,
    CRIMG_FD_UNIXSK = 5,
    CRIMG_FD_EVENTFD = 6,
    CRIMG_FD_EVENTPOLL = 7,
    CRIMG_FD_INOTIFY = 8,
    CRIMG_FD_SIGNALFD = 9,
    CRIMG_FD_TTY = 11,
    CRIMG_FD_NETLINKSK = 13,
    CRIMG_FD_TIMERFD = 17,
    CRIMG_FD_MEMFD = 18,
    CRIMG_FD_PIDFD = 20,
};

#endif
