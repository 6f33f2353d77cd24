/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/images.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define BLOCK 512u
#define MAX_PROCESSES 100000u

struct image {
    char name[CRIMG_NAME_MAX + 1];
    uint8_t *data;
    size_t len, room;
};

struct images {
    struct image **list; /* in the order of arrival */
    size_t n, room;
    struct image **hash; /* by name, open addressing; slots: a power of two, at least 2 * n */
    size_t slots;
    uint64_t bytes;
};

struct images *images_create(void)
{
    return calloc(1, sizeof(struct images));
}

void images_destroy(struct images *im)
{
    int saved = errno;

    if (!im)
        return;
    for (size_t i = 0; i < im->n; i++) {
        free(im->list[i]->data);
        free(im->list[i]);
    }
    free(im->list);
    free(im->hash);
    free(im);
    errno = saved;
}

/* FNV-1a */
static uint64_t hash_name(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h;
}

/* The slot where name is or would go.  There is always a free one. */
static struct image **slot(struct image **hash, size_t slots, const char *name)
{
    size_t i = hash_name(name) & (slots - 1);

    while (hash[i] && strcmp(hash[i]->name, name) != 0)
        i = (i + 1) & (slots - 1);
    return &hash[i];
}

static struct image *find(const struct images *im, const char *name)
{
    return im->slots ? *slot(im->hash, im->slots, name) : NULL;
}

const uint8_t *images_find(const struct images *im, const char *name, size_t *len)
{
    const struct image *img = find(im, name);

    if (!img)
        return NULL;
    *len = img->len;
    return img->data ? img->data : (const uint8_t *)"";
}

static int grow_list(struct images *im)
{
    size_t room = im->room ? 2 * im->room : 64;
    struct image **list, **hash;

    if (im->n < im->room)
        return 0;
    list = realloc(im->list, room * sizeof(struct image *));
    if (!list)
        return -1;
    im->list = list;
    hash = calloc(2 * room, sizeof(struct image *));
    if (!hash)
        return -1;
    for (size_t i = 0; i < im->n; i++)
        *slot(hash, 2 * room, list[i]->name) = list[i];
    free(im->hash);
    im->hash = hash;
    im->slots = 2 * room;
    im->room = room;
    return 0;
}

struct image *images_add(struct images *im, const char *name, struct err *err)
{
    struct image *img;

    if (strlen(name) > CRIMG_NAME_MAX) {
        errno = ENAMETOOLONG;
        err_set(err, "image %s: name too long", name);
        return NULL;
    }
    if (find(im, name)) {
        errno = EEXIST;
        err_set(err, "CRIU sent %s twice", name);
        return NULL;
    }
    if (im->n >= CRIMG_COUNT_MAX) {
        errno = EFBIG;
        err_set(err, "more than %u images", CRIMG_COUNT_MAX);
        return NULL;
    }
    img = calloc(1, sizeof *img);
    if (!img || grow_list(im) < 0) {
        err_sys(err, "image %s", name);
        free(img);
        return NULL;
    }
    memcpy(img->name, name, strlen(name) + 1);
    im->list[im->n++] = img;
    *slot(im->hash, im->slots, img->name) = img;
    return img;
}

int images_append(struct images *im, struct image *img, const void *data, size_t len,
                  struct err *err)
{
    if (len > CRIMG_TOTAL_MAX - im->bytes) {
        errno = EFBIG;
        return err_set(err, "the tree's state without its memory is larger than %u MiB",
                       CRIMG_TOTAL_MAX >> 20);
    }
    if (img->len + len > img->room) {
        size_t room = img->room ? img->room : 4096;
        uint8_t *bigger;

        while (room < img->len + len)
            room *= 2;
        bigger = realloc(img->data, room);
        if (!bigger)
            return err_sys(err, "image %s", img->name);
        img->data = bigger;
        img->room = room;
    }
    memcpy(img->data + img->len, data, len);
    img->len += len;
    im->bytes += len;
    return 0;
}

