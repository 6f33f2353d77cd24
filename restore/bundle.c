/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/bundle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define BLOCK 512u
#define WINDOW_LOG_MAX 24 /* level 19 uses 23; more is a bomb */

/* The decompressed archive as a stream: never more of it in memory than one block and one file. */
struct source {
    ZSTD_DCtx *z;
    ZSTD_inBuffer in;
    size_t hint; /* 0: the frame is complete */
    struct err *err;
};

/* Fill buf; -1 (EBADMSG) when the stream ends before. */
static int source_read(struct source *s, void *buf, size_t len)
{
    ZSTD_outBuffer out = {buf, len, 0};

    while (out.pos < out.size) {
        size_t before = out.pos + s->in.pos;

        s->hint = ZSTD_decompressStream(s->z, &out, &s->in);
        errno = EBADMSG;
        if (ZSTD_isError(s->hint))
            return err_set(s->err, "zstd: %s", ZSTD_getErrorName(s->hint));
        if (out.pos < out.size && (s->hint == 0 || out.pos + s->in.pos == before))
            return err_set(s->err, "the archive is cut off");
    }
    return 0;
}

/* Nothing but zero bytes may follow the archive's end, and nothing at all its frame. */
static int source_end(struct source *s)
{
    uint8_t rest[BLOCK];

    for (;;) {
        ZSTD_outBuffer out = {rest, sizeof rest, 0};
        size_t before = s->in.pos;

        if (s->hint != 0) {
            s->hint = ZSTD_decompressStream(s->z, &out, &s->in);
            errno = EBADMSG;
            if (ZSTD_isError(s->hint))
                return err_set(s->err, "zstd: %s", ZSTD_getErrorName(s->hint));
        }
        for (size_t i = 0; i < out.pos; i++)
            if (rest[i]) {
                errno = EBADMSG;
                return err_set(s->err, "bytes behind the end of the archive");
            }
        if (s->hint == 0)
            break;
        if (out.pos == 0 && s->in.pos == before) {
            errno = EBADMSG;
            return err_set(s->err, "the archive is cut off");
        }
    }
    if (s->in.pos != s->in.size) {
        errno = EBADMSG;
        return err_set(s->err, "bytes behind the compressed archive");
    }
    return 0;
}

/* ustar header fields: offset and length */
enum { NAME = 0, SIZE = 124, CHECKSUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345 };

static int get_octal(const uint8_t *p, size_t len, uint64_t *value)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    if (i == 0)
        return -1;
    for (; i < len; i++)
        if (p[i] != ' ' && p[i] != '\0')
            return -1;
    *value = v;
    return 0;
}

static bool checksum_ok(const uint8_t *h)
{
    uint64_t want, sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= CHECKSUM && i < CHECKSUM + 8 ? (uint8_t)' ' : h[i];
    return get_octal(h + CHECKSUM, 8, &want) == 0 && want == sum;
}

/* A header of ours: 0 and the image without data, or -1. */
static int parse_header(const uint8_t *h, struct image *im, uint64_t *size, struct err *err)
{
    errno = EBADMSG;
    if (memcmp(h + MAGIC,
               "ustar\0"
               "00",
               8) != 0 ||
        !checksum_ok(h))
        return err_set(err, "not a ustar header");
    if (!memchr(h + NAME, '\0', sizeof im->name) || h[PREFIX])
        return err_set(err, "a name that is too long");
    memcpy(im->name, h + NAME, sizeof im->name);
    if (h[TYPE] != '0')
        return err_set(err, "%s: not a regular file", im->name);
    if (get_octal(h + SIZE, 12, size) < 0)
        return err_set(err, "%s: bad size", im->name);
    if (!crimg_parse_name(im->name, &im->parsed) || im->parsed.kind == CRIMG_BULK)
        return err_set(err, "%s: an image of this name is not restored", im->name);
    return 0;
}

static int read_image(struct source *s, struct image *im, uint64_t size)
{
    uint8_t pad[BLOCK];
    size_t tail = (size_t)(-size % BLOCK);

    im->len = (size_t)size;
    im->data = malloc(im->len ? im->len : 1);
    if (!im->data)
        return err_sys(s->err, "%s", im->name);
    if (source_read(s, im->data, im->len) < 0 || source_read(s, pad, tail) < 0)
        return err_prefix(s->err, "%s", im->name);
    return 0;
}

