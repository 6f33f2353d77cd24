/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/filter_impl.h"

#include "restore/vdso.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* CRIU's VmaEntry.status */
#define REGULAR (1u << 0)
#define STACK (1u << 1)
#define VSYSCALL (1u << 2)
#define VDSO (1u << 3)
#define HEAP (1u << 5)
#define FILE_PRIVATE (1u << 6)
#define FILE_SHARED (1u << 7)
#define ANON_SHARED (1u << 8)
#define ANON_PRIVATE (1u << 9)
#define VVAR (1u << 12)
#define MEMFD (1u << 14)
#define GUARD (1u << 16)
#define BACKING (FILE_PRIVATE | FILE_SHARED | ANON_SHARED | ANON_PRIVATE)
/* Left out: SysV shared memory, packet sockets, AIO rings, shadow stacks, uprobes, plugins' areas, and the bits
 * that CRIU sets for itself while it restores. */
#define ALLOWED (REGULAR | STACK | VSYSCALL | VDSO | HEAP | BACKING | VVAR | MEMFD)

/* mmap's flags, the same on every machine that we know */
#define SHARED 0x1u
#define PRIVATE 0x2u
#define KIND 0xfu
#define ANONYMOUS 0x20u

#define VSYSCALL_START UINT64_C(0xffffffffff600000)
#define RSEQ_CS 8u /* offset of rseq_cs in struct rseq */

/* PagemapEntry.flags */
#define PAGE_PARENT 1u
#define PAGE_LAZY 2u
#define PAGE_PRESENT 4u

static uint64_t user_space_end(const struct filter *f)
{
    /* x86-64: what lies above 47 bits is only there for programs that ask for it; CRIU 4.2 does not
     * know such maps either. */
    return f->rules->machine == FILTER_X86_64 ? UINT64_C(1) << 47 : UINT64_C(1) << 52;
}

static bool is_private_anonymous(const VmaEntry *v)
{
    return (v->status & REGULAR) && (v->status & BACKING) == ANON_PRIVATE &&
           (v->flags & KIND) == PRIVATE && (v->flags & ANONYMOUS);
}

/* CRIU's flag for sharing must be the kernel's. */
static bool backing_ok(const VmaEntry *v)
{
    switch (v->status & BACKING) {
    case FILE_PRIVATE:
    case ANON_PRIVATE:
        return (v->flags & KIND) == PRIVATE;
    case FILE_SHARED:
    case ANON_SHARED:
        return (v->flags & KIND) == SHARED || (v->flags & KIND) == 3; /* MAP_SHARED_VALIDATE */
    default:
        return false;
    }
}

static int check_vma(struct filter *f, const struct image *im, const VmaEntry *v, uint64_t floor)
{
    const uint64_t page = f->rules->page_size;
    bool vsyscall =
        (v->status & VSYSCALL) && v->start == VSYSCALL_START && v->end == VSYSCALL_START + 4096;

    if (v->start % page || v->end % page || v->start >= v->end ||
        (v->end > user_space_end(f) && !vsyscall))
        return filter_refuse(f, im, EBADMSG, "a mapping %#" PRIx64 "-%#" PRIx64, v->start, v->end);
    if (v->start < floor)
        return filter_refuse(f, im, EBADMSG, "mappings overlap or are out of order at %#" PRIx64,
                             v->start);
    if ((v->status & ~ALLOWED) || !backing_ok(v) || v->fd != -1)
        return filter_refuse(f, im, EBADMSG,
                             "mapping %#" PRIx64 " of a kind that is not restored (status %#x, "
                             "flags %#x)",
                             v->start, v->status, v->flags);
    return 0;
}

static int check_guard(struct filter *f, const struct image *im, const MmEntry *mm, size_t count,
                       const VmaEntry *g)
{
    for (size_t i = 0; i < count; i++) {
        const VmaEntry *v = mm->vmas[i];

        if (g->start >= v->start && g->end <= v->end && g->start < g->end &&
            g->start % f->rules->page_size == 0 && g->end % f->rules->page_size == 0)
            return 0;
    }
    return filter_refuse(f, im, EBADMSG, "a guard region %#" PRIx64 " outside of every mapping",
                         g->start);
}

/* CRIU looks for room for its restorer between the mappings, stops looking at the first guard
 * region, and maps the others over whatever is there. */
