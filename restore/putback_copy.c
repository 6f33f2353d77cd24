/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "common/manifest.h"
#include "common/proto.h"
#include "restore/putback_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLE 4096u /* zeros of this size are not written */

static bool all_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (*p == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* Into a new file: holes stay holes. */
static int write_sparse(int fd, const uint8_t *data, size_t len, uint64_t at)
{
    for (size_t n; len > 0; data += n, len -= n, at += n) {
        n = len < HOLE ? len : HOLE;
        if (all_zero(data, n))
            continue;
        while (n < len && !all_zero(data + n, len - n < HOLE ? len - n : HOLE))
            n += len - n < HOLE ? len - n : HOLE;
        if (write_at(fd, data, n, at) < 0)
            return -1;
    }
    return 0;
}

static int damaged(const struct putback *p, const struct frame *f, const char *why, struct err *err)
{
    char name[48];

    errno = EBADMSG;
    return err_set(err, "%s: damaged at %" PRIu64 ": %s", pages_name(&p->o.c->pages, f->file, name),
                   f->at, why);
}

/* One frame, verified, into p->raw. */
static int read_frame(struct putback *p, const struct frame *f, struct err *err)
{
    enum facts_compress compress = manifest_compress(&p->o.c->m);
    uint8_t *stored = compress == COMPRESS_NONE ? p->raw : p->stored;
    unsigned char md[EVP_MAX_MD_SIZE];
    const char *wrong = NULL;
    unsigned n = 0;
    char name[48];

    if (io_pread_full(p->o.c->pages.fd[f->file], stored, f->stored, (off_t)f->at) < 0)
        return err_sys(err, "%s", pages_name(&p->o.c->pages, f->file, name));
    if (EVP_Digest(stored, f->stored, md, &n, EVP_sha256(), NULL) != 1 || n != sizeof f->sha256 ||
        memcmp(md, f->sha256, n) != 0)
        return damaged(p, f, "its digest differs", err);
    if (compress != COMPRESS_NONE)
        wrong = unfold_frame(p->unfold, stored, f->stored, p->raw, f->raw);
    return wrong ? damaged(p, f, wrong, err) : 0;
}

/* Each frame of e's contents through fn: verified, in order. */
typedef int each_fn(struct putback *p, const struct frame *f, void *arg);

static int each_frame(struct putback *p, const struct file_entry *e, each_fn *fn, void *arg,
                      struct err *err)
{
    const struct index *ix = &p->o.c->ix;
    char name[CRIMG_NAME_MAX + 1];
    const struct bulk *b;
    int rc = 0;

    snprintf(name, sizeof name, FILELIST_CONTENTS, e->image);
    b = e->has_image ? index_find(ix, name) : NULL;
    for (uint32_t i = b ? b->first : INDEX_NONE; i != INDEX_NONE && rc == 0;
         i = ix->frames[i].next) {
        if (read_frame(p, &ix->frames[i], err) < 0)
            return -1;
        rc = fn ? fn(p, &ix->frames[i], arg) : 0;
    }
    return rc < 0 ? putback_hold(err, e->path, "cannot be put back: %s", strerror(errno)) : rc;
}

static int to_new(struct putback *p, const struct frame *f, void *arg)
{
    return write_sparse(*(const int *)arg, p->raw, f->raw, f->start);
}

static int to_old(struct putback *p, const struct frame *f, void *arg)
{
    return write_at(*(const int *)arg, p->raw, f->raw, f->start);
}

struct compare {
    int fd;
    uint8_t *now;
};

static int differs(struct putback *p, const struct frame *f, void *arg)
{
    const struct compare *c = arg;

    return io_pread_full(c->fd, c->now, f->raw, (off_t)f->start) < 0 ||
           memcmp(c->now, p->raw, f->raw) != 0;
}

/* 1: what lies there is what would be put there; 0: it is not; -1: damage. */
static int compare_old(struct putback *p, const struct file_entry *e, int fd, const struct stat *st,
                       struct err *err)
{
    struct compare c = {fd, NULL};
    int rc;

    if ((uint64_t)st->st_size != e->size)
        return 0;
    c.now = malloc(MANIFEST_FRAME_MAX);
    rc = c.now ? each_frame(p, e, differs, &c, err) : err_sys(err, "%.200s", e->path);
    free(c.now);
    return rc < 0 ? -1 : !rc;
}

static int finish(const struct file_entry *e, int fd, struct err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {e->mtime_s, (long)e->mtime_ns}};

    if (ftruncate(fd, (off_t)e->size) < 0 || fsync(fd) < 0 || fchmod(fd, e->mode & 0777) < 0 ||
        futimens(fd, times) < 0)
        return putback_hold(err, e->path, "cannot be put back: %s", strerror(errno));
    return 0;
}

