/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/index.h"

#include "common/frameline.h"

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

/* Which of the links holds generation `from`; 0: none. */
static uint32_t find_link(const struct manifest *m, struct gendir_id from)
{
    for (size_t i = 0; i < m->nlinks; i++)
        if (gendir_compare(m->links[i].generation, from) == 0)
            return (uint32_t)i + 1;
    return 0;
}

/* m: NULL, not incremental.  ix->stored: of those in pages.zst. */
static int take_line(const char **p, bool compressed, const struct manifest *m, struct index *ix,
                     struct line *l)
{
    struct frame *f = &ix->frames[ix->nframes];
    struct frameline got;

    if (!frameline_parse(p, compressed, m != NULL, &got))
        return -1;
    memcpy(l->name, got.image, sizeof l->name);
    l->parsed = got.parsed;
    l->frame = (uint32_t)ix->nframes;
    f->raw = got.raw;
    f->stored = got.stored;
    memcpy(f->sha256, got.sha256, sizeof f->sha256);
    f->next = INDEX_NONE;
    f->at = m ? got.at : ix->stored;
    if (m && got.from.sequence) {
        f->file = find_link(m, got.from);
        if (!f->file || f->at > m->links[f->file - 1].bytes ||
            f->stored > m->links[f->file - 1].bytes - f->at)
            return -1;
    }
    if (!f->file)
        ix->stored += f->stored;
    ix->raw += f->raw;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct frame *const *x = a, *const *y = b;

    return (*x)->at < (*y)->at ? -1 : (*x)->at > (*y)->at;
}

/* The frames that are the generation's own are the whole of its pages.zst, each byte once: so every byte has a digest. */
static int check_own(const struct index *ix, struct err *err)
{
    const struct frame **own = calloc(ix->nframes + 1, sizeof(const struct frame *));
    uint64_t at = 0;
    size_t n = 0;

    if (!own)
        return err_sys(err, "index");
    for (size_t i = 0; i < ix->nframes; i++)
        if (!ix->frames[i].file)
            own[n++] = &ix->frames[i];
    if (n > 1)
        qsort(own, n, sizeof(const struct frame *), by_place);
    for (size_t i = 0; i < n && own[i]->at == at; i++)
        at += own[i]->stored;
    free(own);
    if (at == ix->stored)
        return 0;
    errno = EBADMSG;
    return err_set(err, "its frames overlap or leave something out at %" PRIu64, at);
}

/* What nothing refers to is nobody's business here. */
static int check_links(const struct index *ix, const struct manifest *m, struct err *err)
{
    bool used[1 + MANIFEST_LINKS_MAX] = {false};

    for (size_t i = 0; i < ix->nframes; i++)
        used[ix->frames[i].file] = true;
    for (size_t i = 0; i < m->nlinks; i++)
        if (!used[i + 1]) {
            errno = EBADMSG;
            return err_set(err, "no frame is in the file of " GENDIR_NAME,
                           m->links[i].generation.epoch, m->links[i].generation.sequence);
        }
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

static int load(const char *text, size_t len, bool compressed, const struct manifest *m,
                struct index *out, struct err *err)
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
    for (; ix.nframes < count; ix.nframes++)
        if (take_line(&p, compressed, m, &ix, &lines[ix.nframes]) < 0)
            break;
    if (ix.nframes < count || *p) {
        errno = EBADMSG;
        err_set(err, "line %zu is malformed", ix.nframes + 1);
        goto out;
    }
    if (m && (check_own(&ix, err) < 0 || check_links(&ix, m, err) < 0))
        goto out;
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

int index_load(const char *text, size_t len, int compressed, struct index *ix, struct err *err)
{
    return load(text, len, compressed != 0, NULL, ix, err);
}

int index_load_incremental(const char *text, size_t len, const struct manifest *m, struct index *ix,
                           struct err *err)
{
    return load(text, len, manifest_compress(m) != COMPRESS_NONE, m, ix, err);
}

const char *pages_name(const struct pages *pages, uint32_t file, char name[48])
{
    if (file)
        gendir_format_link(pages->from[file], name);
    else
        memcpy(name, MANIFEST_PAGES, sizeof MANIFEST_PAGES);
    return name;
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
