/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/look.h"

#include "cmd/look_impl.h"
#include "restore/keptlist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* CRIU's TaskCoreEntry.task_state */
enum { ALIVE = 1, DEAD = 2, STOPPED = 3 };

struct looker {
    const struct checkpoint *c;
    struct look_table table;
    struct look_memory *memory;
    size_t files, text; /* of all, so far */
    struct err *err;
};

int look_next(struct crimg_iter *it, const struct image *im, const ProtobufCMessageDescriptor *type,
              ProtobufCMessage **msg, struct err *err)
{
    const uint8_t *data;
    size_t len;
    int rc = crimg_next(it, &data, &len, err);

    if (rc > 0) {
        *msg = wire_decode(data, len, type, err);
        rc = *msg ? 1 : -1;
    }
    return rc < 0 ? err_prefix(err, "%s", im->name) : rc;
}

ProtobufCMessage *look_one(const struct bundle *b, const char *prefix, uint64_t id,
                           const ProtobufCMessageDescriptor *type, struct err *err)
{
    const struct image *im = bundle_find_id(b, prefix, id);
    ProtobufCMessage *msg = NULL;
    struct crimg_iter it;

    if (!im) {
        errno = ENOENT;
        err_set(err, "%s%" PRIu64 ".img is missing", prefix, id);
        return NULL;
    }
    if (crimg_open(&it, &im->parsed, im->data, im->len, err) < 0) {
        err_prefix(err, "%s", im->name);
        return NULL;
    }
    if (look_next(&it, im, type, &msg, err) == 0) {
        errno = EBADMSG;
        err_set(err, "%s is empty", im->name);
    }
    return msg;
}

/* A copy of s, counted. */
static char *keep(struct looker *l, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy;

    if (n > LOOK_TEXT_MAX - l->text) {
        errno = EFBIG;
        err_set(l->err, "the names in it are too long");
        return NULL;
    }
    l->text += n;
    copy = strdup(s);
    if (!copy)
        err_sys(l->err, "no memory");
    return copy;
}

static int by_fd(const void *a, const void *b)
{
    const struct look_file *x = a, *y = b;

    return x->fd < y->fd ? -1 : x->fd > y->fd;
}

static int add_file(struct looker *l, struct look_process *p, const FdinfoEntry *d)
{
    const FileEntry *e = look_table_find(&l->table, d->type, d->id);
    struct look_file *f;

    if (++l->files > LOOK_FILES_MAX) {
        errno = EFBIG;
        return err_set(l->err, "more than %u open files", LOOK_FILES_MAX);
    }
    if ((p->nfiles & (p->nfiles - 1)) == 0) { /* room doubles at each power of two */
        struct look_file *more = realloc(p->files, (p->nfiles ? 2 * p->nfiles : 1) * sizeof *more);

        if (!more)
            return err_sys(l->err, "no memory");
        p->files = more;
    }
    f = &p->files[p->nfiles];
    memset(f, 0, sizeof *f);
    f->fd = d->fd;
    if (look_describe(e, d->type, f, l->err) < 0)
        return -1;
    p->nfiles++; /* the text belongs to it now */
    l->text += strlen(f->text) + 1;
    if (l->text <= LOOK_TEXT_MAX)
        return 0;
    errno = EFBIG;
    return err_set(l->err, "the names in it are too long");
}

static int load_files(struct looker *l, struct look_process *p, uint32_t files_id)
{
    const struct image *im = bundle_find_id(&l->c->b, "fdinfo-", files_id);
    ProtobufCMessage *msg = NULL;
    struct crimg_iter it;
    int rc;

    if (!im)
        return 0; /* it has none open */
    if (crimg_open(&it, &im->parsed, im->data, im->len, l->err) < 0)
        return err_prefix(l->err, "%s", im->name);
    while ((rc = look_next(&it, im, &fdinfo_entry__descriptor, &msg, l->err)) > 0) {
        rc = add_file(l, p, (FdinfoEntry *)msg);
        protobuf_c_message_free_unpacked(msg, NULL);
        if (rc < 0)
            break;
    }
    if (p->nfiles > 1)
        qsort(p->files, p->nfiles, sizeof *p->files, by_fd);
    return rc;
}