static int make_new(struct putback *p, struct act *a, int dirfd, struct err *err)
{
    const char *name = putback_base(a->e->path);
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return putback_hold(err, a->e->path, "cannot be put back: %s", strerror(errno));
    a->created = true;
    rc = each_frame(p, a->e, to_new, &fd, err) < 0 ? -1 : finish(a->e, fd, err);
    if (rc < 0) {
        int saved = errno;

        (void)unlinkat(dirfd, name, 0);
        a->created = false;
        errno = saved;
    }
    io_close(&fd);
    return rc;
}

/* What lies there now must be a plain file of the user's that nobody else writes to. */
static int check_old(const struct putback *p, const struct act *a, int fd, struct err *err)
{
    const char *path = a->e->path, *other;

    if (a->st.st_uid != p->o.facts->uid)
        return putback_hold(err, path, "it belongs to another user now");
    if (a->st.st_nlink != 1)
        return putback_hold(err, path,
                            "it has other names (hard links), which would be changed with it");
    other = putback_other_writer(p, fd, &a->st);
    if (other)
        return putback_hold(err, path,
                            "%s: it is not put back as it was at the checkpoint; end that, then "
                            "release the job",
                            other);
    return 0;
}

/* So that overwriting it cannot end half way for lack of room. */
static int reserve(struct putback *p, const struct act *a, struct err *err)
{
    int fd = putback_open_again(p, a, err), rc = 0;

    if (fd < 0)
        return -1;
    if (a->e->size > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)a->e->size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        rc = putback_hold(err, a->e->path, "cannot be put back: %s", strerror(errno));
    io_close(&fd);
    return rc;
}

/* fd: what is there, for reading.  1: nothing is to be done. */
static int stage_old(struct putback *p, struct act *a, int fd, struct err *err)
{
    const struct file_entry *e = a->e;
    int rc;

    if (fstat(fd, &a->st) < 0)
        return putback_hold(err, e->path, "%s", strerror(errno));
    if (!S_ISREG(a->st.st_mode))
        return putback_hold(err, e->path, "it is no regular file any more");
    a->found = (uint64_t)a->st.st_size;
    if (e->role == FILE_ABSENT)
        return check_old(p, a, fd, err) < 0 ? -1 : putback_keep(p, a, fd, 0, a->found, false, err);
    rc = compare_old(p, e, fd, &a->st, err);
    if (rc != 0)
        return rc;
    if (check_old(p, a, fd, err) < 0 || each_frame(p, e, NULL, NULL, err) < 0 ||
        reserve(p, a, err) < 0)
        return -1;
    return putback_keep(p, a, fd, 0, a->found, true, err);
}

/* fd, or -1: there is nothing; -2: something that is not opened. */
static int open_old(const struct file_entry *e, int dirfd, struct err *err)
{
    int fd = putback_open_at(dirfd, putback_base(e->path), O_RDONLY);

    if (fd >= 0 || errno == ENOENT)
        return fd;
    if (errno == ELOOP)
        putback_hold(err, e->path, "a symbolic link is there now: it is not followed");
    else if (errno == ENXIO)
        putback_hold(err, e->path, "it is no regular file any more");
    else
        putback_hold(err, e->path, "%s", strerror(errno));
    return -2;
}

