/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_pages.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"
#include "dump/pagemap_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define PRESENT 4u /* PE_PRESENT of CRIU's pagemap.h */
#define REGIONS 4096u
#define RUNS_MAX (64u << 20)
#define ENTRY_MAX 64u /* bytes of one of our entries with its length */

/* Pages one after the other. */
struct run {
    uint64_t vaddr, bytes;
    uint64_t at;         /* where they begin in the image of pages */
    const uint8_t *held; /* CRIU's, or NULL: the snapshot's */
    uint32_t flags;
};

struct snapshot_pages {
    const struct snapshot_process *process;
    struct run *runs;
    size_t n, room;
    uint64_t bytes;
};

static int add(struct snapshot_pages *sp, const struct run *r)
{
    if (sp->n == sp->room) {
        size_t room = sp->room ? 2 * sp->room : 1024;
        struct run *runs = room <= RUNS_MAX ? realloc(sp->runs, room * sizeof *runs) : NULL;

        if (!runs) {
            errno = ENOMEM;
            return -1;
        }
        sp->runs = runs;
        sp->room = room;
    }
    sp->runs[sp->n++] = *r;
    return 0;
}

/* Calls each() for every stretch of pages of the snapshot, by address. */
static int scan_area(const struct snapshot_process *p, const struct snapshot_area *a,
                     struct scan_region *v, int (*each)(void *, uint64_t, uint64_t), void *arg)
{
    struct scan_arg s = {.size = sizeof s,
                         .start = a->start,
                         .end = a->end,
                         .vec = (uintptr_t)v,
                         .vec_len = REGIONS,
                         .category_inverted = SCAN_PFNZERO | SCAN_FILE,
                         .category_mask = SCAN_PFNZERO | SCAN_FILE,
                         .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
                         .return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_GUARD};
    bool guards = true;

    while (s.start < s.end) {
        long n = ioctl(p->pagemapfd, SCAN_IOCTL, &s);

        if (n < 0 && errno == EINVAL && guards) {
            guards = false; /* before Linux 6.15 */
            s.return_mask &= ~(uint64_t)SCAN_GUARD;
            continue;
        }
        if (n < 0)
            return -1;
        for (long i = 0; i < n; i++)
            if (!(v[i].categories & SCAN_GUARD) && each(arg, v[i].start, v[i].end) < 0)
                return -1;
        errno = EIO;
        if (s.walk_end <= s.start)
            return -1;
        s.start = s.walk_end;
    }
    return 0;
}

static int scan_all(const struct snapshot_process *p, int (*each)(void *, uint64_t, uint64_t),
                    void *arg)
{
    struct scan_region *v = malloc(REGIONS * sizeof *v);
    int rc = v ? 0 : -1;

    for (size_t i = 0; i < p->n && rc == 0; i++)
        rc = scan_area(p, &p->areas[i], v, each, arg);
    free(v);
    return rc;
}

/* Walks CRIU's entries: 1 an entry, 0 end, -1. */
struct pagemap {
    struct crimg_iter it;
    uint32_t pages_id;
};

static int pagemap_open(struct pagemap *m, const struct images *images, pid_t pid, struct err *err)
{
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    const uint8_t *data, *msg;
    PagemapHead *head;
    size_t len;

    snprintf(name, sizeof name, "pagemap-%d.img", (int)pid);
    data = images_find(images, name, &len);
    errno = EBADMSG;
    if (!data || !crimg_parse_name(name, &parsed))
        return err_set(err, "CRIU sent no %s", name);
    if (crimg_open(&m->it, &parsed, data, len, err) < 0 || crimg_next(&m->it, &msg, &len, err) != 1)
        return err_prefix(err, "%s", name);
    head = pagemap_head__unpack(NULL, len, msg);
    errno = EBADMSG;
    if (!head)
        return err_set(err, "%s cannot be read", name);
    m->pages_id = head->pages_id;
    pagemap_head__free_unpacked(head, NULL);
    return 0;
}

static int pagemap_next(struct pagemap *m, struct run *r, struct err *err)
{
    const uint8_t *msg;
    PagemapEntry *e;
    size_t len;
    int rc = crimg_next(&m->it, &msg, &len, err);

    if (rc != 1)
        return rc;
    e = pagemap_entry__unpack(NULL, len, msg);
    if (!e) {
        errno = EBADMSG;
        return err_set(err, "an entry of a pagemap cannot be read");
    }
    *r = (struct run){.vaddr = e->vaddr,
                      .bytes = (e->has_nr_pages ? e->nr_pages : e->compat_nr_pages) * PAGE,
                      .flags = e->has_flags ? e->flags : PRESENT};
    rc = r->flags & PRESENT && r->bytes > 0 && !(e->has_in_parent && e->in_parent) ? 1 : -1;
    pagemap_entry__free_unpacked(e, NULL);
    if (rc < 0) {
        errno = ENOTSUP;
        err_set(err, "CRIU left pages out of a pagemap");
    }
    return rc;
}

