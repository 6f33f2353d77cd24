/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/filescan.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* CRIU's VmaEntry.status */
#define FILE_PRIVATE (1u << 6)
#define FILE_SHARED (1u << 7)
#define MEMFD (1u << 14)

/* files.img, decoded, by id */
struct table {
    FileEntry **e;
    size_t n;
};

struct work {
    const struct images *im;
    struct table *table;
    struct scan_file *by_entry; /* one for each of the table's */
    struct err *err;
};

/* Called with each message of an image; an image that is not there has none. */
typedef int each_fn(struct work *w, const uint8_t *msg, size_t len, void *arg);

static int each(struct work *w, const char *name, each_fn *fn, void *arg)
{
    struct crimg_name parsed;
    struct crimg_iter it;
    const uint8_t *data, *msg;
    size_t len;
    int rc;

    data = images_find(w->im, name, &len);
    if (!data)
        return 0;
    if (!crimg_parse_name(name, &parsed) || crimg_open(&it, &parsed, data, len, w->err) < 0)
        return err_prefix(w->err, "%s", name);
    while ((rc = crimg_next(&it, &msg, &len, w->err)) == 1)
        if (fn(w, msg, len, arg) < 0)
            return err_prefix(w->err, "%s", name);
    return rc;
}

static int unreadable(struct work *w)
{
    errno = EBADMSG;
    return err_set(w->err, "a message cannot be read");
}