static int check_vmas(struct filter *f, const struct image *im, const MmEntry *mm)
{
    uint64_t floor = 0;
    size_t real = 0;

    while (real < mm->n_vmas && mm->vmas[real]->status != GUARD) {
        if (check_vma(f, im, mm->vmas[real], floor) < 0)
            return -1;
        floor = mm->vmas[real++]->end;
    }
    if (real == 0)
        return filter_refuse(f, im, EBADMSG, "no mappings");
    for (size_t i = real; i < mm->n_vmas; i++) {
        if (mm->vmas[i]->status != GUARD)
            return filter_refuse(f, im, EBADMSG, "a mapping behind the guard regions");
        if (check_guard(f, im, mm, real, mm->vmas[i]) < 0)
            return -1;
    }
    return 0;
}

/* A run of pages in an image of pages. */
struct run {
    uint64_t start, end; /* addresses */
    uint64_t at;         /* offset of the first in the pages image */
};

struct pagemap {
    struct run *runs;
    size_t n;
    uint64_t bytes;
    struct bulk *pages;
};

static int add_run(struct filter *f, const struct image *im, struct pagemap *m,
                   const PagemapEntry *e)
{
    const uint64_t page = f->rules->page_size;
    uint64_t count = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages;
    uint64_t floor = m->n ? m->runs[m->n - 1].end : 0;
    struct run *r;

    if ((e->has_in_parent && e->in_parent) || !e->has_flags ||
        (e->flags & ~PAGE_LAZY) != PAGE_PRESENT)
        return filter_refuse(f, im, EBADMSG, "pages that are not in this checkpoint");
    if (e->vaddr % page || e->vaddr < floor || count == 0 || count > UINT64_MAX / page ||
        count * page > UINT64_MAX - e->vaddr)
        return filter_refuse(f, im, EBADMSG, "pages out of order at %#" PRIx64, e->vaddr);
    if ((m->n & (m->n - 1)) == 0) { /* room doubles at each power of two */
        struct run *more = realloc(m->runs, (m->n ? 2 * m->n : 1) * sizeof *more);

        if (!more)
            return err_sys(f->err, "pagemap");
        m->runs = more;
    }
    r = &m->runs[m->n++];
    r->start = e->vaddr;
    r->end = e->vaddr + count * page;
    r->at = m->bytes;
    m->bytes += count * page;
    return 0;
}

static int claim_pages(struct filter *f, const struct image *im, struct pagemap *m,
                       const PagemapHead *head)
{
    char name[CRIMG_NAME_MAX + 1];

    snprintf(name, sizeof name, "pages-%u.img", head->pages_id);
    m->pages = index_find(f->ix, name);
    /* A process without a page in memory has none. */
    if (!m->pages)
        return 0;
    for (size_t i = 0; i < f->npages; i++)
        if (f->pages[i] == m->pages)
            return filter_refuse(f, im, EBADMSG, "%s belongs to two of them", name);
    f->pages[f->npages++] = m->pages; /* room for every bulk image */
    return 0;
}

/* Decode, check and encode anew. */
static int read_pagemap(struct filter *f, struct image *im, struct pagemap *m)
{
    struct crimg_iter it;
    const uint8_t *data;
    uint8_t *out = NULL, head[8];
    size_t len, out_len = crimg_head_put(&im->parsed, head);
    bool first = true;
    int rc;

    if (crimg_open(&it, &im->parsed, im->data, im->len, f->err) < 0 ||
        !(out = malloc(out_len + im->len)))
        return err_prefix(f->err, "%s", im->name);
    for (size_t i = 0; i < out_len; i++)
        out[i] = head[i];
    while ((rc = crimg_next(&it, &data, &len, f->err)) > 0) {
        ProtobufCMessage *msg = wire_decode(
            data, len, first ? &pagemap_head__descriptor : &pagemap_entry__descriptor, f->err);

        if (!msg)
            rc = err_prefix(f->err, "%s", im->name);
        else if (first)
            rc = claim_pages(f, im, m, (PagemapHead *)msg);
        else
            rc = add_run(f, im, m, (PagemapEntry *)msg);
        if (rc == 0)
            rc = filter_append(f, &out, &out_len, msg);
        if (msg)
            protobuf_c_message_free_unpacked(msg, NULL);
        if (rc < 0)
            break;
        first = false;
    }
    if (rc == 0 && first)
        rc = filter_refuse(f, im, EBADMSG, "empty");
    if (rc == 0 && m->bytes != (m->pages ? m->pages->raw : 0))
        rc = filter_refuse(f, im, EBADMSG, "%" PRIu64 " bytes of pages, the image has %" PRIu64,
                           m->bytes, m->pages ? m->pages->raw : 0);
    if (rc < 0) {
        free(out);
        return -1;
    }
    free(im->data);
    im->data = out;
    im->len = out_len;
    return 0;
}

