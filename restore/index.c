/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/index.h"

#include "common/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A frame on its way from the line to the image it belongs to. */
struct line {
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    uint32_t frame;
};

static int take_number(const char **p, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    const char *s = *p;

    if (*s < '1' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > max)
            return -1;
    }
    if (*s++ != ' ')
        return -1;
    *out = (uint32_t)v;
    *p = s;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_digest(const char **p, uint8_t sha256[32])
{
    for (int i = 0; i < 32; i++) {
        int high = hex_digit((*p)[0]), low = high < 0 ? -1 : hex_digit((*p)[1]);

        if (low < 0)
            return -1;
        sha256[i] = (uint8_t)(high << 4 | low);
        *p += 2;
    }
    return 0;
}

static int take_name(const char **p, struct line *l)
{
    const char *space = strchr(*p, ' ');

    if (!space || (size_t)(space - *p) >= sizeof l->name)
        return -1;
    memset(l->name, 0, sizeof l->name);
    memcpy(l->name, *p, (size_t)(space - *p));
    if (!crimg_parse_name(l->name, &l->parsed) || l->parsed.kind != CRIMG_BULK)
        return -1;
    *p = space + 1;
    return 0;
}

static int parse_line(const char **p, int compressed, struct line *l, struct frame *f)
{
    uint32_t most = MANIFEST_FRAME_MAX;

    if (compressed)
        most = MANIFEST_STORED_MAX;
    if (take_name(p, l) < 0 || take_number(p, MANIFEST_FRAME_MAX, &f->raw) < 0 ||
        take_number(p, most, &f->stored) < 0 || take_digest(p, f->sha256) < 0)
        return -1;
    if (*(*p)++ != '\n' || (!compressed && f->raw != f->stored))
        return -1;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    if (c == 0)
        c = x->frame < y->frame ? -1 : x->frame > y->frame;
    return c;
}

/* Sorted lines -> images with their chains of frames. */
static int chain(struct index *ix, const struct line *lines, size_t n, struct err *err)
{
    ix->images = calloc(n ? n : 1, sizeof *ix->images);
    if (!ix->images)
        return err_sys(err, "index");
    for (size_t i = 0; i < n; i++) {
        struct frame *f = &ix->frames[lines[i].frame];
        struct bulk *im = ix->nimages ? &ix->images[ix->nimages - 1] : NULL;

        if (!im || strcmp(im->name, lines[i].name) != 0) {
            im = &ix->images[ix->nimages++];
            memcpy(im->name, lines[i].name, sizeof im->name);
            im->parsed = lines[i].parsed;
            im->first = lines[i].frame;
        } else {
            ix->frames[im->last].next = lines[i].frame;
        }
        im->last = lines[i].frame;
        f->start = im->raw;
        im->raw += f->raw;
    }
    return 0;
}

int index_load(const char *text, size_t len, int compressed, struct index *out, struct err *err)
{
    struct index ix = {0};
    struct line *lines = NULL;
    const char *p = text;
    size_t count = 0;
    int rc = -1;

    errno = EBADMSG;
    if (strlen(text) != len)
        return err_set(err, "a zero byte inside");
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    if (count >= INDEX_NONE)
        return err_set(err, "too many lines");
    ix.frames = calloc(count ? count : 1, sizeof *ix.frames);
    lines = calloc(count ? count : 1, sizeof *lines);
    if (!ix.frames || !lines) {
        err_sys(err, "index");
        goto out;
    }
    for (; ix.nframes < count; ix.nframes++) {
        struct frame *f = &ix.frames[ix.nframes];

        if (parse_line(&p, compressed, &lines[ix.nframes], f) < 0)
            break;
        lines[ix.nframes].frame = (uint32_t)ix.nframes;
        f->next = INDEX_NONE;
        f->at = ix.stored;
        ix.stored += f->stored;
        ix.raw += f->raw;
    }
    if (ix.nframes < count || *p) {
        errno = EBADMSG;
        err_set(err, "line %zu is malformed", ix.nframes + 1);
        goto out;
    }
    if (count > 1)
        qsort(lines, count, sizeof *lines, by_name);
    rc = chain(&ix, lines, count, err);
out:
    free(lines);
    if (rc == 0)
        *out = ix;
    else
        index_free(&ix);
    return rc;
}

void index_free(struct index *ix)
{
    int saved = errno;

    for (size_t i = 0; i < ix->nimages; i++) {
        free(ix->images[i].blanks);
        free(ix->images[i].probe);
    }
    free(ix->images);
    free(ix->frames);
    memset(ix, 0, sizeof *ix);
    errno = saved;
}

static int find(const void *key, const void *image)
{
    return strcmp(key, ((const struct bulk *)image)->name);
}

struct bulk *index_find(const struct index *ix, const char *name)
{
    return ix->nimages ? bsearch(name, ix->images, ix->nimages, sizeof *ix->images, find) : NULL;
}

int index_blank(struct bulk *image, uint64_t at, struct err *err)
{
    struct blank *more;

    if (image->raw < 8 || at > image->raw - 8) {
        errno = ERANGE;
        return err_set(err, "%s: offset %" PRIu64 " lies outside", image->name, at);
    }
    more = realloc(image->blanks, (image->nblanks + 1) * sizeof *more);
    if (!more)
        return err_sys(err, "%s", image->name);
    image->blanks = more;
    more[image->nblanks++].at = at;
    return 0;
}

int index_probe(struct bulk *image, uint64_t at, uint32_t len,
                int (*check)(const uint8_t *data, size_t len, struct err *err), struct err *err)
{
    struct probe *p;

    if (len == 0 || len > image->raw || at > image->raw - len) {
        errno = ERANGE;
        return err_set(err, "%s: offset %" PRIu64 " lies outside", image->name, at);
    }
    if (image->probe) {
        errno = EEXIST;
        return err_set(err, "%s: two pieces to be checked", image->name);
    }
    p = calloc(1, sizeof *p + len);
    if (!p)
        return err_sys(err, "%s", image->name);
    p->at = at;
    p->len = len;
    p->check = check;
    image->probe = p;
    return 0;
}
