/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/files.h"

#include "common/io.h"
#include "dump/capture.h"
#include "dump/files_impl.h"

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

#define SQLITE_MAGIC "SQLite format 3" /* and a zero byte */

struct files *files_create(const struct files_opts *o)
{
    struct files *fs = calloc(1, sizeof *fs);

    if (fs)
        fs->o = *o;
    return fs;
}

void files_destroy(struct files *fs)
{
    int saved = errno;

    if (!fs)
        return;
    for (size_t i = 0; i < fs->nclones; i++)
        io_close(&fs->clones[i].fd);
    free(fs->clones);
    filescan_free(&fs->scan);
    filelist_free(&fs->list);
    free(fs);
    errno = saved;
}

static int open2(int dirfd, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW),
        .resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd;

    do
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    return (int)fd;
}

int files_open(const char *path, int flags)
{
    return open2(AT_FDCWD, path, flags, 0);
}

int files_open_at(int dirfd, const char *name, int flags)
{
    return open2(dirfd, name, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
}

void files_warn(struct files *fs, const char *fmt, ...)
{
    va_list ap;

    if (fs->warning[0]) {
        fs->left++;
        return;
    }
    va_start(ap, fmt);
    if (vsnprintf(fs->warning, sizeof fs->warning, fmt, ap) < 0)
        fs->warning[0] = '\0';
    va_end(ap);
    err_clean(fs->warning);
}

const char *files_warning(const struct files *fs)
{
    return fs->warning;
}

uint64_t files_bytes(const struct files *fs)
{
    return fs->bytes;
}

uint32_t files_pause_ms(const struct files *fs)
{
    return fs->pause_ms;
}

int files_entry(struct file_entry *e, enum file_role role, const char *path, const struct stat *st,
                struct err *err)
{
    memset(e, 0, sizeof *e);
    e->role = role;
    if (st) {
        e->mode = st->st_mode & 0777;
        e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
        e->mtime_s = st->st_mtim.tv_sec;
        e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
    }
    e->path = strdup(path);
    return e->path ? 0 : err_sys(err, "list of files");
}

/* The kernel's own files have no contents that could be kept. */
static bool real(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    return fs.f_type != PROC_SUPER_MAGIC && fs.f_type != SYSFS_MAGIC &&
           fs.f_type != CGROUP_SUPER_MAGIC && fs.f_type != CGROUP2_SUPER_MAGIC;
}

int files_copy_journals(struct files *fs, const char *path, int fd, struct err *err)
{
    static const char *const suffixes[] = {"-journal", "-wal", "-shm"};
    char magic[sizeof SQLITE_MAGIC], name[PATH_MAX];

    if (io_pread_full(fd, magic, sizeof magic, 0) < 0 || memcmp(magic, SQLITE_MAGIC, sizeof magic))
        return 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        int n = snprintf(name, sizeof name, "%s%s", path, suffixes[i]), jfd, rc = 0;
        struct file_entry e;
        struct stat st;

        if (n < 0 || (size_t)n >= sizeof name || !filelist_path_ok(name) ||
            filescan_find(&fs->scan, name))
            continue;
        jfd = files_open(name, O_RDONLY);
        if (jfd >= 0) {
            if (fstat(jfd, &st) == 0 && S_ISREG(st.st_mode))
                rc = files_copy(fs, name, jfd, &st, FILES_OPEN, err);
            io_close(&jfd);
        } else if (errno == ENOENT) {
            rc = files_entry(&e, FILE_ABSENT, name, NULL, err) < 0
                     ? -1
                     : filelist_add(&fs->list, &e, err);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* A file that cannot be brought back and is written to. */
static int left_out(struct files *fs, const char *path, const struct stat *st, const char *why,
                    struct err *err)
{
    struct file_entry e;

    if (fs->o.facts->files_over == CHOICE_REFUSE) {
        errno = EPERM;
        return err_set(err,
                       "%.250s is open for reading and writing and cannot be brought back: %s; "
                       "files-over=warn goes on without it",
                       path, why);
    }
    files_warn(fs, "%.250s is not in the checkpoint: %s", path, why);
    return files_entry(&e, FILE_LEFT, path, st, err) < 0 ? -1 : filelist_add(&fs->list, &e, err);
}

static int copy_open(struct files *fs, const struct scan_file *f, struct err *err)
{
    int fd = files_open(f->path, O_RDONLY), rc;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = left_out(fs, f->path, NULL, strerror(errno), err);
        io_close(&fd);
        return rc;
    }
    if (!S_ISREG(st.st_mode) || !real(fd))
        rc = 0;
    else if (st.st_uid != fs->o.facts->uid && st.st_size == 0)
        rc = 0; /* a lock file that all share */
    else if (st.st_uid != fs->o.facts->uid)
        rc = left_out(fs, f->path, &st, "it belongs to another user", err);
    else if ((rc = files_copy(fs, f->path, fd, &st, FILES_OPEN, err)) == 0)
        rc = files_copy_journals(fs, f->path, fd, err);
    io_close(&fd);
    return rc;
}

/* Size, times, and beginning and end, by which a restore sees that it is the same still. */
static int note_open(struct files *fs, const struct scan_file *f, enum file_role role,
                     struct err *err)
{
    int fd = files_open(f->path, O_RDONLY), rc = 0;
    struct file_entry e;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !real(fd)) {
        io_close(&fd);
        return 0; /* it may be written but not read: CRIU compares its size */
    }
    if (files_entry(&e, role, f->path, &st, err) < 0) {
        io_close(&fd);
        return -1;
    }
    if (f->has_size)
        e.size = f->size;
    if (role != FILE_LOG && (role != FILE_CODE || f->build_id_len == 0))
        e.has_sums = filelist_sums(fd, e.size, e.head, e.tail, NULL) == 0;
    if (role == FILE_CODE) {
        e.build_id_len = f->build_id_len;
        memcpy(e.build_id, f->build_id, sizeof e.build_id);
    }
    rc = filelist_add(&fs->list, &e, err);
    io_close(&fd);
    return rc;
}

static int take_open(struct files *fs, struct err *err)
{
    for (size_t i = 0; i < fs->scan.n; i++) {
        const struct scan_file *f = &fs->scan.v[i];
        enum file_role role = filescan_role(f);
        int rc = 0;

        if (role == FILE_COPY)
            rc = copy_open(fs, f, err);
        else if (role == FILE_CUT || role == FILE_LOG || role == FILE_OUTPUT)
            rc = note_open(fs, f, role, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int files_frozen(void *arg, struct err *err)
{
    struct files *fs = arg;
    int64_t start = capture_now_ms();

    if (filescan_run(fs->o.images, &fs->scan, err) < 0)
        return err_prefix(err, "open files");
    if (take_open(fs, err) < 0 || files_named(fs, err) < 0 || files_tmp(fs, err) < 0 ||
        files_small(fs, err) < 0)
        return -1;
    fs->pause_ms = (uint32_t)(capture_now_ms() - start);
    return 0;
}

static bool listed(const struct files *fs, const char *path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((fs->list.v[i].role == FILE_COPY || fs->list.v[i].role == FILE_INPUT) &&
            strcmp(fs->list.v[i].path, path) == 0)
            return true;
    return false;
}

/* What is only read does not change with the tree: noted when it runs again. */
static int note_inputs(struct files *fs, struct err *err)
{
    size_t before = fs->list.n;

    for (size_t i = 0; i < fs->scan.n; i++) {
        const struct scan_file *f = &fs->scan.v[i];
        enum file_role role = filescan_role(f);

        if ((role == FILE_INPUT || role == FILE_CODE) && !listed(fs, f->path, before) &&
            note_open(fs, f, role, err) < 0)
            return -1;
    }
    return 0;
}

/* A path may have been noted as open and then been copied because the user named it. */
static bool is_double(const struct filelist *l, size_t i)
{
    if (l->v[i].role == FILE_CUT || l->v[i].role == FILE_LOG || l->v[i].role == FILE_LEFT)
        for (size_t k = 0; k < l->n; k++)
            if (l->v[k].role == FILE_COPY && strcmp(l->v[k].path, l->v[i].path) == 0)
                return true;
    return false;
}

static void drop_doubles(struct filelist *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++)
        if (is_double(l, i))
            l->v[i].path[0] = '\0';
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].path[0]) {
            l->v[kept++] = l->v[i];
        } else {
            free(l->v[i].path);
            free(l->v[i].target);
        }
    }
    l->n = kept;
}

static int add_list(struct files *fs, struct err *err)
{
    struct image *im = images_add(fs->o.images, FILELIST_IMAGE, err);
    uint8_t *data = NULL;
    size_t len = 0;
    int rc;

    if (!im || filelist_encode(&fs->list, &data, &len, err) < 0)
        return -1;
    rc = images_append(fs->o.images, im, data, len, err);
    free(data);
    return rc;
}

int files_finish(struct files *fs, struct err *err)
{
    for (size_t i = 0; i < fs->nclones; i++) {
        if (files_feed(fs, fs->clones[i].fd, fs->clones[i].image, fs->clones[i].size, err) < 0)
            return err_prefix(err, "a file's clone");
        io_close(&fs->clones[i].fd);
    }
    if (note_inputs(fs, err) < 0)
        return -1;
    drop_doubles(&fs->list);
    if (fs->left > 0) {
        size_t at = strlen(fs->warning);

        snprintf(fs->warning + at, sizeof fs->warning - at, " (and %zu more)", fs->left);
    }
    return add_list(fs, err);
}
