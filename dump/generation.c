/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/generation.h"

#include "common/io.h"
#include "common/placement.h"
#include "common/seal.h"
#include "common/trust.h"
#include "dump/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

void generation_init(struct generation *g)
{
    memset(g, 0, sizeof *g);
    g->taskfd = g->dirfd = g->pagesfd = g->directfd = -1;
}

/* A munged that does not answer is better found before the job is stopped than after. */
static int check_seal(const struct facts *f, struct err *err)
{
    char hex[65], *cred;

    seal_digest("", 0, hex);
    cred = seal_make(hex, f->uid, f->munge_socket, err);
    if (!cred)
        return -1;
    free(cred);
    return 0;
}

int generation_begin(struct generation *g, const struct facts *f, uint64_t memory, bool last,
                     struct err *err)
{
    /* Never made here: what has vanished may be a filesystem that is not mounted. */
    g->taskfd = gendir_open_task(f, false, err);
    if (g->taskfd < 0 || room_check(g->taskfd, f, memory, last, &g->reserve, err) < 0 ||
        check_seal(f, err) < 0)
        return -1;
    g->dirfd = gendir_begin(g->taskfd, f->epoch, &g->id, err);
    if (g->dirfd < 0)
        return err_dir(err, f->dir);
    g->begun = true;
    gendir_format_name(g->id, false, g->name);
    g->pagesfd = gendir_open_file(g->dirfd, MANIFEST_PAGES, O_WRONLY | O_CREAT, 0600, err);
    if (g->pagesfd < 0)
        return err_dir(err, f->dir);
    g->directfd = gendir_open_file(g->dirfd, MANIFEST_PAGES, O_WRONLY | O_DIRECT, 0, NULL);
    return 0;
}

/* NFS tells of a full disk or quota only here or at close. */
static int finish_file(int *fd, const char *name, struct err *err)
{
    int rc = fsync(*fd);

    if (rc < 0)
        err_sys(err, "fsync %s", name);
    /* Nobody reads it soon, and in the job's memory group its own data should stay. */
    else if (posix_fadvise(*fd, 0, 0, POSIX_FADV_DONTNEED), (rc = close(*fd)) < 0)
        err_sys(err, "close %s", name);
    else
        *fd = -1;
    if (rc < 0)
        io_close(fd);
    return rc;
}

static int write_file(struct generation *g, const char *name, const void *data, size_t len,
                      struct err *err)
{
    int fd = gendir_open_file(g->dirfd, name, O_WRONLY | O_CREAT, 0600, err);

    if (fd < 0)
        return -1;
    if (io_write_full(fd, data, len) < 0) {
        err_sys(err, "cannot write %s", name);
        io_close(&fd);
        return -1;
    }
    return finish_file(&fd, name, err);
}

static int write_images(struct generation *g, const struct facts *f, const struct images *images,
                        struct manifest_part *part, struct err *err)
{
    int level = f->compress == COMPRESS_ZSTD ? f->compress_level : 1;
    int fd = gendir_open_file(g->dirfd, MANIFEST_IMAGES, O_WRONLY | O_CREAT, 0600, err);

