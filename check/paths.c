/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/buildid.h"
#include "check/impl.h"
#include "common/criu.pb-c.h"
#include "common/io.h"
#include "restore/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
    unsigned good[KINDS], bad[KINDS], longer;
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

/* CRIU wants the size, and of a program the build id. */
static int check_program(struct paths *x, const RegFileEntry *r, const struct stat *st)
{
    uint8_t id[BUILDID_MAX + 4] = {0};
    size_t len;
    int fd;

    if (r->has_size && (uint64_t)st->st_size != r->size)
        return fail(x, PROGRAM, r->name, "is not the one that was running: another size");
    fd = open(r->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(x, PROGRAM, r->name, strerror(errno));
    len = buildid_read(fd, id);
    io_close(&fd);
    /* Recorded in words of four bytes. */
    if (len > 0 && ((len + 3) / 4 != r->n_build_id ||
                    memcmp(id, r->build_id, r->n_build_id * sizeof *r->build_id) != 0))
        return fail(x, PROGRAM, r->name, "is not the one that was running: another build id");
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
    x->longer++;
    preflight_add(x->p, "outputs", PREFLIGHT_GOOD, EVERYWHERE,
                  "%s: is cut back from %" PRIu64 " bytes to %" PRIu64, r->name,
                  (uint64_t)st->st_size, r->size);
    return 0;
}

static int check_input(struct paths *x, const RegFileEntry *r, const struct stat *st)
{
    char why[100];

    if (access(r->name, R_OK) < 0)
        return fail(x, INPUT, r->name, strerror(errno));
    if (!r->has_size || !S_ISREG(st->st_mode) || (uint64_t)st->st_size == r->size)
        return 0;
    snprintf(why, sizeof why, "has changed: %" PRIu64 " bytes, it had %" PRIu64,
             (uint64_t)st->st_size, r->size);
    return fail(x, INPUT, r->name, why);
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

static void check_file(struct paths *x, const RegFileEntry *r)
{
    enum kind k = kind_of(r);
    struct stat st;
    int rc;

    if (r->ext || r->name[0] != '/' || remapped(x, r->id))
        return;
    if (stat(r->name, &st) < 0)
        rc = fail(x, k, r->name, errno == ENOENT ? "is not there" : strerror(errno));
    else if (k == DIRECTORY)
        rc = check_directory(x, r->name, &st);
    else if (k == PROGRAM)
        rc = check_program(x, r, &st);
    else if (k == OUTPUT)
        rc = check_output(x, r, &st);
    else
        rc = check_input(x, r, &st);
    x->good[k] += rc == 0;
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

void preflight_paths(const struct checkpoint *c, struct preflight *p)
{
    struct paths x = {.p = p};

    if (each(c, "remap-fpath.img", &remap_file_path_entry__descriptor, take_remap, &x) < 0 ||
        each(c, "files.img", &file_entry__descriptor, take_file, &x) < 0)
        preflight_add(p, "inputs", PREFLIGHT_FAIL, EVERYWHERE, "the list of files cannot be read");
    for (int k = 0; k < KINDS; k++)
        if (x.bad[k] == 0)
            preflight_add(p, name_of((enum kind)k), PREFLIGHT_GOOD, EVERYWHERE,
                          "%u, as they were%s", x.good[k],
                          k == OUTPUT && x.longer ? " but for those above" : "");
    free(x.remapped);
}
