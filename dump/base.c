/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/base.h"

#include "common/io.h"
#include "common/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_MAX (256u << 20)
#define FRAMES_MAX (1u << 19) /* of 512 GiB; more would take too much of the job's memory */

/* One of the files that frames are in. */
struct file {
    struct gendir_id id; /* whose pages.zst it was */
    uint64_t bytes;
    bool linked;
};

struct base {
    uint32_t depth;
    struct file files[1 + MANIFEST_LINKS_MAX]; /* the base's links, the oldest first, and its own */
    size_t nfiles;
    struct base_frame *frames;
    size_t n, room;
    uint32_t *by_digest, *by_mark; /* hash tables: number of a frame + 1; 0: free */
    size_t mask;
};

/* ---- which ---- */

static int choose(int taskfd, const struct facts *f, struct gendir_id *id, struct err *err)
{
    struct gendir_id *all = NULL;
    int n = gendir_list(taskfd, &all, err);

    if (n >= 0 && (uint32_t)n >= f->keep)
        *id = all[f->keep - 1];
    free(all);
    if (n < 0)
        return -1;
    errno = ENOENT;
    return (uint32_t)n >= f->keep ? 0 : err_set(err, "no generation goes yet");
}

static char *slurp(int dirfd, const char *name, size_t max, size_t *len, struct err *err)
{
    int fd = gendir_open_file(dirfd, name, O_RDONLY, 0, err);
    char *text = fd < 0 ? NULL : io_slurp(fd, max, len, err);

    io_close(&fd);
    return text;
}

static int check_seal(int dirfd, const char *text, size_t len, const struct facts *f,
                      struct err *err)
{
    size_t n;
    char *cred = slurp(dirfd, MANIFEST_SEAL, SEAL_MAX_BYTES, &n, err), hex[65];
    int rc;

    if (!cred)
        return -1;
    cred[strcspn(cred, "\n")] = '\0';
    seal_digest(text, len, hex);
    rc = seal_check(cred, hex, f->uid, f->munge_socket, err);
    free(cred);
    return rc;
}

/* Sealed, of this job, and made as the coming one is to be made. */
static int load_manifest(int dirfd, struct gendir_id id, const struct facts *f, struct manifest *m,
                         struct err *err)
{
    size_t len;
    char *text = slurp(dirfd, MANIFEST_FILE, MANIFEST_MAX_BYTES, &len, err);
    int rc = -1;

    if (text && check_seal(dirfd, text, len, f, err) == 0)
        rc = manifest_decode(text, len, m, err);
    free(text);
    if (rc < 0)
        return -1;
    errno = EBADMSG;
    if (manifest_match(m, f, err) < 0)
        rc = -1;
    else if (m->epoch != id.epoch || m->sequence != id.sequence)
        rc = err_set(err, "the manifest of another generation");
    else if (!m->incremental)
        rc = err_set(err, "it was made without incremental");
    else if (manifest_compress(m) != f->compress)
        rc = err_set(err, "it is compressed in another way");
    else if (m->depth + 1 >= f->incremental)
        rc = err_set(err, "one that is written whole is due");
    if (rc < 0)
        manifest_free(m);
    return rc;
}

/* ---- links ---- */

/* Of the link itself: the name that was linked may be another's by now. */
static bool is_whole(int genfd, const char *name, uint64_t bytes)
{
    int fd = gendir_open_shared(genfd, name, NULL);
    struct stat st;
    bool whole = fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == bytes;

    io_close(&fd);
    return whole;
}

/* Where that cannot be (no hard links on this filesystem, as many as there may be), it is done without. */
static bool link_file(int basefd, const char *from, int genfd, const struct file *f)
{
    char name[48];

    gendir_format_link(f->id, name);
    if (linkat(basefd, from, genfd, name, 0) < 0)
        return false;
    if (is_whole(genfd, name, f->bytes))
        return true;
    (void)unlinkat(genfd, name, 0);
    return false;
}

static int link_files(struct base *b, const struct manifest *m, int basefd, int genfd,
                      struct err *err)
{
    bool any = false;

