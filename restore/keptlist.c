/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/keptlist.h"

#include "common/criu.pb-c.h"
#include "restore/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad(struct err *err, const char *path, const char *what)
{
    errno = EBADMSG;
    return err_set(err, FILELIST_IMAGE ": %.200s: %s", path, what);
}

static int take_sums(const CkptFile *m, struct file_entry *e, struct err *err)
{
    if (m->has_head != m->has_tail)
        return bad(err, m->path, "half of its digests");
    if (!m->has_head)
        return 0;
    if (m->head.len != sizeof e->head || m->tail.len != sizeof e->tail)
        return bad(err, m->path, "a digest of the wrong length");
    memcpy(e->head, m->head.data, sizeof e->head);
    memcpy(e->tail, m->tail.data, sizeof e->tail);
    e->has_sums = true;
    return 0;
}

static int take(struct filelist *l, const CkptFile *m, struct err *err)
{
    struct file_entry e = {.role = (enum file_role)m->role,
                           .mode = m->mode,
                           .size = m->size,
                           .mtime_s = m->mtime_s,
                           .mtime_ns = m->mtime_ns,
                           .has_image = m->has_image,
                           .image = m->image};

    if (take_sums(m, &e, err) < 0)
        return -1;
    if (m->has_build_id) {
        if (m->build_id.len < 1 || m->build_id.len > sizeof e.build_id)
            return bad(err, m->path, "a build-id of the wrong length");
        e.build_id_len = m->build_id.len;
        memcpy(e.build_id, m->build_id.data, m->build_id.len);
    }
    e.path = strdup(m->path);
    e.target = m->target ? strdup(m->target) : NULL;
    if (!e.path || (m->target && !e.target)) {
        free(e.path);
        free(e.target);
        return err_sys(err, FILELIST_IMAGE);
    }
    if (filelist_check(&e, err) < 0) {
        err_prefix(err, FILELIST_IMAGE);
        free(e.path);
        free(e.target);
        return -1;
    }
    return filelist_add(l, &e, err);
}

static int decode(const struct image *im, struct filelist *l, struct err *err)
{
    struct crimg_iter it;
    const uint8_t *data;
    size_t len;
    int rc = crimg_open(&it, &im->parsed, im->data, im->len, err);

    if (rc < 0)
        return err_prefix(err, FILELIST_IMAGE);
    while ((rc = crimg_next(&it, &data, &len, err)) == 1) {
        ProtobufCMessage *msg = wire_decode(data, len, &ckpt_file__descriptor, err);

        rc = msg ? take(l, (CkptFile *)msg, err) : -1;
        if (msg)
            protobuf_c_message_free_unpacked(msg, NULL);
        else
            err_prefix(err, FILELIST_IMAGE);
        if (rc < 0)
            return -1;
    }
    return rc < 0 ? err_prefix(err, FILELIST_IMAGE) : 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file_entry *)a)->path, ((const struct file_entry *)b)->path);
}

static int check_contents(const struct filelist *l, const struct index *ix, struct err *err)
{
    size_t wanted = 0, there = 0;
    uint8_t *used = calloc(l->n + 1, 1);
    int rc = used ? 0 : err_sys(err, FILELIST_IMAGE);

    for (size_t i = 0; i < l->n && rc == 0; i++) {
        const struct file_entry *e = &l->v[i];
        char name[CRIMG_NAME_MAX + 1];
        const struct bulk *b;

        if (!e->has_image)
            continue;
        snprintf(name, sizeof name, FILELIST_CONTENTS, e->image);
        b = index_find(ix, name);
        if (e->image >= l->n || used[e->image] || !b)
            rc = bad(err, e->path,
                     b ? "its contents are another file's" : "its contents are missing");
        else if (b->raw != e->size)
            rc = bad(err, e->path, "its contents are not as long as it was");
        else
            used[e->image] = 1;
        wanted++;
    }
    free(used);
    for (size_t i = 0; i < ix->nimages; i++)
        there += strcmp(ix->images[i].parsed.prefix, "ckpt-file-") == 0;
    if (rc == 0 && there != wanted)
        rc = bad(err, "-", "contents that belong to no file");
    return rc;
}

int keptlist_load(const struct bundle *b, const struct index *ix, struct filelist *l,
                  struct err *err)
{
    const struct image *im = bundle_find(b, FILELIST_IMAGE);
    struct filelist out = {NULL, 0};
    int rc = im ? decode(im, &out, err) : 0;

    if (rc == 0 && out.n > 1)
        qsort(out.v, out.n, sizeof *out.v, by_path);
    for (size_t i = 1; i < out.n && rc == 0; i++)
        if (strcmp(out.v[i - 1].path, out.v[i].path) == 0)
            rc = bad(err, out.v[i].path, "there twice");
    if (rc == 0)
        rc = check_contents(&out, ix, err);
    if (rc == 0)
        *l = out;
    else
        filelist_free(&out);
    return rc;
}

const struct file_entry *keptlist_find(const struct filelist *l, const char *path)
{
    const struct file_entry key = {.path = (char *)(uintptr_t)path};

    return l->n ? bsearch(&key, l->v, l->n, sizeof *l->v, by_path) : NULL;
}

const char *keptlist_role(enum file_role role)
{
    static const char *const names[] = {"?",     "cut",  "copy", "directory", "link", "absent",
                                        "input", "code", "log",  "output",    "left"};

    return names[role <= FILE_LEFT ? role : 0];
}
