/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * frameline - one line of a generation's index (doc/format.md), read and written.
 *
 *   IMAGE RAW STORED SHA256\n                        of a generation that is not incremental
 *   IMAGE RAW STORED SHA256 RAWSHA256 MARK FROM AT\n of one that is
 *
 * RAWSHA256 and MARK are there for the generation that comes after: by the one it finds what has not changed, by the other
 * where in a stream of pages that may begin.
 */
#ifndef COMMON_FRAMELINE_H
#define COMMON_FRAMELINE_H

#include "common/crimg.h"
#include "common/gendir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMELINE_MARK_BYTES 4096u /* of the frame's first are marked */
#define FRAMELINE_MAX (CRIMG_NAME_MAX + 1 + 2 * 21 + 2 * 65 + 17 + 24 + 21 + 1)

struct frameline {
    char image[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed; /* frameline_parse: bulk */
    uint32_t raw, stored;
    uint8_t sha256[32]; /* of the stored bytes */
    /* the rest only with `incremental` */
    uint8_t raw_sha256[32];
    uint64_t mark; /* frameline_mark of its beginning; 0: shorter than FRAMELINE_MARK_BYTES */
    struct gendir_id
        from;    /* in whose pages.zst the frame is; sequence 0: in the generation's own */
    uint64_t at; /* where in there */
};

/* *p: the line's beginning, afterwards that of the next one.  False: malformed, and *p is anywhere. */
bool frameline_parse(const char **p, bool compressed, bool incremental, struct frameline *l);

/* Into to, with room for FRAMELINE_MAX; returns the length.  l->parsed is not looked at. */
size_t frameline_format(const struct frameline *l, bool incremental, char to[FRAMELINE_MAX]);

/* Quick, not strong: equal pages have equal marks.  len: 0 for less than FRAMELINE_MARK_BYTES, of more only those count. */
uint64_t frameline_mark(const uint8_t *data, size_t len);

/* 64 hex digits of a digest, and back. */
void frameline_hex(const uint8_t sha256[32], char hex[65]);

#endif