/* Nobody but the process itself may be able to write where the kernel looks for rseq_cs, and what
 * was saved there must not take effect before CRIU has dropped the capability: it is served as
 * zero.  (Where a thread was inside a critical section CRIU puts the pointer back at the very end,
 * from its core.) */
static int disarm_rseq(struct filter *f, const struct image *im, const MmEntry *mm,
                       const struct pagemap *m, const struct rseq_area *a)
{
    const VmaEntry *home = NULL;

    for (size_t i = 0; i < mm->n_vmas && !home; i++)
        if (mm->vmas[i]->status != GUARD && a->at >= mm->vmas[i]->start && a->at < mm->vmas[i]->end)
            home = mm->vmas[i];
    if (!home || a->size > home->end - a->at || !is_private_anonymous(home))
        return filter_refuse(f, im, EPERM,
                             "a thread's rseq area (%#" PRIx64
                             ") is not in private anonymous memory: others could write it",
                             a->at);
    for (size_t i = 0; i < m->n; i++) {
        const struct run *r = &m->runs[i];
        const uint64_t cs = a->at + RSEQ_CS;

        /* aligned to 32 bytes, so it lies in one page */
        if (cs >= r->start && cs < r->end)
            return index_blank(m->pages, r->at + (cs - r->start), f->err);
    }
    return 0; /* a page of zeros */
}

/* CRIU's restorer reads symbols from the image's vDSO and writes to where they point. */
static int probe_vdso(struct filter *f, const struct image *im, const MmEntry *mm,
                      const struct pagemap *m)
{
    const VmaEntry *vdso = NULL;

    for (size_t i = 0; i < mm->n_vmas; i++) {
        const VmaEntry *v = mm->vmas[i];

        if (!(v->status & (VDSO | VVAR)))
            continue;
        if (!is_private_anonymous(v) || ((v->status & VDSO) && vdso))
            return filter_refuse(f, im, EPERM, "a vDSO that is not the kernel's");
        if (v->status & VDSO)
            vdso = v;
    }
    if (!vdso)
        return 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct run *r = &m->runs[i];

        if (vdso->start >= r->start && vdso->end <= r->end &&
            vdso->end - vdso->start <= VDSO_MAX_BYTES)
            return index_probe(m->pages, r->at + (vdso->start - r->start),
                               (uint32_t)(vdso->end - vdso->start), vdso_check, f->err);
    }
    return filter_refuse(f, im, EBADMSG, "the vDSO's pages are missing");
}

static int check_mm(struct filter *f, struct image *im, struct image *map, const MmEntry *mm,
                    const struct rseq_areas *areas)
{
    struct pagemap m = {NULL, 0, 0, NULL};
    int rc;

    if (mm->n_aios > 0)
        return filter_refuse(f, im, EBADMSG, "an asynchronous I/O ring (libaio): not restored");
    /* It would hide its open files from the last look (criu-plugin.c).  None is dumped: CRIU without
     * CAP_SYS_PTRACE cannot stop it. */
    if (!mm->has_dumpable || mm->dumpable != 1)
        return filter_refuse(f, im, EPERM, "a process that hides its state (dumpable is not 1)");
    if (check_vmas(f, im, mm) < 0)
        return -1;
    rc = read_pagemap(f, map, &m);
    if (rc == 0)
        rc = probe_vdso(f, im, mm, &m);
    for (size_t i = 0; rc == 0 && i < areas->n; i++)
        rc = disarm_rseq(f, im, mm, &m, &areas->v[i]);
    free(m.runs);
    return rc;
}

int filter_memory(struct filter *f, const struct proc *p, const struct rseq_areas *areas)
{
    struct image *im = filter_claim(f, "mm-", p->pid);
    struct image *map = im ? filter_claim(f, "pagemap-", p->pid) : NULL;
    ProtobufCMessage *msg;
    int rc;

    if (!map)
        return -1;
    msg = filter_decode_one(f, im, &mm_entry__descriptor);
    if (!msg)
        return -1;
    rc = check_mm(f, im, map, (MmEntry *)msg, areas);
    if (rc == 0)
        rc = filter_encode_one(f, im, msg);
    protobuf_c_message_free_unpacked(msg, NULL);
    return rc;
}

int filter_shmem(struct filter *f, struct image *im)
{
    struct pagemap m = {NULL, 0, 0, NULL};
    int rc = read_pagemap(f, im, &m);

    free(m.runs);
    im->claimed = true;
    return rc;
}
