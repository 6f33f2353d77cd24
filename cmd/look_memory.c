/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/look_impl.h"
#include "restore/unpack.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct look_memory {
    const struct checkpoint *c;
    struct unpack *unpack; /* NULL after a failure: no more is read */
    struct unpack_job job; /* the frame that was read last */
    uint64_t page;
};

struct look_memory *look_memory_create(const struct checkpoint *c, struct err *err)
{
    struct look_memory *m = calloc(1, sizeof *m);

    if (!m) {
        err_sys(err, "no memory");
        return NULL;
    }
    m->c = c;
    m->page = (uint64_t)sysconf(_SC_PAGESIZE);
    m->unpack = unpack_create(&c->pages, manifest_compress(&c->m), 1, err);
    if (!m->unpack) {
        free(m);
        return NULL;
    }
    return m;
}

void look_memory_destroy(struct look_memory *m)
{
    if (!m)
        return;
    /* A thread that hangs in a dead file server keeps what it uses; this process ends anyway. */
    if (unpack_destroy(m->unpack)) {
        unpack_forget(&m->job);
        free(m);
    }
}

/* Have the frame in m->job; 0 or -1. */
static int fetch(struct look_memory *m, const struct bulk *image, const struct frame *f)
{
    struct pollfd event;

    if (m->job.data && m->job.frame == f)
        return 0;
    if (!m->unpack)
        return -1;
    unpack_release(m->unpack, &m->job);
    memset(&m->job, 0, sizeof m->job);
    m->job.image = image;
    m->job.frame = f;
    unpack_submit(m->unpack, &m->job);
    event = (struct pollfd){.fd = unpack_eventfd(m->unpack), .events = POLLIN};
    while (!m->job.done) {
        (void)poll(&event, 1, -1);
        if (unpack_collect(m->unpack, NULL) < 0 && m->job.done) {
            unpack_destroy(m->unpack);
            m->unpack = NULL;
        }
    }
    return m->job.data ? 0 : -1;
}

/* len bytes at `at` of the image. */
static int read_image(struct look_memory *m, const struct bulk *image, uint64_t at, size_t len,
                      char *out)
{
    for (uint32_t i = image->first; len > 0 && i != INDEX_NONE; i = m->c->ix.frames[i].next) {
        const struct frame *f = &m->c->ix.frames[i];
        size_t n;

        if (at < f->start || at - f->start >= f->raw)
            continue;
        n = f->raw - (size_t)(at - f->start);
        n = n < len ? n : len;
        if (fetch(m, image, f) < 0)
            return -1;
        memcpy(out, m->job.data + (at - f->start), n);
        out += n;
        at += n;
        len -= n;
    }
    return len == 0 ? 0 : -1;
}

/* What is wanted of a process's memory, while its pagemap goes by. */
struct wanted {
    uint64_t start;
    size_t len, have;
    char *data;
    const struct bulk *pages;
    uint64_t at; /* in the pages image, of the next entry */
};

static int take_entry(struct look_memory *m, struct wanted *w, const PagemapEntry *e,
                      struct err *err)
{
    uint64_t count = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages, from, end, bytes;

    errno = EBADMSG;
    if (count > UINT64_MAX / m->page || count * m->page > UINT64_MAX - e->vaddr ||
        count * m->page > INT64_MAX - w->at)
        return err_set(err, "pages at %#llx", (unsigned long long)e->vaddr);
    bytes = count * m->page;
    end = e->vaddr + bytes;
    from = w->start + w->have;
    if (w->data && w->have < w->len && from >= e->vaddr && from < end) {
        size_t n = end - from < w->len - w->have ? (size_t)(end - from) : w->len - w->have;

        if (w->pages &&
            read_image(m, w->pages, w->at + (from - e->vaddr), n, w->data + w->have) == 0)
            w->have += n;
    }
    w->at += bytes;
    return 0;
}

static int walk(struct look_memory *m, const struct image *im, struct wanted *w, struct err *err)
{
    ProtobufCMessage *msg = NULL;
    struct crimg_iter it;
    char name[CRIMG_NAME_MAX + 1];
    int rc;

    if (crimg_open(&it, &im->parsed, im->data, im->len, err) < 0)
        return err_prefix(err, "%s", im->name);
    rc = look_next(&it, im, &pagemap_head__descriptor, &msg, err);
    if (rc <= 0)
        return rc;
    snprintf(name, sizeof name, "pages-%u.img", ((PagemapHead *)msg)->pages_id);
    protobuf_c_message_free_unpacked(msg, NULL);
    w->pages = index_find(&m->c->ix, name);
    while ((rc = look_next(&it, im, &pagemap_entry__descriptor, &msg, err)) > 0) {
        rc = take_entry(m, w, (PagemapEntry *)msg, err);
        protobuf_c_message_free_unpacked(msg, NULL);
        if (rc < 0)
            return err_prefix(err, "%s", im->name);
    }
    return rc;
}

int look_memory_read(struct look_memory *m, uint32_t pid, uint64_t start, size_t len, char **data,
                     uint64_t *saved, struct err *err)
{
    const struct image *im = bundle_find_id(&m->c->b, "pagemap-", pid);
    struct wanted w = {.start = start, .len = len};

    *data = NULL;
    *saved = 0;
    if (!im)
        return 0;
    if (len > 0 && start <= UINT64_MAX - len) {
        w.data = malloc(len);
        if (!w.data)
            return err_sys(err, "no memory");
    }
    if (walk(m, im, &w, err) < 0) {
        free(w.data);
        return -1;
    }
    *saved = w.at;
    if (w.data && w.have == len) {
        *data = w.data;
    } else {
        free(w.data);
    }
    return 0;
}
