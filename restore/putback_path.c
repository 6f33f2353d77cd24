/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/beneath.h"
#include "common/gendir.h"
#include "common/io.h"
#include "common/proto.h"
#include "restore/putback_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define XFS_MAGIC 0x58465342
#define CHUNK 65536

static int open2(int dirfd, const char *name, int flags)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd;

    do
        fd = syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    return (int)fd;
}

int putback_open_at(int dirfd, const char *name, int flags)
{
    return open2(dirfd, name, flags | O_NONBLOCK | O_NOCTTY);
}

int putback_hold(struct err *err, const char *path, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    errno = PROTO_E_HOLD;
    return err_set(err, "%.200s: %s", path, text);
}

static int parent_failed(const char *path, struct err *err)
{
    if (errno == ELOOP)
        return putback_hold(err, path, "a symbolic link is on the way to it: it is not followed");
    if (errno == ENOTDIR)
        return putback_hold(err, path, "what should be its directory is none");
    return putback_hold(err, path, "its directory: %s", strerror(errno));
}

/* Component by component, since what is missing is made. */
static int walk(char *path, bool make)
{
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
    char *save = NULL;

    for (char *p = strtok_r(path, "/", &save); p && fd >= 0; p = strtok_r(NULL, "/", &save)) {
        next = open2(fd, p, O_PATH | O_DIRECTORY);
        if (next < 0 && errno == ENOENT && make && (mkdirat(fd, p, 0700) == 0 || errno == EEXIST))
            next = open2(fd, p, O_PATH | O_DIRECTORY);
        io_close(&fd);
        fd = next;
    }
    return fd;
}

const char *putback_base(const char *path)
{
    return strrchr(path, '/') + 1; /* filelist_check() has seen to it that there is one */
}

int putback_dir(struct putback *p, const char *path, bool make, struct err *err)
{
    size_t len = (size_t)(putback_base(path) - path);
    char copy[PATH_MAX];

    if (p->dirfd >= 0 && strncmp(p->dir, path, len) == 0 && p->dir[len] == '\0')
        return p->dirfd;
    io_close(&p->dirfd);
    memcpy(p->dir, path, len);
    p->dir[len] = '\0';
    memcpy(copy, p->dir, len + 1);
    p->dirfd = walk(copy, make);
    return p->dirfd >= 0 ? p->dirfd : parent_failed(path, err);
}

/* Where the kernel's answer about leases is about this node's files and means what it says. */
static bool leases_tell(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC;
}

const char *putback_other_writer(const struct putback *p, int fd, const struct stat *st)
{
    if (leases_tell(fd)) {
        /* A read lease is refused while anybody has the file open, or mapped, for writing. */
        if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
            (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        else if (errno == EAGAIN)
            return "another process has it open for writing";
    }
    if (st->st_mtim.tv_sec > p->started_s)
        return "somebody else has written to it since this job was started again";
    return NULL;
}

struct act *putback_act(struct putback *p, const struct file_entry *e, struct err *err)
{
    struct act *a;

    if ((p->n & (p->n - 1)) == 0) { /* room doubles at each power of two */
        a = realloc(p->acts, (p->n ? 2 * p->n : 1) * sizeof *a);
        if (!a) {
            err_sys(err, "files to put back");
            return NULL;
        }
        p->acts = a;
    }
    a = &p->acts[p->n++];
    memset(a, 0, sizeof *a);
    a->e = e;
    return a;
}

/* Of an attempt that was killed: it overwrote what is overwritten now once more. */
static void forget_undo(int keptdir)
{
    DIR *d = beneath_list(keptdir, NULL);
    const struct dirent *e;

    while (d && (e = readdir(d)))
        if (!strncmp(e->d_name, "u-", 2))
            (void)unlinkat(keptdir, e->d_name, 0);
    if (d)
        beneath_end(d);
}

static int open_kept(struct putback *p, struct err *err)
{
    if (p->keptdir >= 0)
        return 0;
    if (mkdirat(p->o.taskfd, PUTBACK_KEPT, 0700) < 0 && errno != EEXIST)
        return err_sys(err, PUTBACK_KEPT);
    p->keptdir = gendir_open_dir(p->o.taskfd, PUTBACK_KEPT, err);
    if (p->keptdir < 0)
        return -1;
    forget_undo(p->keptdir);
    return 0;
}

static int copy_range(int from, uint64_t at, uint64_t len, int to)
{
    char buf[CHUNK];

    while (len > 0) {
        off_t off = (off_t)at;
        ssize_t n =
            copy_file_range(from, &off, to, NULL, len < (1u << 30) ? (size_t)len : 1u << 30, 0);

        /* Across filesystems, or where it is not known: by hand. */
        if (n <= 0) {
            size_t want = len < sizeof buf ? (size_t)len : sizeof buf;

            n = pread(from, buf, want, (off_t)at);
            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0)
                errno = EIO;
            if (n <= 0 || io_write_full(to, buf, (size_t)n) < 0)
                return -1;
        }
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

int putback_keep(struct putback *p, struct act *a, int fd, uint64_t from, uint64_t len, bool undo,
                 struct err *err)
{
    int to, rc = -1;

    if (open_kept(p, err) < 0) {
        errno = PROTO_E_HOLD;
        return err_prefix(err, "what is to be kept of %.200s", a->e->path);
    }
    if (undo)
        snprintf(a->kept, sizeof a->kept, "u-%u", ++p->nkept);
    else
        snprintf(a->kept, sizeof a->kept, "r%04u-%u", p->o.facts->epoch, ++p->nkept);
    /* An earlier attempt of this very restart may have left one of that name. */
    (void)unlinkat(p->keptdir, a->kept, 0);
    to = gendir_open_file(p->keptdir, a->kept, O_WRONLY | O_CREAT, 0600, err);
    if (to >= 0 && copy_range(fd, from, len, to) == 0 && fsync(to) == 0)
        rc = 0;
    else if (to >= 0)
        putback_hold(err, a->e->path,
                     "what would be cut off cannot be kept in " PUTBACK_KEPT ": %s",
                     strerror(errno));
    if (rc < 0)
        (void)unlinkat(p->keptdir, a->kept, 0);
    io_close(&to);
    errno = rc < 0 ? PROTO_E_HOLD : errno;
    return rc;
}

int putback_unkeep(struct putback *p, const struct act *a, int fd, uint64_t at)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, a->st.st_mtim};
    int kept = gendir_open_file(p->keptdir, a->kept, O_RDONLY, 0, NULL);
    struct stat st;
    int rc = -1;

    if (kept >= 0 && fstat(kept, &st) == 0 && lseek(fd, (off_t)at, SEEK_SET) >= 0 &&
        copy_range(kept, 0, (uint64_t)st.st_size, fd) == 0 &&
        ftruncate(fd, (off_t)at + st.st_size) == 0 && futimens(fd, times) == 0)
        rc = unlinkat(p->keptdir, a->kept, 0);
    io_close(&kept);
    return rc;
}

int putback_open_again(struct putback *p, const struct act *a, struct err *err)
{
    int dirfd = putback_dir(p, a->e->path, false, err), fd;
    struct stat now;

    if (dirfd < 0)
        return -1;
    fd = putback_open_at(dirfd, putback_base(a->e->path), O_WRONLY);
    if (fd < 0)
        return putback_hold(err, a->e->path, "cannot be written: %s", strerror(errno));
    if (fstat(fd, &now) == 0 && now.st_dev == a->st.st_dev && now.st_ino == a->st.st_ino &&
        now.st_nlink == 1)
        return fd;
    io_close(&fd);
    return putback_hold(err, a->e->path, "it was replaced just now");
}
