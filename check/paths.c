/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "common/criu.pb-c.h"
#include "restore/inputs.h"
#include "restore/keptlist.h"
#include "restore/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { PROGRAM, INPUT, OUTPUT, DIRECTORY, KINDS };

static const char *const names[KINDS] = {"programs", "inputs", "outputs", "directories"};

struct paths {
    struct preflight *p;
    uint32_t *remapped; /* files that come back in another way: deleted ones */
    size_t nremapped;
    struct filelist kept; /* what the restore puts back, cuts and compares */
    enum facts_choice inputs;
    unsigned good[KINDS], again[KINDS], bad[KINDS], other;
};

static const char *name_of(enum kind k)
{
    return names[k];
}

static int fail(struct paths *x, enum kind k, const char *path, const char *why)
{
    x->bad[k]++;
    preflight_add(x->p, name_of(k), PREFLIGHT_FAIL, EVERYWHERE, "%s: %s", path, why);
    return -1;
}

static int check_directory(struct paths *x, const char *path, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode))
        return fail(x, DIRECTORY, path, "is no directory any more");
    return access(path, X_OK) < 0 ? fail(x, DIRECTORY, path, strerror(errno)) : 0;
}

/* What the restore would say itself (restore/inputs.h). */
static int compare(struct paths *x, enum kind k, const struct file_entry *e)
{
    const struct filelist one = {(struct file_entry *)(uintptr_t)e, 1};
    struct err err = {""};
    char note[300];

    if (inputs_compare(&one, x->inputs, note, sizeof note, &err) < 0) {
        x->bad[k]++;
        preflight_add(x->p, name_of(k), PREFLIGHT_FAIL, EVERYWHERE, "%s", err.text);
        return -1;
    }
    if (!*note)
        return 0;
    x->bad[k]++;
    preflight_add(x->p, name_of(k), PREFLIGHT_WARN, EVERYWHERE, "%s", note);
    return -1;
}

/* A file that the restore itself makes or overwrites. */
static int check_put_back(struct paths *x, const struct file_entry *e, const struct stat *st)
{
    if (st && access(e->path, W_OK) < 0)
        return fail(x, OUTPUT, e->path, strerror(errno));
    if (st && (uint64_t)st->st_size == e->size && st->st_mtim.tv_sec == e->mtime_s &&
        st->st_mtim.tv_nsec == e->mtime_ns)
        return 0;
    x->other++;
    preflight_add(x->p, "outputs", PREFLIGHT_GOOD, EVERYWHERE,
                  "%s: %s, is put back with the %" PRIu64 " bytes that it had", e->path,
                  st ? "has been written to" : "is not there", e->size);
    return 0;
}

static int check_output(struct paths *x, const RegFileEntry *r, const struct stat *st)
{
    char why[100];

    if (access(r->name, W_OK) < 0)
        return fail(x, OUTPUT, r->name, strerror(errno));
    if (!r->has_size || (uint64_t)st->st_size == r->size)
        return 0;
    if ((uint64_t)st->st_size < r->size) {
        snprintf(why, sizeof why,
                 "is shorter than it was: %" PRIu64 " bytes of %" PRIu64 " are left",
                 (uint64_t)st->st_size, r->size);
        return fail(x, OUTPUT, r->name, why);
    }
    x->other++;
    preflight_add(x->p, "outputs", PREFLIGHT_GOOD, EVERYWHERE,
                  "%s: is cut back from %" PRIu64 " bytes to %" PRIu64, r->name,
                  (uint64_t)st->st_size, r->size);
    return 0;
}

/* In a checkpoint that does not tell more of it than CRIU does. */
static int check_size(struct paths *x, enum kind k, const RegFileEntry *r, const struct stat *st)
{
    char why[100];

    if (access(r->name, R_OK) < 0)
        return fail(x, k, r->name, strerror(errno));
    if (!r->has_size || !S_ISREG(st->st_mode) || (uint64_t)st->st_size == r->size)
        return 0;
    snprintf(why, sizeof why, "has changed: %" PRIu64 " bytes, it had %" PRIu64,
             (uint64_t)st->st_size, r->size);
    return fail(x, k, r->name, why);
}

static enum kind kind_of(const RegFileEntry *r)
{
    if (r->has_mode && S_ISDIR(r->mode))
        return DIRECTORY;
    if (r->n_build_id > 0)
        return PROGRAM;
    return (r->flags & O_ACCMODE) == O_RDONLY ? INPUT : OUTPUT;
}

static bool remapped(const struct paths *x, uint32_t id)
{
    for (size_t i = 0; i < x->nremapped; i++)
        if (x->remapped[i] == id)
            return true;
    return false;
}

