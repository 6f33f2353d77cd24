/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * faulty - a FUSE filesystem that passes everything on to a directory, until it is told to fail.  For tests only.
 *
 *   faulty SOURCE MOUNTPOINT        (MOUNTPOINT may be /dev/fd/N, see fuse-mount.c)
 *
 * The extended attribute user.faulty of the mount's root is a plan: "WHICH N ACTION [NAME]".
 *   WHICH   an operation by name (see faults.c), "change" (all that change something) or "any"
 *   N       the Nth such operation from now on; "N+": it and all that follow
 *   ACTION  EIO, ENOSPC, EDQUOT, EPERM: the operation fails so; kill: it is done, then its caller gets SIGKILL;
 *           stall=MS: it takes so long; alter: each byte that it read is another; cut: before it the file
 *           is truncated to half
 *   NAME    only on files of this last name
 * "off" ends a plan.  Read, the attribute tells how many operations of that kind have come since it was set.
 * Nothing is cached by the kernel, so that each operation gets here.
 */
#define FUSE_USE_VERSION 35

#include "t/faulty/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int source = -1;

static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int done(int rc)
{
    rc = rc < 0 ? -errno : rc;
    faults_after();
    return rc;
}

/* Ends the operation here when it is to fail. */
#define TRY(op, path, fd)                                                                          \
    do {                                                                                           \
        int failed_ = faults_before(op, path, fd, fuse_get_context()->pid);                        \
        if (failed_)                                                                               \
            return failed_;                                                                        \
    } while (0)

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    TRY(FAULTS_GETATTR, path, -1);
    return done(fi ? fstat((int)fi->fh, st)
                   : fstatat(source, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int do_readlink(const char *path, char *buf, size_t size)
{
    ssize_t n = readlinkat(source, below(path), buf, size - 1);

    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return 0;
}

static int do_mkdir(const char *path, mode_t mode)
{
    TRY(FAULTS_MKDIR, path, -1);
    return done(mkdirat(source, below(path), mode));
}

static int do_unlink(const char *path)
{
    TRY(FAULTS_UNLINK, path, -1);
    return done(unlinkat(source, below(path), 0));
}

static int do_rmdir(const char *path)
{
    TRY(FAULTS_UNLINK, path, -1);
    return done(unlinkat(source, below(path), AT_REMOVEDIR));
}

static int do_rename(const char *from, const char *to, unsigned flags)
{
    if (flags)
        return -EINVAL;
    TRY(FAULTS_RENAME, from, -1);
    return done(renameat(source, below(from), source, below(to)));
}

static int do_link(const char *from, const char *to)
{
    TRY(FAULTS_LINK, to, -1);
    return done(linkat(source, below(from), source, below(to), 0));
}

static int do_symlink(const char *target, const char *path)
{
    return done(symlinkat(target, source, below(path)));
}

static int do_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    return done(fi ? fchmod((int)fi->fh, mode) : fchmodat(source, below(path), mode, 0));
}

static int do_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    (void)fi;
    return done(fchownat(source, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int do_utimens(const char *path, const struct timespec t[2], struct fuse_file_info *fi)
{
    (void)fi;
    return done(utimensat(source, below(path), t, AT_SYMLINK_NOFOLLOW));
}

static int open_it(const char *path, struct fuse_file_info *fi, int flags, mode_t mode)
{
    int fd = openat(source, below(path), flags | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd >= 0) {
        fi->fh = (uint64_t)fd;
        fi->direct_io = 1;
    }
    return done(fd < 0 ? -1 : 0);
}

static int do_open(const char *path, struct fuse_file_info *fi)
{
    TRY(FAULTS_OPEN, path, -1);
    /* Past the cache is its own way to here: libfuse's buffers are not such as the file below would have. */
    return open_it(path, fi, fi->flags & ~O_DIRECT, 0);
}

static int do_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    TRY(FAULTS_CREATE, path, -1);
    return open_it(path, fi, fi->flags | O_CREAT, mode);
}

static int do_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *fi)
{
    struct stat st;
    int rc;

    /* Where there is nothing to read there is nothing to go wrong. */
    if (fstat((int)fi->fh, &st) == 0 && at < st.st_size)
        TRY(FAULTS_READ, path, (int)fi->fh);
    rc = (int)pread((int)fi->fh, buf, size, at);
    /* All of it: a reader past the page cache reads whole blocks, and may have no use for what is around. */
    for (int i = 0; i < rc && faults_alter(); i++)
        buf[i] ^= 1;
    return done(rc);
}

static int do_write(const char *path, const char *buf, size_t size, off_t at,
                    struct fuse_file_info *fi)
{
    TRY(FAULTS_WRITE, path, -1);
    return done((int)pwrite((int)fi->fh, buf, size, at));
}

static int do_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    int fd = fi ? (int)fi->fh : openat(source, below(path), O_WRONLY | O_CLOEXEC | O_NOFOLLOW), rc;

    TRY(FAULTS_WRITE, path, -1);
    rc = fd < 0 ? -1 : ftruncate(fd, size);
    rc = done(rc);
    if (!fi && fd >= 0)
        close(fd);
    return rc;
}

