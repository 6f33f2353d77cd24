/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/files_impl.h"

#include "common/io.h"
#include "dump/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLONES_MAX 512u /* descriptors held at once */

static int check_limits(const struct files *fs, struct err *err)
{
    if (pack_failed(fs->o.pack, err) < 0)
        return -1;
    return wanted_still(&fs->o.wanted, err) < 0 ? err_prefix(err, "copying files") : 0;
}

static struct pack_frame *frame(struct files *fs, struct err *err)
{
    struct pack_frame *f;
    bool idle;

    while (check_limits(fs, err) == 0) {
        struct pollfd p[] = {{.fd = pack_eventfd(fs->o.pack), .events = POLLIN},
                             {.fd = fs->o.wanted.cancel_fd, .events = POLLIN}};

        f = pack_get(fs->o.pack, &idle);
        if (f)
            return f;
        (void)poll(p, 2, 1000);
        pack_clear_event(fs->o.pack);
    }
    return NULL;
}

/* The next frame of an image, n bytes of it to be filled. */
static struct pack_frame *next_frame(struct files *fs, uint32_t image, uint64_t left, size_t *n,
                                     struct err *err)
{
    struct pack_frame *f = frame(fs, err);

    if (f) {
        *n = left < f->room ? (size_t)left : f->room;
        snprintf(f->image, sizeof f->image, FILELIST_CONTENTS, image);
    }
    return f;
}

int files_feed(struct files *fs, int fd, uint32_t image, uint64_t size, struct err *err)
{
    for (uint64_t at = 0; at < size;) {
        size_t n;
        struct pack_frame *f = next_frame(fs, image, size - at, &n, err);

        if (!f)
            return -1;
        if (io_pread_full(fd, f->raw, n, (off_t)at) < 0) {
            int saved = errno;

            f->len = 0;
            pack_submit(fs->o.pack, f);
            errno = saved;
            return saved == EIO
                       ? err_set(err, "it became shorter while it was copied, or is damaged")
                       : err_sys(err, "cannot be read");
        }
        f->len = n;
        pack_submit(fs->o.pack, f);
        at += n;
    }
    return 0;
}

int files_feed_data(struct files *fs, const uint8_t *data, uint32_t image, uint64_t size,
                    struct err *err)
{
    for (uint64_t at = 0; at < size;) {
        size_t n;
        struct pack_frame *f = next_frame(fs, image, size - at, &n, err);

        if (!f)
            return -1;
        memcpy(f->raw, data + at, n);
        f->len = n;
        pack_submit(fs->o.pack, f);
        at += n;
    }
    return 0;
}

/* A clone without a name, so that nothing is left when we end.  False: not possible, copy. */
static bool clone_file(struct files *fs, int fd, uint32_t image, uint64_t size)
{
    struct files_clone *more;
    int to;

    if (fs->no_clones || fs->nclones >= CLONES_MAX)
        return false;
    to = openat(fs->o.dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (to < 0) {
        fs->no_clones = true;
        return false;
    }
    if (ioctl(to, FICLONE, fd) < 0) {
        /* EXDEV: another file may lie on the same filesystem as the generation */
        fs->no_clones = errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS;
        io_close(&to);
        return false;
    }
    more = realloc(fs->clones, (fs->nclones + 1) * sizeof *more);
    if (!more) {
        io_close(&to);
        return false;
    }
    fs->clones = more;
    more[fs->nclones++] = (struct files_clone){to, image, size};
    return true;
}

static const char *size_text(uint64_t bytes, char text[32])
{
    if (bytes >= UINT64_C(1) << 30)
        snprintf(text, 32, "%.1f GiB", (double)bytes / 1073741824.0);
    else if (bytes >= 1 << 20)
        snprintf(text, 32, "%.1f MiB", (double)bytes / 1048576.0);
    else
        snprintf(text, 32, "%llu bytes", (unsigned long long)bytes);
    return text;
}

/* Not copied for its size: is that a reason to give up? */
static int too_large(struct files *fs, const char *path, const struct stat *st,
                     enum files_wanted wanted, struct err *err)
{
    static const char *const why[] = {"open for reading and writing, or mapped shared",
                                      "named by files=", "in TMPDIR"};
    char size[32], limit[32];
    struct file_entry e;

    size_text((uint64_t)st->st_size, size);
    size_text(fs->o.facts->files_limit, limit);
    if (wanted != FILES_TMP && fs->o.facts->files_over == CHOICE_REFUSE) {
        errno = EFBIG;
        return err_set(err,
                       "%.200s (%s, %s) exceeds files-limit (%s for all files together): give "
                       "files-limit=SIZE to have it copied, or files-over=warn to do without",
                       path, why[wanted], size, limit);
    }
    files_warn(fs, "%.200s (%s, %s) is not in the checkpoint: files-limit is %s", path, why[wanted],
               size, limit);
    if (wanted != FILES_OPEN)
        return 0;
    return files_entry(&e, FILE_LEFT, path, st, err) < 0 ? -1 : filelist_add(&fs->list, &e, err);
}

/* Nobody of the tree's can have changed it. */
static int unchanged(int fd, const struct stat *before, const char *path, struct err *err)
{
    struct stat now;

    if (fstat(fd, &now) < 0)
        return err_sys(err, "%.200s", path);
    if (now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == before->st_mtim.tv_nsec)
        return 0;
    errno = EBUSY;
    return err_set(
        err,
        "%.200s is being written by somebody else while this job stands still: a copy of "
        "it would be torn",
        path);
}

int files_copy(struct files *fs, const char *path, int fd, const struct stat *st,
               enum files_wanted wanted, struct err *err)
{
    uint64_t size = (uint64_t)st->st_size, limit = fs->o.facts->files_limit;
    struct file_entry e;
    bool cloned;

    if (limit && (size > limit || fs->bytes > limit - size))
        return too_large(fs, path, st, wanted, err);
    if (files_entry(&e, FILE_COPY, path, st, err) < 0)
        return -1;
    e.has_image = size > 0;
    e.image = e.has_image ? fs->images++ : 0;
    if (filelist_add(&fs->list, &e, err) < 0)
        return -1;
    fs->bytes += size;
    cloned = size > 0 && clone_file(fs, fd, e.image, size);
    if (!cloned && files_feed(fs, fd, e.image, size, err) < 0)
        return err_prefix(err, "%.200s", path);
    return unchanged(fd, st, path, err);
}