int images_replace(struct images *im, const char *name, uint8_t *data, size_t len, struct err *err)
{
    struct image *img = find(im, name);
    int rc = 0;

    errno = ENOENT;
    if (!img) {
        rc = err_set(err, "CRIU sent no %s", name);
    } else if (len > CRIMG_TOTAL_MAX - (im->bytes - img->len)) {
        errno = EFBIG;
        rc = err_set(err, "the tree's state without its memory is larger than %u MiB",
                     CRIMG_TOTAL_MAX >> 20);
    }
    if (rc < 0) {
        free(data);
        return -1;
    }
    im->bytes = im->bytes - img->len + len;
    free(img->data);
    img->data = data;
    img->len = img->room = len;
    return 0;
}

uint64_t images_bytes(const struct images *im)
{
    return im->bytes;
}

/* A tar archive through zstd and SHA-256 into a descriptor. */
struct out {
    int fd;
    ZSTD_CCtx *ctx;
    EVP_MD_CTX *md;
    uint8_t *buf;
    size_t room;
    uint64_t bytes;
};

static int out_write(struct out *o, const void *data, size_t len, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = {data, len, 0};
    size_t left;

    do {
        ZSTD_outBuffer out = {o->buf, o->room, 0};

        left = ZSTD_compressStream2(o->ctx, &out, &in, end);
        if (ZSTD_isError(left) || EVP_DigestUpdate(o->md, o->buf, out.pos) != 1) {
            errno = EIO;
            return -1;
        }
        if (io_write_full(o->fd, o->buf, out.pos) < 0)
            return -1;
        o->bytes += out.pos;
    } while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
    return 0;
}

/* ustar header; POSIX.1-1988: octal numbers, checksum over the block with its own field blank */
static void tar_header(uint8_t block[BLOCK], const struct image *img)
{
    char *h = (char *)block;
    unsigned sum = 0;

    memset(block, 0, BLOCK);
    memcpy(h, img->name, strlen(img->name));
    memcpy(h + 100, "0000600", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    snprintf(h + 124, 12, "%011o", (unsigned)img->len);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar", 6);
    memcpy(h + 263, "00", 2);
    for (unsigned i = 0; i < BLOCK; i++)
        sum += block[i];
    snprintf(h + 148, 8, "%06o", sum & 0777777u);
}

static int write_tar(const struct images *im, struct out *o)
{
    static const uint8_t zeros[2 * BLOCK];
    uint8_t header[BLOCK];

    for (size_t i = 0; i < im->n; i++) {
        const struct image *img = im->list[i];

        tar_header(header, img);
        if (out_write(o, header, BLOCK, ZSTD_e_continue) < 0 ||
            out_write(o, img->data, img->len, ZSTD_e_continue) < 0 ||
            out_write(o, zeros, (BLOCK - img->len % BLOCK) % BLOCK, ZSTD_e_continue) < 0)
            return -1;
    }
    return out_write(o, zeros, sizeof zeros, ZSTD_e_end);
}

int images_write(const struct images *im, int fd, int level, uint64_t *bytes, char sha256[65],
                 struct err *err)
{
    struct out o = {.fd = fd, .room = ZSTD_CStreamOutSize()};
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int rc = -1;

    o.ctx = ZSTD_createCCtx();
    o.md = EVP_MD_CTX_new();
    o.buf = malloc(o.room);
    errno = ENOMEM;
    if (o.ctx && o.md && o.buf &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(o.ctx, ZSTD_c_compressionLevel, level)) &&
        EVP_DigestInit_ex(o.md, EVP_sha256(), NULL) == 1 && write_tar(im, &o) == 0 &&
        EVP_DigestFinal_ex(o.md, md, &n) == 1 && n == 32)
        rc = 0;
    if (rc < 0) {
        err_sys(err, "cannot write " MANIFEST_IMAGES);
    } else {
        *bytes = o.bytes;
        for (unsigned i = 0; i < n; i++)
            snprintf(sha256 + 2 * i, 3, "%02x", md[i]);
    }
    ZSTD_freeCCtx(o.ctx);
    EVP_MD_CTX_free(o.md);
    free(o.buf);
    return rc;
}

static int take_core(const struct images *im, struct manifest_process *proc, uint32_t *state,
                     struct err *err)
{
    char name[CRIMG_NAME_MAX + 1];
    struct crimg_name parsed;
    struct crimg_iter it;
    const uint8_t *data, *msg;
    size_t len;
    CoreEntry *core;