static int check_kind(struct paths *x, enum kind k, const RegFileEntry *r,
                      const struct file_entry *e, const struct stat *st)
{
    if (e && e->role == FILE_COPY)
        return check_put_back(x, e, st);
    if (e && (e->role == FILE_INPUT || e->role == FILE_CODE))
        return compare(x, k, e);
    if (!st)
        return fail(x, k, r->name, "is not there");
    if (k == DIRECTORY)
        return check_directory(x, r->name, st);
    /* What is only appended to stays as it is. */
    if (e && e->role == FILE_LOG)
        return access(r->name, W_OK) < 0 ? fail(x, k, r->name, strerror(errno)) : 0;
    return k == OUTPUT ? check_output(x, r, st) : check_size(x, k, r, st);
}

/* Slurm opens it before the job is restored. */
static void new_output(struct paths *x, const char *path)
{
    x->bad[OUTPUT]++;
    preflight_add(x->p, names[OUTPUT], PREFLIGHT_WARN, EVERYWHERE,
                  "%s: the job's output is not there; it begins anew, without what was in it",
                  path);
}

static void check_file(struct paths *x, const RegFileEntry *r)
{
    enum kind k = kind_of(r);
    const struct file_entry *e = keptlist_find(&x->kept, r->name);
    struct stat st;
    bool there;

    if (r->ext || r->name[0] != '/' || remapped(x, r->id))
        return;
    if (e && (e->role == FILE_INPUT || e->role == FILE_CODE))
        k = e->role == FILE_CODE ? PROGRAM : INPUT;
    there = stat(r->name, &st) == 0;
    if (!there && errno != ENOENT)
        fail(x, k, r->name, strerror(errno));
    else if (!there && e && (filelist_may_be_missing(e) || e->role == FILE_DIR))
        x->again[k]++;
    else if (!there && e && e->role == FILE_OUTPUT)
        new_output(x, r->name);
    else
        x->good[k] += check_kind(x, k, r, e, there ? &st : NULL) == 0;
}

/* Every message of an image to fn; -1: it cannot be read. */
static int each(const struct checkpoint *c, const char *image,
                const ProtobufCMessageDescriptor *type,
                void (*fn)(struct paths *, const ProtobufCMessage *), struct paths *x)
{
    const struct image *im = bundle_find(&c->b, image);
    const uint8_t *msg;
    struct crimg_iter it;
    size_t len;
    int rc;

    if (!im)
        return 0;
    if (crimg_open(&it, &im->parsed, im->data, im->len, NULL) < 0)
        return -1;
    while ((rc = crimg_next(&it, &msg, &len, NULL)) > 0) {
        ProtobufCMessage *m = wire_decode(msg, len, type, NULL);

        if (!m)
            return -1;
        fn(x, m);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    return rc;
}

static void take_remap(struct paths *x, const ProtobufCMessage *m)
{
    uint32_t *more = realloc(x->remapped, (x->nremapped + 1) * sizeof *more);

    if (!more)
        return;
    x->remapped = more;
    more[x->nremapped++] = ((const RemapFilePathEntry *)m)->orig_id;
}

static void take_file(struct paths *x, const ProtobufCMessage *m)
{
    const FileEntry *e = (const FileEntry *)m;

    if (e->reg)
        check_file(x, e->reg);
}

static void sum_up(const struct paths *x, enum kind k)
{
    char again[40] = "";

    if (x->again[k])
        snprintf(again, sizeof again, "; %u will be put back", x->again[k]);
    preflight_add(x->p, name_of(k), PREFLIGHT_GOOD, EVERYWHERE, "%u, as they were%s%s", x->good[k],
                  k == OUTPUT && x->other ? " but for those above" : "", again);
}

void preflight_paths(const struct checkpoint *c, const struct facts *f, struct preflight *p)
{
    struct paths x = {.p = p, .inputs = f->inputs};
    struct err err = {""};

    if (p->by_hand)
        x.inputs = c->m.inputs_warn ? CHOICE_WARN : CHOICE_REFUSE;
    if (keptlist_load(&c->b, &c->ix, &x.kept, &err) < 0)
        preflight_add(p, "inputs", PREFLIGHT_FAIL, EVERYWHERE, "%s", err.text);
    if (each(c, "remap-fpath.img", &remap_file_path_entry__descriptor, take_remap, &x) < 0 ||
        each(c, "files.img", &file_entry__descriptor, take_file, &x) < 0)
        preflight_add(p, "inputs", PREFLIGHT_FAIL, EVERYWHERE, "the list of files cannot be read");
    for (int k = 0; k < KINDS; k++)
        if (x.bad[k] == 0 || x.again[k])
            sum_up(&x, (enum kind)k);
    free(x.remapped);
    filelist_free(&x.kept);
}