    if (fd < 0)
        return -1;
    snprintf(part->name, sizeof part->name, "%s", MANIFEST_IMAGES);
    if (images_write(images, fd, level, &part->bytes, part->sha256, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return finish_file(&fd, MANIFEST_IMAGES, err);
}

/* The digest of pages.zst is that of the index, which has the digest of every frame in it: a second pass over
 * the data would tell no more. */
static int write_index(struct generation *g, const struct pack *pack, struct manifest_part *pages,
                       struct manifest_part *index, struct err *err)
{
    struct pack_sums sums;
    const char *text;
    size_t len;

    text = pack_index(pack, &len);
    pack_sums(pack, &sums);
    snprintf(pages->name, sizeof pages->name, "%s", MANIFEST_PAGES);
    snprintf(index->name, sizeof index->name, "%s", MANIFEST_INDEX);
    pages->bytes = sums.stored_bytes;
    index->bytes = len;
    seal_digest(text, len, index->sha256);
    memcpy(pages->sha256, index->sha256, sizeof pages->sha256);
    if (write_file(g, MANIFEST_INDEX, text, len, err) < 0)
        return -1;
    return finish_file(&g->pagesfd, MANIFEST_PAGES, err);
}

/* What the shepherd has put beside the generations becomes part of this one, unread.  It is worth no failure: without
 * it a restored job runs unbound. */
static void take_placement(struct generation *g, struct manifest_part *part)
{
    size_t len = 0;
    char *text;
    int fd;

    if (renameat(g->taskfd, PLACEMENT_NEXT, g->dirfd, MANIFEST_PLACEMENT) < 0)
        return;
    fd = gendir_open_file(g->dirfd, MANIFEST_PLACEMENT, O_RDONLY, 0, NULL);
    text = fd < 0 ? NULL : io_slurp(fd, PLACEMENT_MAX_BYTES, &len, NULL);
    if (text && len > 0 && fsync(fd) == 0) {
        snprintf(part->name, sizeof part->name, "%s", MANIFEST_PLACEMENT);
        part->bytes = len;
        seal_digest(text, len, part->sha256);
    } else {
        (void)unlinkat(g->dirfd, MANIFEST_PLACEMENT, 0);
    }
    free(text);
    io_close(&fd);
}

static void describe(struct manifest *m, const struct generation *g, const struct facts *f,
                     const struct generation_info *info)
{
    struct utsname u;
    struct tm tm;
    time_t now = time(NULL);

    snprintf(m->cluster, sizeof m->cluster, "%s", f->cluster);
    snprintf(m->task, sizeof m->task, "%s", f->task);
    snprintf(m->nonce, sizeof m->nonce, "%s", f->nonce);
    snprintf(m->node, sizeof m->node, "%s", f->node);
    m->job = f->job;
    m->uid = f->uid;
    m->epoch = g->id.epoch;
    m->sequence = g->id.sequence;
    snprintf(m->reason, sizeof m->reason, "%s", info->reason);
    snprintf(m->criu, sizeof m->criu, "%s", info->criu_version);
    snprintf(m->snapshot, sizeof m->snapshot, "%s", info->snapshot);
    m->suspended = info->suspended;
    snprintf(m->isolation, sizeof m->isolation, "%s", trust_isolation(f));
    snprintf(m->compress, sizeof m->compress, "%s", facts_compress_name(f->compress));
    if (gmtime_r(&now, &tm))
        strftime(m->created, sizeof m->created, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (uname(&u) == 0) {
        snprintf(m->kernel, sizeof m->kernel, "%.127s", u.release);
        snprintf(m->machine, sizeof m->machine, "%.31s", u.machine);
    }
    cpu_features(NULL, m->cpu);
    m->inputs_warn = f->inputs == CHOICE_WARN;
    m->pause_us = info->pause_us;
    m->freeze_us = info->freeze_us;
    m->total_ms = info->total_ms;
    m->nprocesses = info->nprocesses;
    m->processes = (struct manifest_process *)(uintptr_t)info->processes;
}

/* manifest.json and the seal over it */
static int write_manifest(struct generation *g, const struct facts *f, const struct manifest *m,
                          uint64_t *bytes, struct err *err)
{
    char *text = manifest_encode(m, err), *cred = NULL, hex[65];
    int rc = -1;

    if (!text)
        return -1;
    seal_digest(text, strlen(text), hex);
    cred = seal_make(hex, f->uid, f->munge_socket, err);
    if (cred && write_file(g, MANIFEST_FILE, text, strlen(text), err) == 0 &&
        write_file(g, MANIFEST_SEAL, cred, strlen(cred), err) == 0) {
        *bytes = strlen(text) + strlen(cred);
        rc = 0;
    }
    free(text);
    free(cred);
    return rc;
}

int generation_write(struct generation *g, const struct facts *f, const struct images *images,
                     const struct pack *pack, const struct generation_info *info, uint64_t *raw,
                     uint64_t *stored, struct err *err)
{
    struct manifest m = {.cluster = ""};
    struct pack_sums sums;
    uint64_t bytes = 0;

    describe(&m, g, f, info);
    if (write_images(g, f, images, &m.parts[0], err) < 0 ||
        write_index(g, pack, &m.parts[1], &m.parts[2], err) < 0)
        return -1;
    if (info->incremental && base_finish(info->base, g->dirfd, &m, err) < 0)
        return -1;
    pack_sums(pack, &sums);
    m.raw_bytes = sums.raw_bytes + images_bytes(images);
    for (int i = 0; i < 3; i++)
        m.stored_bytes += m.parts[i].bytes;
    for (size_t i = 0; i < m.nlinks; i++)
        m.stored_bytes += m.links[i].used;
    take_placement(g, &m.placement);
    if (f->max_size && m.stored_bytes > f->max_size) {
        errno = EFBIG;
        return err_set(err, "the checkpoint is larger than the site's MaxSize");
    }
    if (write_manifest(g, f, &m, &bytes, err) < 0)
        return -1;
    *raw = m.raw_bytes;
    *stored = m.stored_bytes + bytes;
    return 0;
}

int generation_commit(struct generation *g, struct err *err)
{
    if (gendir_commit(g->taskfd, g->dirfd, g->id, err) < 0)
        return -1;
    g->begun = false;
    return 0;
}

int generation_prune(const struct generation *g, const struct facts *f, struct err *err)
{
    return gendir_prune(g->taskfd, f->keep, g->id, err) < 0 ? -1 : 0;
}

void generation_end(struct generation *g)
{
    int saved = errno;

    io_close(&g->pagesfd);
    io_close(&g->directfd);
    io_close(&g->dirfd);
    if (g->begun)
        (void)gendir_remove(g->taskfd, g->id, true, NULL);
    g->begun = false;
    io_close(&g->taskfd);
    errno = saved;
}