static int add_criu(struct snapshot_pages *sp, const struct images *images, struct pagemap *m,
                    struct err *err)
{
    const struct snapshot_process *p = sp->process;
    char name[sizeof p->pages];
    uint64_t at = 0;
    struct run r;
    int rc;

    if (pagemap_open(m, images, p->pid, err) < 0)
        return -1;
    snprintf(name, sizeof name, "pages-%u.img", m->pages_id);
    errno = EBADMSG;
    if (strcmp(name, p->pages) != 0)
        return err_set(err, "CRIU's pages of process %d are %s, not %s", (int)p->pid, name,
                       p->pages[0] ? p->pages : "there");
    while ((rc = pagemap_next(m, &r, err)) == 1) {
        errno = EBADMSG;
        if (r.bytes > p->held_len - at)
            return err_set(err, "%s is cut short", name);
        r.held = p->held + at;
        at += r.bytes;
        if (add(sp, &r) < 0)
            return err_sys(err, "pages of process %d", (int)p->pid);
    }
    errno = EBADMSG;
    if (rc == 0 && at != p->held_len)
        return err_set(err, "%s is longer than its pagemap says", name);
    return rc;
}

static int add_run(void *arg, uint64_t start, uint64_t end)
{
    const struct run r = {.vaddr = start, .bytes = end - start, .flags = PRESENT};

    return add(arg, &r);
}

static int by_address(const void *a, const void *b)
{
    const struct run *x = a, *y = b;

    return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* In order, and their places in the image. */
static int arrange(struct snapshot_pages *sp, struct err *err)
{
    qsort(sp->runs, sp->n, sizeof *sp->runs, by_address);
    for (size_t i = 0; i < sp->n; i++) {
        struct run *r = &sp->runs[i];

        if (i > 0 && r[-1].vaddr + r[-1].bytes > r->vaddr) {
            errno = EBADMSG;
            return err_set(err, "CRIU saved memory of process %d that its snapshot has as well",
                           (int)sp->process->pid);
        }
        r->at = sp->bytes;
        sp->bytes += r->bytes;
    }
    return 0;
}

static size_t put_entry(uint8_t *to, const struct run *r)
{
    PagemapEntry e = PAGEMAP_ENTRY__INIT;
    size_t len;

    e.vaddr = r->vaddr;
    e.compat_nr_pages = (uint32_t)(r->bytes / PAGE);
    e.has_flags = e.has_nr_pages = 1;
    e.flags = r->flags;
    e.nr_pages = r->bytes / PAGE;
    len = pagemap_entry__pack(&e, to + 4);
    crimg_put32(to, (uint32_t)len);
    return 4 + len;
}

static int put_pagemap(const struct snapshot_pages *sp, uint32_t pages_id, struct images *images,
                       struct err *err)
{
    PagemapHead head = PAGEMAP_HEAD__INIT;
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    uint8_t *data, *fit;
    size_t len;

    snprintf(name, sizeof name, "pagemap-%d.img", (int)sp->process->pid);
    data = malloc((sp->n + 2) * ENTRY_MAX);
    if (!data || !crimg_parse_name(name, &parsed)) {
        free(data);
        return err_sys(err, "%s", name);
    }
    len = crimg_head_put(&parsed, data);
    head.pages_id = pages_id;
    crimg_put32(data + len, (uint32_t)pagemap_head__pack(&head, data + len + 4));
    len += 4 + crimg_get32(data + len);
    for (size_t i = 0; i < sp->n; i++)
        len += put_entry(data + len, &sp->runs[i]);
    fit = realloc(data, len);
    return images_replace(images, name, fit ? fit : data, len, err);
}

struct snapshot_pages *snapshot_pages_create(const struct snapshot_process *p,
                                             struct images *images, struct err *err)
{
    struct snapshot_pages *sp = calloc(1, sizeof *sp);
    struct pagemap m;

    if (!sp) {
        err_sys(err, "pages of process %d", (int)p->pid);
        return NULL;
    }
    sp->process = p;
    if (add_criu(sp, images, &m, err) < 0)
        goto fail;
    if (scan_all(p, add_run, sp) < 0) {
        err_sys(err, "page tables of the snapshot of process %d", (int)p->pid);
        goto fail;
    }
    if (arrange(sp, err) < 0 || put_pagemap(sp, m.pages_id, images, err) < 0)
        goto fail;
    return sp;
fail:
    snapshot_pages_destroy(sp);
    return NULL;
}

void snapshot_pages_destroy(struct snapshot_pages *sp)
{
    int saved = errno;

    if (!sp)
        return;
    free(sp->runs);
    free(sp);
    errno = saved;
}

uint64_t snapshot_pages_bytes(const struct snapshot_pages *sp)
{
    return sp->bytes;
}

/* The run that `at` of the image lies in. */
static const struct run *run_at(const struct snapshot_pages *sp, uint64_t at)
{
    size_t low = 0, high = sp->n;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (sp->runs[mid].at <= at)
            low = mid;
        else
            high = mid;
    }
    return &sp->runs[low];
}