static int load_cwd(struct looker *l, struct look_process *p)
{
    FsEntry *fs = (FsEntry *)look_one(&l->c->b, "fs-", p->pid, &fs_entry__descriptor, l->err);
    const char *path;
    int rc = 0;

    if (!fs)
        return errno == ENOENT ? 0 : -1;
    path = look_table_path(&l->table, fs->cwd_id);
    if (path) {
        p->cwd = keep(l, path);
        rc = p->cwd ? 0 : -1;
    }
    protobuf_c_message_free_unpacked(&fs->base, NULL);
    return rc;
}

static int load_memory(struct looker *l, struct look_process *p)
{
    MmEntry *mm = (MmEntry *)look_one(&l->c->b, "mm-", p->pid, &mm_entry__descriptor, l->err);
    const char *path;
    size_t len = 0;
    int rc = 0;

    if (!mm)
        return -1;
    path = look_table_path(&l->table, mm->exe_file_id);
    if (path) {
        p->exe = keep(l, path);
        rc = p->exe ? 0 : -1;
    }
    if (mm->mm_arg_end > mm->mm_arg_start) {
        uint64_t n = mm->mm_arg_end - mm->mm_arg_start;

        len = n < LOOK_COMMAND_MAX ? (size_t)n : LOOK_COMMAND_MAX;
    }
    if (rc == 0)
        rc = look_memory_read(l->memory, p->pid, mm->mm_arg_start, len, &p->command, &p->memory,
                              l->err);
    p->command_len = p->command ? len : 0;
    protobuf_c_message_free_unpacked(&mm->base, NULL);
    return rc;
}

/* Its state; then, unless it is a zombie, which has nothing any more, the rest. */
static int load_process(struct looker *l, struct look_process *p)
{
    CoreEntry *core =
        (CoreEntry *)look_one(&l->c->b, "core-", p->pid, &core_entry__descriptor, l->err);
    TaskKobjIdsEntry *ids;
    uint32_t state, files_id;

    if (!core)
        return -1;
    state = core->tc ? core->tc->task_state : ALIVE;
    protobuf_c_message_free_unpacked(&core->base, NULL);
    p->state = state == DEAD ? "zombie" : state == STOPPED ? "stopped" : "running";
    if (state == DEAD)
        return 0;
    ids = (TaskKobjIdsEntry *)look_one(&l->c->b, "ids-", p->pid, &task_kobj_ids_entry__descriptor,
                                       l->err);
    if (!ids)
        return -1;
    files_id = ids->files_id;
    protobuf_c_message_free_unpacked(&ids->base, NULL);
    if (load_files(l, p, files_id) < 0 || load_cwd(l, p) < 0)
        return -1;
    return load_memory(l, p);
}

int look_load(const struct checkpoint *c, struct look *look, struct err *err)
{
    struct look out = {calloc(c->m.nprocesses, sizeof *out.processes), c->m.nprocesses, {NULL, 0}};
    struct looker l = {.c = c, .err = err};
    int rc;

    if (!out.processes)
        return err_sys(err, "no memory");
    l.memory = look_memory_create(c, err);
    rc = l.memory ? look_table_load(&c->b, &l.table, err) : -1;
    for (size_t i = 0; i < out.n && rc == 0; i++) {
        out.processes[i].pid = c->m.processes[i].pid;
        rc = load_process(&l, &out.processes[i]);
    }
    look_table_free(&l.table);
    look_memory_destroy(l.memory);
    if (rc == 0)
        rc = keptlist_load(&c->b, &c->ix, &out.kept, err);
    if (rc == 0)
        *look = out;
    else
        look_free(&out);
    return rc;
}

void look_free(struct look *look)
{
    int saved = errno;

    for (size_t i = 0; i < look->n; i++) {
        struct look_process *p = &look->processes[i];

        for (size_t k = 0; k < p->nfiles; k++)
            free(p->files[k].text);
        free(p->files);
        free(p->exe);
        free(p->cwd);
        free(p->command);
    }
    filelist_free(&look->kept);
    free(look->processes);
    look->processes = NULL;
    look->n = 0;
    errno = saved;
}