    for (size_t i = 0; i < m->nlinks; i++) {
        const struct manifest_link *l = &m->links[i];
        struct file *f = &b->files[b->nfiles++];
        char from[48];

        *f = (struct file){.id = l->generation, .bytes = l->bytes};
        gendir_format_link(f->id, from);
        f->linked = l->used >= l->bytes / 2 && link_file(basefd, from, genfd, f);
        any = any || f->linked;
    }
    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++) {
        struct file *f = &b->files[b->nfiles];

        if (strcmp(m->parts[i].name, MANIFEST_PAGES) != 0)
            continue;
        b->nfiles++;
        *f = (struct file){.id = {m->epoch, m->sequence}, .bytes = m->parts[i].bytes};
        f->linked = f->bytes > 0 && link_file(basefd, MANIFEST_PAGES, genfd, f);
        any = any || f->linked;
    }
    errno = ENOTSUP;
    return any ? 0 : err_set(err, "none of its files can be linked");
}

static void unlink_files(const struct base *b, int genfd)
{
    for (size_t i = 0; i < b->nfiles; i++) {
        char name[48];

        gendir_format_link(b->files[i].id, name);
        if (b->files[i].linked)
            (void)unlinkat(genfd, name, 0);
    }
}

/* ---- frames ---- */

/* In which file a line's frame is, if it can be had. */
static const struct file *find_file(const struct base *b, struct gendir_id from, uint32_t *number)
{
    for (size_t i = 0; i < b->nfiles; i++)
        if (from.sequence ? gendir_compare(b->files[i].id, from) == 0 : i + 1 == b->nfiles) {
            *number = (uint32_t)i;
            return b->files[i].linked ? &b->files[i] : NULL;
        }
    return NULL;
}

static size_t digest_hash(const uint8_t sha256[32])
{
    size_t h;

    memcpy(&h, sha256, sizeof h);
    return h;
}

static bool same_digest(const struct base_frame *f, const uint8_t raw_sha256[32], uint32_t raw)
{
    return f->line.raw == raw && memcmp(f->line.raw_sha256, raw_sha256, 32) == 0;
}

/* Of two with the same it is known that there are several: of all pages of zeros no more are needed. */
static void enter_mark(struct base *b, uint64_t mark, uint32_t number)
{
    size_t i = (size_t)mark & b->mask;
    unsigned same = 0;

    for (; mark && b->by_mark[i]; i = (i + 1) & b->mask)
        if (b->frames[b->by_mark[i] - 1].line.mark == mark && ++same == 2)
            return;
    if (mark)
        b->by_mark[i] = number + 1;
}

static void enter(struct base *b, uint32_t number)
{
    const struct frameline *l = &b->frames[number].line;
    size_t i = digest_hash(l->raw_sha256) & b->mask;

    while (b->by_digest[i] && !same_digest(&b->frames[b->by_digest[i] - 1], l->raw_sha256, l->raw))
        i = (i + 1) & b->mask;
    if (!b->by_digest[i])
        b->by_digest[i] = number + 1;
    enter_mark(b, l->mark, number);
}

static int load_frames(struct base *b, const char *text, size_t count, bool compressed,
                       struct err *err)
{
    const char *p = text;
    size_t room = 64;

    errno = EFBIG;
    if (count > FRAMES_MAX)
        return err_set(err, "its index has more than %u frames", FRAMES_MAX);
    while (room < 2 * count)
        room *= 2;
    b->mask = room - 1;
    b->room = count + 1;
    b->frames = calloc(b->room, sizeof *b->frames);
    b->by_digest = calloc(room, sizeof *b->by_digest);
    b->by_mark = calloc(room, sizeof *b->by_mark);
    if (!b->frames || !b->by_digest || !b->by_mark)
        return err_sys(err, "frames");
    for (size_t i = 0; i < count; i++) {
        struct base_frame *f = &b->frames[b->n];
        const struct file *file;

        errno = EBADMSG;
        if (!frameline_parse(&p, compressed, true, &f->line))
            return err_set(err, "line %zu of its index is malformed", i + 1);
        file = find_file(b, f->line.from, &f->file);
        if (!file || f->line.at > file->bytes || f->line.stored > file->bytes - f->line.at)
            continue;
        f->line.from = file->id;
        enter(b, (uint32_t)b->n++);
    }
    return 0;
}