    snprintf(name, sizeof name, "core-%u.img", proc->pid);
    data = images_find(im, name, &len);
    errno = EBADMSG;
    if (!data || !crimg_parse_name(name, &parsed))
        return err_set(err, "CRIU sent no %s", name);
    if (crimg_open(&it, &parsed, data, len, err) < 0 || crimg_next(&it, &msg, &len, err) != 1)
        return err_prefix(err, "%s", name);
    core = core_entry__unpack(NULL, len, msg);
    if (!core || !core->tc) {
        if (core)
            core_entry__free_unpacked(core, NULL);
        errno = EBADMSG;
        return err_set(err, "%s cannot be read", name);
    }
    snprintf(proc->comm, sizeof proc->comm, "%s", core->tc->comm);
    *state = core->tc->task_state;
    /* CRIU 4.2 writes whatever memory holds as the only thread of a zombie. */
    if (*state == IMAGES_DEAD && proc->nthreads == 1)
        proc->threads[0] = proc->pid;
    core_entry__free_unpacked(core, NULL);
    return 0;
}

static int take_entry(const struct images *im, const uint8_t *msg, size_t len,
                      struct manifest_process *proc, uint32_t *state, struct err *err)
{
    PstreeEntry *e = pstree_entry__unpack(NULL, len, msg);
    size_t size;

    memset(proc, 0, sizeof *proc); /* the caller frees its threads either way */
    if (!e) {
        errno = EBADMSG;
        return err_set(err, "pstree.img cannot be read");
    }
    proc->pid = e->pid;
    proc->ppid = e->ppid;
    proc->pgid = e->pgid;
    proc->sid = e->sid;
    proc->nthreads = (uint32_t)e->n_threads;
    size = e->n_threads * sizeof *proc->threads;
    proc->threads = malloc(size ? size : 1);
    if (proc->threads && size > 0)
        memcpy(proc->threads, e->threads, size);
    pstree_entry__free_unpacked(e, NULL);
    if (!proc->threads)
        return err_sys(err, "list of processes");
    return take_core(im, proc, state, err);
}

struct processes {
    struct manifest_process *list;
    uint32_t *states;
    size_t n, room;
};

static int grow_processes(struct processes *p)
{
    size_t room = p->room ? 2 * p->room : 64;
    struct manifest_process *list;
    uint32_t *states;

    if (p->n < p->room)
        return 0;
    if (room > 2 * MAX_PROCESSES) {
        errno = EFBIG;
        return -1;
    }
    list = realloc(p->list, room * sizeof *list);
    if (list)
        p->list = list;
    states = realloc(p->states, room * sizeof *states);
    if (states)
        p->states = states;
    if (!list || !states)
        return -1;
    p->room = room;
    return 0;
}

int images_processes(const struct images *im, struct manifest_process **list, size_t *n,
                     uint32_t **states, struct err *err)
{
    static const char tree[] = "pstree.img";
    struct processes p = {0};
    struct crimg_name parsed;
    struct crimg_iter it;
    const uint8_t *data, *msg;
    size_t len;
    int rc;

    data = images_find(im, tree, &len);
    errno = EBADMSG;
    if (!data || !crimg_parse_name(tree, &parsed))
        return err_set(err, "CRIU sent no %s", tree);
    if (crimg_open(&it, &parsed, data, len, err) < 0)
        return err_prefix(err, "%s", tree);
    while ((rc = crimg_next(&it, &msg, &len, err)) == 1) {
        if (grow_processes(&p) < 0) {
            rc = err_sys(err, "list of processes");
            break;
        }
        rc = take_entry(im, msg, len, &p.list[p.n], &p.states[p.n], err);
        p.n++; /* its threads are to be freed either way */
        if (rc < 0)
            break;
    }
    if (rc == 0 && p.n == 0) {
        errno = EBADMSG;
        rc = err_set(err, "%s is empty", tree);
    }
    if (rc < 0) {
        int saved = errno;

        for (size_t i = 0; i < p.n; i++)
            free(p.list[i].threads); /* NOLINT(clang-analyzer-core.CallAndMessage): take_entry */
        free(p.list);
        free(p.states);
        errno = saved;
        return -1;
    }
    *list = p.list;
    *n = p.n;
    *states = p.states;
    return 0;
}