static int do_statfs(const char *path, struct statvfs *st)
{
    TRY(FAULTS_STATFS, path, -1);
    return done(fstatvfs(source, st));
}

/* close() on the other side; the file itself is closed by release, which cannot fail. */
static int do_flush(const char *path, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        TRY(FAULTS_FLUSH, path, -1);
    return done(0);
}

static int do_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    close((int)fi->fh);
    return 0;
}

static int do_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    TRY(FAULTS_FSYNC, path, -1);
    return done(fsync((int)fi->fh));
}

static int do_fsyncdir(const char *path, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    TRY(FAULTS_FSYNCDIR, path, -1);
    return done(0);
}

static int do_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    int fd = openat(source, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *e;
    DIR *d;

    (void)at, (void)fi, (void)flags;
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return -errno;
    while ((e = readdir(d)))
        if (fill(buf, e->d_name, NULL, 0, 0))
            break;
    closedir(d);
    return 0;
}

static int do_opendir(const char *path, struct fuse_file_info *fi)
{
    (void)fi;
    TRY(FAULTS_OPENDIR, path, -1);
    return done(0);
}

static int do_setxattr(const char *path, const char *name, const char *value, size_t size,
                       int flags)
{
    (void)flags;
    if (strcmp(path, "/") != 0 || strcmp(name, "user.faulty") != 0)
        return -ENOTSUP;
    return faults_plan(value, size);
}

static int do_getxattr(const char *path, const char *name, char *value, size_t size)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%u", faults_count());

    if (strcmp(path, "/") != 0 || strcmp(name, "user.faulty") != 0)
        return -ENODATA;
    if (size == 0)
        return n;
    if (size < (size_t)n)
        return -ERANGE;
    memcpy(value, text, (size_t)n);
    return n;
}

static void *do_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    (void)conn;
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    config->use_ino = 1;
    config->hard_remove = 1;
    return NULL;
}

static const struct fuse_operations operations = {
    .init = do_init,
    .getattr = do_getattr,
    .readlink = do_readlink,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .rename = do_rename,
    .link = do_link,
    .symlink = do_symlink,
    .chmod = do_chmod,
    .chown = do_chown,
    .utimens = do_utimens,
    .open = do_open,
    .create = do_create,
    .read = do_read,
    .write = do_write,
    .truncate = do_truncate,
    .statfs = do_statfs,
    .flush = do_flush,
    .release = do_release,
    .fsync = do_fsync,
    .fsyncdir = do_fsyncdir,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .setxattr = do_setxattr,
    .getxattr = do_getxattr,
};

int main(int argc, char **argv)
{
    char foreground[] = "-f";
    char *args[] = {argv[0], foreground, NULL, NULL};

    if (argc != 3) {
        fputs("usage: faulty SOURCE MOUNTPOINT\n", stderr);
        return 2;
    }
    source = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source < 0) {
        perror(argv[1]);
        return 2;
    }
    umask(0);
    args[2] = argv[2];
    return fuse_main(3, args, &operations, NULL);
}