/* From `at` to the end of its window, over as many runs as are there; *at is moved. */
static uint64_t window_bytes(const struct snapshot_pages *sp, uint64_t *at)
{
    const struct run *r = run_at(sp, *at), *end = sp->runs + sp->n;
    const uint64_t from = r->vaddr + (*at - r->at), mask = SNAPSHOT_PAGES_WINDOW - 1;
    const uint64_t limit = (from | mask) + 1, begin = *at;

    for (; r < end && r->vaddr < limit; r++)
        *at = r->at + (r->vaddr + r->bytes < limit ? r->bytes : limit - r->vaddr);
    return *at - begin;
}

size_t snapshot_pages_cut(const struct snapshot_pages *sp, uint64_t at, size_t room)
{
    const size_t enough = SNAPSHOT_PAGES_WINDOW / 4;
    uint64_t len = 0;

    while (at < sp->bytes && len < enough) {
        const uint64_t n = window_bytes(sp, &at);

        if (len > 0 && (n >= enough || n > room - len))
            break;
        len += n;
    }
    return len < room ? (size_t)len : room;
}

int snapshot_pages_fill(const void *arg, uint64_t at, uint8_t *raw, size_t len)
{
    const struct snapshot_pages *sp = arg;
    const struct run *r = run_at(sp, at);

    errno = EINVAL;
    if (len > sp->bytes || at > sp->bytes - len)
        return -1;
    while (len > 0) {
        uint64_t skip = at - r->at;
        size_t n = r->bytes - skip < len ? (size_t)(r->bytes - skip) : len;

        if (r->held)
            memcpy(raw, r->held + skip, n);
        else if (snapshot_read(sp->process, r->vaddr + skip, raw, n) < 0)
            return -1;
        raw += n;
        at += n;
        len -= n;
        r++;
    }
    return 0;
}

struct proof {
    struct pagemap map;
    struct run now; /* entry of the image */
    struct err *err;
    uint64_t counted;
};

/* Forward in the image until its entry ends above `vaddr`. */
static int advance(struct proof *p, uint64_t vaddr)
{
    while (p->now.vaddr + p->now.bytes <= vaddr) {
        int rc = pagemap_next(&p->map, &p->now, p->err);

        if (rc != 1)
            return rc;
        p->counted += p->now.bytes;
    }
    return 1;
}

static int prove_region(void *arg, uint64_t start, uint64_t end)
{
    struct proof *p = arg;

    while (start < end) {
        const int rc = advance(p, start);

        if (rc < 0)
            return -1;
        if (rc == 0 || p->now.vaddr > start) {
            errno = EBADMSG;
            return err_set(p->err, "page %llx of the snapshot was not saved",
                           (unsigned long long)start);
        }
        start = p->now.vaddr + p->now.bytes;
    }
    return 0;
}

int snapshot_pages_prove(const struct snapshot_pages *sp, const struct images *images,
                         struct err *err)
{
    struct proof p = {.err = err};
    struct err first = {""};

    err_set(&first, "page tables of the snapshot of process %d", (int)sp->process->pid);
    if (pagemap_open(&p.map, images, sp->process->pid, err) < 0)
        return -1;
    if (scan_all(sp->process, prove_region, &p) < 0)
        return err_prefix(err, "%s", first.text);
    /* The rest, which is CRIU's. */
    if (advance(&p, UINT64_MAX) != 0)
        return -1;
    if (p.counted != sp->bytes) {
        errno = EBADMSG;
        return err_set(err, "process %d: %llu bytes of pages, %llu in its pagemap",
                       (int)sp->process->pid, (unsigned long long)sp->bytes,
                       (unsigned long long)p.counted);
    }
    return 0;
}

bool snapshot_pages_possible(pid_t pid)
{
    struct scan_region v;
    struct scan_arg s = {.size = sizeof s,
                         .end = PAGE,
                         .vec = (uintptr_t)&v,
                         .vec_len = 1,
                         .category_mask = SCAN_PRESENT,
                         .return_mask = SCAN_PRESENT};
    char path[48];
    bool works;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    works = fd >= 0 && ioctl(fd, SCAN_IOCTL, &s) >= 0;
    io_close(&fd);
    return works;
}