int putback_stage_copy(struct putback *p, const struct file_entry *e, struct err *err)
{
    struct act *a = putback_act(p, e, err);
    int dirfd = a ? putback_dir(p, e->path, e->role == FILE_COPY, err) : -1, fd, rc;

    if (dirfd < 0 && a && e->role == FILE_ABSENT) {
        p->n--;
        return 0; /* not even its directory */
    }
    fd = dirfd < 0 ? -2 : open_old(e, dirfd, err);
    if (fd >= 0)
        rc = stage_old(p, a, fd, err);
    else if (fd == -1)
        rc = e->role == FILE_ABSENT ? 1 : make_new(p, a, dirfd, err);
    else
        rc = -1;
    io_close(&fd);
    if (rc == 1)
        p->n--;
    return rc < 0 ? -1 : 0;
}

int putback_stage_missing(struct putback *p, const struct file_entry *e, struct err *err)
{
    int dirfd = putback_dir(p, e->path, false, NULL), rc;
    struct stat st;
    struct act *a;

    if (dirfd < 0 && errno != PROTO_E_HOLD)
        return -1;
    if (dirfd >= 0 && fstatat(dirfd, putback_base(e->path), &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (dirfd >= 0 && errno != ENOENT)
        return 0; /* who wants to open it says what is wrong */
    a = putback_act(p, e, err);
    if (!a)
        return -1;
    dirfd = putback_dir(p, e->path, true, err);
    rc = dirfd < 0 ? -1 : make_new(p, a, dirfd, err);
    return rc < 0 ? -1 : 1;
}

int putback_make(struct putback *p, const struct file_entry *e, struct err *err)
{
    int dirfd = putback_dir(p, e->path, true, err), rc;

    if (dirfd < 0)
        return -1;
    rc = e->role == FILE_DIR ? mkdirat(dirfd, putback_base(e->path), e->mode & 0777)
                             : symlinkat(e->target, dirfd, putback_base(e->path));
    if (rc < 0 && errno != EEXIST)
        return putback_hold(err, e->path, "cannot be made: %s", strerror(errno));
    return 0;
}

static int take_away(struct putback *p, const struct act *a, struct err *err)
{
    int dirfd = putback_dir(p, a->e->path, false, err);

    if (dirfd < 0)
        return -1;
    if (unlinkat(dirfd, putback_base(a->e->path), 0) < 0)
        return putback_hold(err, a->e->path, "cannot be taken away: %s", strerror(errno));
    return 0;
}

int putback_commit_copy(struct putback *p, struct act *a, struct err *err)
{
    int fd, rc;

    if (a->created) {
        a->state = ACT_DONE;
        return 0;
    }
    fd = putback_open_again(p, a, err);
    if (fd < 0)
        return -1;
    a->state = ACT_DONE;
    if (a->e->role == FILE_ABSENT)
        rc = take_away(p, a, err);
    else
        rc = each_frame(p, a->e, to_old, &fd, err) < 0 ? -1 : finish(a->e, fd, err);
    io_close(&fd);
    return rc;
}

/* What was taken away comes back as a new file. */
static int open_undo(struct putback *p, const struct act *a)
{
    int dirfd;

    if (a->e->role != FILE_ABSENT)
        return putback_open_again(p, a, NULL);
    dirfd = putback_dir(p, a->e->path, false, NULL);
    if (dirfd < 0)
        return -1;
    return openat(dirfd, putback_base(a->e->path),
                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, a->st.st_mode & 0777);
}

void putback_undo_copy(struct putback *p, struct act *a)
{
    int fd;

    a->state = ACT_STAGED;
    if (a->created)
        return; /* putback_destroy() removes it */
    fd = open_undo(p, a);
    if (fd >= 0 && putback_unkeep(p, a, fd, 0) == 0)
        (void)fchmod(fd, a->st.st_mode & 0777);
    io_close(&fd);
}

void putback_forget_copy(struct putback *p, struct act *a)
{
    int dirfd;

    if (a->created && a->state == ACT_STAGED) {
        dirfd = putback_dir(p, a->e->path, false, NULL);
        if (dirfd >= 0)
            (void)unlinkat(dirfd, putback_base(a->e->path), 0);
    }
    if (a->kept[0] == 'u')
        (void)unlinkat(p->keptdir, a->kept, 0);
}
