/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/filelist.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void entry_free(struct file_entry *e)
{
    free(e->path);
    free(e->target);
}

int filelist_add(struct filelist *l, const struct file_entry *e, struct err *err)
{
    struct file_entry copy = *e;

    if (l->n >= FILELIST_MAX) {
        entry_free(&copy);
        errno = EFBIG;
        return err_set(err, "more than %u files to take along", FILELIST_MAX);
    }
    if ((l->n & (l->n - 1)) == 0) { /* room doubles at each power of two */
        struct file_entry *more = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *more);

        if (!more) {
            entry_free(&copy);
            errno = ENOMEM;
            return err_sys(err, "list of files");
        }
        l->v = more;
    }
    l->v[l->n++] = copy;
    return 0;
}

void filelist_free(struct filelist *l)
{
    int saved = errno;

    for (size_t i = 0; i < l->n; i++)
        entry_free(&l->v[i]);
    free(l->v);
    l->v = NULL;
    l->n = 0;
    errno = saved;
}

bool filelist_path_ok(const char *path)
{
    if (*path != '/' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *p = path; *p;) {
        size_t n = strcspn(++p, "/");

        if (n == 0 || n > NAME_MAX || (n == 1 && *p == '.') || (n == 2 && !strncmp(p, "..", 2)))
            return false;
        p += n;
    }
    return true;
}

static int bad(const struct file_entry *e, const char *what, struct err *err)
{
    errno = EBADMSG;
    return err_set(err, "%.200s: %s", e->path ? e->path : "?", what);
}

bool filelist_may_be_missing(const struct file_entry *e)
{
    return (e->has_image || e->size == 0) &&
           (e->role == FILE_CUT || e->role == FILE_INPUT || e->role == FILE_LOG);
}

int filelist_check(const struct file_entry *e, struct err *err)
{
    if (!e->path || !filelist_path_ok(e->path))
        return bad(e, "not a path that can be restored", err);
    if (e->role < FILE_CUT || e->role > FILE_LEFT)
        return bad(e, "of an unknown role", err);
    if (e->mode > 0777)
        return bad(e, "mode beyond permission bits", err);
    if (e->size > INT64_MAX || e->mtime_ns > 999999999)
        return bad(e, "size or time out of range", err);
    if (e->has_image && (!(e->role == FILE_COPY || filelist_may_be_missing(e)) || e->size == 0))
        return bad(e, "contents that do not belong there", err);
    if (e->role == FILE_COPY && !e->has_image && e->size > 0)
        return bad(e, "its contents are missing", err);
    if ((e->role == FILE_LINK) != (e->target != NULL) ||
        (e->target && (!*e->target || strlen(e->target) >= PATH_MAX)))
        return bad(e, "target of a link", err);
    return 0;
}

static void to_message(const struct file_entry *e, CkptFile *m)
{
    struct file_entry *at = (struct file_entry *)(uintptr_t)e; /* packing only reads */

    ckpt_file__init(m);
    m->role = e->role;
    m->path = e->path;
    m->mode = e->mode;
    m->size = e->size;
    m->mtime_s = e->mtime_s;
    m->mtime_ns = e->mtime_ns;
    m->has_image = e->has_image;
    m->image = e->image;
    m->has_head = m->has_tail = e->has_sums;
    m->head = (ProtobufCBinaryData){sizeof e->head, at->head};
    m->tail = (ProtobufCBinaryData){sizeof e->tail, at->tail};
    m->has_build_id = e->build_id_len > 0;
    m->build_id = (ProtobufCBinaryData){e->build_id_len, at->build_id};
    m->target = e->target;
}

int filelist_encode(const struct filelist *l, uint8_t **data, size_t *len, struct err *err)
{
    struct crimg_name name;
    uint8_t *out, *at;
    size_t total = 8;
    CkptFile m;

    for (size_t i = 0; i < l->n; i++) {
        if (filelist_check(&l->v[i], err) < 0)
            return -1;
        to_message(&l->v[i], &m);
        total += 4 + ckpt_file__get_packed_size(&m);
    }
    out = malloc(total);
    if (!out || !crimg_parse_name(FILELIST_IMAGE, &name)) {
        free(out);
        errno = ENOMEM;
        return err_sys(err, "list of files");
    }
    at = out + crimg_head_put(&name, out);
    for (size_t i = 0; i < l->n; i++) {
        size_t n;

        to_message(&l->v[i], &m);
        n = ckpt_file__pack(&m, at + 4);
        crimg_put32(at, (uint32_t)n);
        at += 4 + n;
    }
    *data = out;
    *len = (size_t)(at - out);
    return 0;
}

static int sum(int fd, uint64_t from, size_t len, uint8_t *buf, uint8_t out[32])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (io_pread_full(fd, buf, len, (off_t)from) < 0)
        return -1;
    if (EVP_Digest(buf, len, md, &n, EVP_sha256(), NULL) != 1 || n != 32) {
        errno = EIO;
        return -1;
    }
    memcpy(out, md, 32);
    return 0;
}

int filelist_sums(int fd, uint64_t size, uint8_t head[32], uint8_t tail[32], struct err *err)
{
    size_t len = size < FILELIST_SUM_BYTES ? (size_t)size : FILELIST_SUM_BYTES;
    uint8_t *buf = malloc(FILELIST_SUM_BYTES), h[32], t[32];
    int rc = -1;

    if (buf && sum(fd, 0, len, buf, h) == 0 && sum(fd, size - len, len, buf, t) == 0) {
        memcpy(head, h, 32);
        memcpy(tail, t, 32);
        rc = 0;
    } else {
        err_sys(err, "cannot be read");
    }
    free(buf);
    return rc;
}