static int take_file(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    FileEntry *e = file_entry__unpack(NULL, len, msg), **more;
    struct table *t = w->table;

    (void)arg;
    if (!e)
        return unreadable(w);
    if (e->type != CRIMG_FD_REG || !e->reg || !e->reg->has_mode ||
        !filelist_path_ok(e->reg->name) || !(S_ISREG(e->reg->mode) || S_ISDIR(e->reg->mode))) {
        file_entry__free_unpacked(e, NULL);
        return 0;
    }
    if ((t->n & (t->n - 1)) == 0) {
        more = realloc(t->e, (t->n ? 2 * t->n : 1) * sizeof(FileEntry *));
        if (!more) {
            file_entry__free_unpacked(e, NULL);
            return err_sys(w->err, "list of files");
        }
        t->e = more;
    }
    t->e[t->n++] = e;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static struct scan_file *of_id(const struct work *w, uint32_t id)
{
    FileEntry key = FILE_ENTRY__INIT, *at = &key, **found;

    key.id = id;
    found = w->table->n ? bsearch(&at, w->table->e, w->table->n, sizeof(FileEntry *), by_id) : NULL;
    return found ? &w->by_entry[found - w->table->e] : NULL;
}

static int take_remap(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    RemapFilePathEntry *e = remap_file_path_entry__unpack(NULL, len, msg);
    struct scan_file *f;

    (void)arg;
    if (!e)
        return unreadable(w);
    f = of_id(w, e->orig_id);
    if (f)
        f->path = NULL; /* it is not what lies under that path */
    remap_file_path_entry__free_unpacked(e, NULL);
    return 0;
}

static int take_mm(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    MmEntry *mm = mm_entry__unpack(NULL, len, msg);
    struct scan_file *f;

    (void)arg;
    if (!mm)
        return unreadable(w);
    f = of_id(w, mm->exe_file_id);
    if (f)
        f->code = true;
    for (size_t i = 0; i < mm->n_vmas; i++) {
        const VmaEntry *v = mm->vmas[i];

        if (!(v->status & (FILE_PRIVATE | FILE_SHARED)) || (v->status & MEMFD) ||
            v->shmid > UINT32_MAX || !(f = of_id(w, (uint32_t)v->shmid)))
            continue;
        if (v->prot & PROT_EXEC)
            f->code = true;
        /* It may be made writable later, if the file was opened for that. */
        if ((v->status & FILE_SHARED) &&
            ((v->prot & PROT_WRITE) || (v->has_fdflags && (v->fdflags & O_ACCMODE) == O_RDWR)))
            f->mapped_write = true;
    }
    mm_entry__free_unpacked(mm, NULL);
    return 0;
}

static int take_output(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    FdinfoEntry *e = fdinfo_entry__unpack(NULL, len, msg);
    struct scan_file *f;

    (void)arg;
    if (!e)
        return unreadable(w);
    f = e->type == CRIMG_FD_REG && (e->fd == 1 || e->fd == 2) ? of_id(w, e->id) : NULL;
    if (f)
        f->output = true;
    fdinfo_entry__free_unpacked(e, NULL);
    return 0;
}

static int take_ids(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    TaskKobjIdsEntry *e = task_kobj_ids_entry__unpack(NULL, len, msg);
    char name[CRIMG_NAME_MAX + 1];

    (void)arg;
    if (!e)
        return unreadable(w);
    snprintf(name, sizeof name, "fdinfo-%u.img", e->files_id);
    task_kobj_ids_entry__free_unpacked(e, NULL);
    return each(w, name, take_output, NULL);
}

static int take_cwd(struct work *w, const uint8_t *msg, size_t len, void *arg)
{
    FsEntry *e = fs_entry__unpack(NULL, len, msg);
    struct filescan *s = arg;

    if (!e)
        return unreadable(w);
    for (size_t i = 0; i < w->table->n && !s->cwd; i++)
        if (w->table->e[i]->id == e->cwd_id)
            s->cwd = strdup(w->table->e[i]->reg->name);
    fs_entry__free_unpacked(e, NULL);
    return 0;
}

static void describe(const FileEntry *e, struct scan_file *f)
{
    const RegFileEntry *r = e->reg;
    bool wr = (r->flags & O_ACCMODE) == O_WRONLY, rw = (r->flags & O_ACCMODE) == O_RDWR;

    memset(f, 0, sizeof *f);
    if (!S_ISREG(r->mode))
        return;
    f->path = r->name;
    f->size = r->size;
    f->has_size = r->has_size;
    f->only_write = wr;
    f->read_write = rw;
    f->append = (wr || rw) && (r->flags & O_APPEND);
    f->inside = (wr || rw) && r->has_size && r->pos != r->size;
    f->build_id_len = r->n_build_id * 4;
    if (f->build_id_len <= sizeof f->build_id)
        memcpy(f->build_id, r->build_id, f->build_id_len);
    else
        f->build_id_len = 0;
}

static int by_path(const void *a, const void *b)
{
    const struct scan_file *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static void join(struct scan_file *to, const struct scan_file *f)
{
    if (!to->has_size) {
        to->size = f->size;
        to->has_size = f->has_size;
    }
    to->only_write = to->only_write || f->only_write;
    to->read_write = to->read_write || f->read_write;
    to->append = to->append || f->append;
    to->inside = to->inside || f->inside;
    to->mapped_write = to->mapped_write || f->mapped_write;
    to->code = to->code || f->code;
    to->output = to->output || f->output;
    if (to->build_id_len == 0) {
        to->build_id_len = f->build_id_len;
        memcpy(to->build_id, f->build_id, sizeof to->build_id);
    }
}

/* One for each path. */
static size_t merge(struct scan_file *v, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (v[i].path)
            v[kept++] = v[i];
    n = kept;
    if (n > 1)
        qsort(v, n, sizeof *v, by_path);
    kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept > 0 && strcmp(v[kept - 1].path, v[i].path) == 0)
            join(&v[kept - 1], &v[i]);
        else
            v[kept++] = v[i];
    return kept;
}

static int take_pids(struct work *w, struct filescan *s)
{
    struct manifest m = {.cluster = ""};
    uint32_t *states = NULL;

    if (images_processes(w->im, &m.processes, &m.nprocesses, &states, w->err) < 0)
        return -1;
    s->pids = calloc(m.nprocesses, sizeof *s->pids);
    for (size_t i = 0; s->pids && i < m.nprocesses; i++)
        if (states[i] != IMAGES_DEAD)
            s->pids[s->npids++] = m.processes[i].pid;
    free(states);
    manifest_free(&m);
    return s->pids ? 0 : err_sys(w->err, "list of files");
}

static int scan(struct work *w, struct filescan *s)
{
    char name[CRIMG_NAME_MAX + 1];

    if (take_pids(w, s) < 0 || each(w, "files.img", take_file, NULL) < 0)
        return -1;
    if (w->table->n > 1)
        qsort(w->table->e, w->table->n, sizeof(FileEntry *), by_id);
    w->by_entry = calloc(w->table->n + 1, sizeof *w->by_entry);
    if (!w->by_entry)
        return err_sys(w->err, "list of files");
    s->v = w->by_entry;
    for (size_t i = 0; i < w->table->n; i++)
        describe(w->table->e[i], &w->by_entry[i]);
    for (size_t i = 0; i < s->npids; i++) {
        snprintf(name, sizeof name, "mm-%u.img", s->pids[i]);
        if (each(w, name, take_mm, NULL) < 0)
            return -1;
    }
    snprintf(name, sizeof name, "ids-%u.img", s->npids ? s->pids[0] : 0);
    if (each(w, name, take_ids, NULL) < 0)
        return -1;
    snprintf(name, sizeof name, "fs-%u.img", s->npids ? s->pids[0] : 0);
    if (each(w, name, take_cwd, s) < 0 || each(w, "remap-fpath.img", take_remap, NULL) < 0)
        return -1;
    s->n = merge(s->v, w->table->n);
    return 0;
}

int filescan_run(const struct images *im, struct filescan *s, struct err *err)
{
    struct work w = {.im = im, .table = calloc(1, sizeof *w.table), .err = err};

    memset(s, 0, sizeof *s);
    if (!w.table)
        return err_sys(err, "list of files");
    s->own = w.table;
    if (scan(&w, s) == 0)
        return 0;
    filescan_free(s);
    return -1;
}

void filescan_free(struct filescan *s)
{
    struct table *t = s->own;
    int saved = errno;

    for (size_t i = 0; t && i < t->n; i++)
        file_entry__free_unpacked(t->e[i], NULL);
    if (t)
        free(t->e);
    free(t);
    free(s->v);
    free(s->cwd);
    free(s->pids);
    memset(s, 0, sizeof *s);
    errno = saved;
}

const struct scan_file *filescan_find(const struct filescan *s, const char *path)
{
    const struct scan_file key = {.path = path};

    return s->n ? bsearch(&key, s->v, s->n, sizeof *s->v, by_path) : NULL;
}

enum file_role filescan_role(const struct scan_file *f)
{
    if (f->output)
        return FILE_OUTPUT;
    if (f->mapped_write)
        return FILE_COPY;
    if (!f->only_write && !f->read_write)
        return f->code ? FILE_CODE : FILE_INPUT;
    /* Others may append to it, too. */
    if (f->append)
        return FILE_LOG;
    return f->read_write || f->inside ? FILE_COPY : FILE_CUT;
}
