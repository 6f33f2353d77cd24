/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/beneath.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

static int sys_openat2(int dirfd, const char *path, int flags, unsigned mode, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)flags, .mode = mode, .resolve = resolve};
    long fd;

    do
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    return (int)fd;
}

/* An access control list that lets others write shows as group-write in the mode. */
static int check_dir(int fd, uid_t uid, const char *name, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "%s", name);
    errno = EPERM;
    if (st.st_uid != uid)
        return err_set(err, "%s belongs to uid %u, not to uid %u", name, st.st_uid, uid);
    if (st.st_mode & 022)
        return err_set(err, "%s is writable by others than its owner (mode %04o): chmod go-w it",
                       name, (unsigned)(st.st_mode & 07777));
    return 0;
}

static int open_failed(const char *name, struct err *err)
{
    if (errno == ELOOP)
        return err_set(err, "%s is a symbolic link", name);
    if (errno == EXDEV)
        return err_set(err, "%s is on another filesystem", name);
    if (errno != ENXIO)
        return err_sys(err, "%s", name);
    errno = EPERM; /* a socket, or a FIFO without a reader */
    return err_set(err, "%s is not a regular file", name);
}

static bool name_ok(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int beneath_open_dir(int dirfd, const char *name, uid_t uid, struct err *err)
{
    int fd;

    if (!name_ok(name)) {
        errno = EINVAL;
        return err_set(err, "'%s' is not a single name", name);
    }
    fd = sys_openat2(dirfd, name, DIR_FLAGS, 0, BENEATH);
    if (fd < 0)
        return open_failed(name, err);
    if (check_dir(fd, uid, name, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return fd;
}

static int check_file(int fd, const char *name, bool shared, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "%s", name);
    errno = EPERM;
    if (!S_ISREG(st.st_mode))
        return err_set(err, "%s is not a regular file", name);
    if (st.st_nlink == 0) {
        /* Replaced or removed (by its owner, an ordinary rename) since it was opened. */
        errno = ENOENT;
        return err_set(err, "%s has just gone", name);
    }
    if (st.st_nlink != 1 && !shared)
        return err_set(err, "%s has %lu hard links, not one", name, (unsigned long)st.st_nlink);
    if (st.st_uid != geteuid())
        return err_set(err, "%s belongs to uid %u, not to uid %u", name, st.st_uid, geteuid());
    if (st.st_mode & 022)
        return err_set(err, "%s is writable by others than its owner (mode %04o): chmod go-w it",
                       name, st.st_mode & 07777);
    return 0;
}

static int open_file(int dirfd, const char *name, int flags, unsigned mode, bool shared,
                     struct err *err)
{
    int fd;

    /* O_TRUNC would act before the file is looked at. */
    if (!name_ok(name) || (flags & (O_TRUNC | O_DIRECTORY))) {
        errno = EINVAL;
        return err_set(err, "'%s': not a single name, or bad flags", name);
    }
    if (flags & O_CREAT)
        flags |= O_EXCL;
    flags |= O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    fd = sys_openat2(dirfd, name, flags, (flags & O_CREAT) ? mode : 0, BENEATH);
    if (fd < 0)
        return open_failed(name, err);
    if (check_file(fd, name, shared, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return fd;
}

int beneath_open_file(int dirfd, const char *name, int flags, unsigned mode, struct err *err)
{
    return open_file(dirfd, name, flags, mode, false, err);
}

int beneath_open_shared(int dirfd, const char *name, struct err *err)
{
    return open_file(dirfd, name, O_RDONLY, 0, true, err);
}

/* mkdir -p: a site's template may name more than one directory that a new user has not got yet. */
static int make_path(char *path)
{
    char *slash;
    int rc;

    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return -1;
    slash = strrchr(path, '/');
    if (!slash || slash == path)
        return -1;
    *slash = '\0';
    rc = make_path(path);
    *slash = '/';
    if (rc < 0)
        return -1;
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static bool has_dotdot(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")); p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return false;
}

int beneath_open_path(const char *given, uid_t uid, bool create, struct err *err)
{
    char path[PATH_MAX];
    size_t len = strlen(given);
    int fd;

    /* A slash at the end would make the kernel follow a symbolic link in spite of O_NOFOLLOW. */
    while (len > 1 && given[len - 1] == '/')
        len--;
    errno = EINVAL;
    if (*given != '/' || len < 2 || len >= sizeof path || has_dotdot(given))
        return err_set(err, "'%s' is not an absolute path without '..'", given);
    memcpy(path, given, len);
    path[len] = '\0';
    if (uid != geteuid()) {
        errno = EPERM;
        return err_set(err, "%s is uid %u's, this is uid %u", path, uid, geteuid());
    }
    fd = sys_openat2(AT_FDCWD, path, DIR_FLAGS, 0, RESOLVE_NO_MAGICLINKS);
    if (fd < 0 && errno == ENOENT && create) {
        if (make_path(path) < 0)
            return err_sys(err, "cannot make %s", path);
        fd = sys_openat2(AT_FDCWD, path, DIR_FLAGS, 0, RESOLVE_NO_MAGICLINKS);
    }
    if (fd < 0)
        return err_sys(err, "%s", path);
    if (check_dir(fd, uid, path, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return fd;
}

DIR *beneath_list(int dirfd, struct err *err)
{
    int fd = sys_openat2(dirfd, ".", DIR_FLAGS, 0, BENEATH);
    DIR *d;

    if (fd < 0) {
        err_sys(err, "cannot read the directory");
        return NULL;
    }
    d = fdopendir(fd);
    if (!d) {
        err_sys(err, "cannot read the directory");
        io_close(&fd);
    }
    return d;
}

void beneath_end(DIR *d)
{
    int saved = errno;

    closedir(d);
    errno = saved;
}

bool beneath_same(int fd, int dirfd, const char *name)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