static struct image *append(struct bundle *b, size_t *room, struct err *err)
{
    if (b->n == CRIMG_COUNT_MAX) {
        errno = EBADMSG;
        err_set(err, "more than %u images", CRIMG_COUNT_MAX);
        return NULL;
    }
    if (b->n == *room) {
        size_t more = *room ? 2 * *room : 64;
        struct image *bigger = realloc(b->images, more * sizeof *bigger);

        if (!bigger) {
            err_sys(err, "images");
            return NULL;
        }
        b->images = bigger;
        *room = more;
    }
    memset(&b->images[b->n], 0, sizeof b->images[b->n]);
    return &b->images[b->n++];
}

static bool all_zero(const uint8_t *p)
{
    for (size_t i = 0; i < BLOCK; i++)
        if (p[i])
            return false;
    return true;
}

static int read_archive(struct source *s, struct bundle *b)
{
    uint64_t total = 0, size = 0;
    uint8_t h[BLOCK];
    size_t room = 0;

    for (;;) {
        struct image *im;

        if (source_read(s, h, BLOCK) < 0)
            return -1;
        if (all_zero(h)) {
            if (source_read(s, h, BLOCK) < 0)
                return -1;
            if (all_zero(h))
                return source_end(s);
            errno = EBADMSG;
            return err_set(s->err, "a single zero block");
        }
        im = append(b, &room, s->err);
        if (!im || parse_header(h, im, &size, s->err) < 0)
            return -1;
        total += size <= CRIMG_TOTAL_MAX ? size : CRIMG_TOTAL_MAX + UINT64_C(1);
        if (total > CRIMG_TOTAL_MAX) {
            errno = EFBIG;
            return err_set(s->err, "more than %u MiB of images", CRIMG_TOTAL_MAX >> 20);
        }
        if (read_image(s, im, size) < 0)
            return -1;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

static int sort(struct bundle *b, struct err *err)
{
    if (b->n > 1)
        qsort(b->images, b->n, sizeof *b->images, by_name);
    for (size_t i = 1; i < b->n; i++)
        if (strcmp(b->images[i - 1].name, b->images[i].name) == 0) {
            errno = EBADMSG;
            return err_set(err, "%s: twice in the archive", b->images[i].name);
        }
    return 0;
}

int bundle_load(const void *stored, size_t len, struct bundle *out, struct err *err)
{
    struct source s = {.z = ZSTD_createDCtx(), .in = {stored, len, 0}, .hint = 1, .err = err};
    struct bundle b = {NULL, 0};
    int rc = -1;

    if (!s.z) {
        errno = ENOMEM;
        return err_sys(err, "zstd");
    }
    if (ZSTD_isError(ZSTD_DCtx_setParameter(s.z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        errno = EINVAL;
        err_set(err, "zstd: cannot bound the window");
    } else if (read_archive(&s, &b) == 0 && sort(&b, err) == 0) {
        rc = 0;
    }
    ZSTD_freeDCtx(s.z);
    if (rc == 0)
        *out = b;
    else
        bundle_free(&b);
    return rc;
}

void bundle_free(struct bundle *b)
{
    int saved = errno;

    for (size_t i = 0; i < b->n; i++)
        free(b->images[i].data);
    free(b->images);
    b->images = NULL;
    b->n = 0;
    errno = saved;
}

static int find(const void *name, const void *image)
{
    return strcmp(name, ((const struct image *)image)->name);
}

struct image *bundle_find(const struct bundle *b, const char *name)
{
    return b->n ? bsearch(name, b->images, b->n, sizeof *b->images, find) : NULL;
}

struct image *bundle_find_id(const struct bundle *b, const char *prefix, uint64_t id)
{
    char name[CRIMG_NAME_MAX + 1];

    snprintf(name, sizeof name, "%s%" PRIu64 ".img", prefix, id);
    return bundle_find(b, name);
}