static int load_index(struct base *b, int basefd, const struct manifest *m, struct err *err)
{
    size_t len, count = 0;
    char *text = slurp(basefd, MANIFEST_INDEX, INDEX_MAX, &len, err), hex[65];
    int rc = -1;

    if (!text)
        return -1;
    seal_digest(text, len, hex);
    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++)
        if (strcmp(m->parts[i].name, MANIFEST_INDEX) == 0 && strcmp(m->parts[i].sha256, hex) == 0)
            rc = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    errno = EBADMSG;
    if (rc < 0 || strlen(text) != len)
        rc = err_set(err, "its index is damaged");
    else
        rc = load_frames(b, text, count, manifest_compress(m) != COMPRESS_NONE, err);
    free(text);
    return rc;
}

struct base *base_open(int taskfd, int genfd, const struct facts *f, struct err *why)
{
    struct base *b = NULL;
    struct gendir_id id;
    struct manifest m;
    char name[40];
    int basefd, rc;

    if (choose(taskfd, f, &id, why) < 0)
        return NULL;
    gendir_format_name(id, false, name);
    basefd = gendir_open_dir(taskfd, name, why);
    if (basefd < 0)
        return NULL;
    if (load_manifest(basefd, id, f, &m, why) < 0) {
        io_close(&basefd);
        return NULL;
    }
    b = calloc(1, sizeof *b);
    if (b) {
        b->depth = m.depth;
        rc = link_files(b, &m, basefd, genfd, why);
        if (rc == 0)
            rc = load_index(b, basefd, &m, why);
        if (rc < 0) {
            unlink_files(b, genfd);
            base_close(b);
            b = NULL;
        }
    }
    manifest_free(&m);
    io_close(&basefd);
    return b;
}

void base_close(struct base *b)
{
    int saved = errno;

    if (!b)
        return;
    free(b->frames);
    free(b->by_digest);
    free(b->by_mark);
    free(b);
    errno = saved;
}

uint64_t base_memory(const struct base *b)
{
    return b ? b->room * sizeof *b->frames + 2 * (b->mask + 1) * sizeof *b->by_digest : 0;
}

const struct base_frame *base_take(struct base *b, const uint8_t raw_sha256[32], uint32_t raw)
{
    size_t i = digest_hash(raw_sha256) & b->mask;

    for (; b->by_digest[i]; i = (i + 1) & b->mask) {
        struct base_frame *f = &b->frames[b->by_digest[i] - 1];

        if (same_digest(f, raw_sha256, raw)) {
            f->taken = true;
            return f;
        }
    }
    return NULL;
}

uint32_t base_begins(const struct base *b, uint64_t mark, bool *alone)
{
    uint32_t raw = 0;

    *alone = true;
    for (size_t i = (size_t)mark & b->mask; mark && *alone && b->by_mark[i];
         i = (i + 1) & b->mask) {
        const struct frameline *l = &b->frames[b->by_mark[i] - 1].line;

        *alone = l->mark != mark || raw == 0;
        if (l->mark == mark && *alone)
            raw = l->raw;
    }
    return raw;
}

int base_finish(const struct base *b, int genfd, struct manifest *m, struct err *err)
{
    uint64_t used[1 + MANIFEST_LINKS_MAX] = {0};

    m->incremental = true;
    m->nlinks = 0;
    m->depth = 0;
    if (!b)
        return 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->frames[i].taken)
            used[b->frames[i].file] += b->frames[i].line.stored;
    for (size_t i = 0; i < b->nfiles; i++) {
        const struct file *f = &b->files[i];
        char name[48];

        gendir_format_link(f->id, name);
        /* More than there is only where the base's frames overlap, which its owner must have forged. */
        if (used[i] > f->bytes)
            used[i] = f->bytes;
        if (used[i] > 0 && m->nlinks < MANIFEST_LINKS_MAX)
            m->links[m->nlinks++] = (struct manifest_link){f->id, f->bytes, used[i]};
        else if (f->linked && unlinkat(genfd, name, 0) < 0)
            return err_sys(err, "cannot remove %s", name);
    }
    m->depth = m->nlinks ? b->depth + 1 : 0;
    return 0;
}
