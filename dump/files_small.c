/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/files_impl.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SMALL_FILES 64u  /* so many of the largest allowed size, in all */
#define INPUTS_MAX 1000u /* opened while the tree stands still */

static bool begins(const char *path, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(path, list[i], strlen(list[i])) == 0)
            return true;
    return false;
}

/* No job makes a file there. */
static bool is_system(const char *path)
{
    static const char *const places[] = {"/usr/", "/lib",  "/bin/", "/sbin/", "/etc/",
                                         "/opt/", "/proc", "/sys/", "/run/"};

    return begins(path, places, sizeof places / sizeof places[0]);
}

/* Where the filesystem does not tell when a file was made: what the job writes itself, and what lies where temporary
 * files do. */
static bool likely_made(const char *path, enum file_role role)
{
    static const char *const places[] = {"/tmp/", "/var/tmp/", "/dev/shm/"};

    return role != FILE_INPUT || begins(path, places, sizeof places / sizeof places[0]);
}

static bool is_small(const struct files *fs, const char *path, enum file_role role, int fd,
                     uint64_t *size)
{
    const uint64_t most = fs->o.facts->files_small, limit = fs->o.facts->files_limit;
    struct statfs where;
    struct stat st;
    int made;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != fs->o.facts->uid ||
        (uint64_t)st.st_size < *size || fstatfs(fd, &where) < 0 ||
        where.f_type == PROC_SUPER_MAGIC || where.f_type == SYSFS_MAGIC)
        return false;
    if (role == FILE_INPUT)
        *size = (uint64_t)st.st_size;
    if (*size == 0 || *size > most || fs->small_bytes + *size > most * SMALL_FILES ||
        (limit && (*size > limit || fs->bytes > limit - *size)))
        return false;
    made = files_made_by_job(fs, fd);
    return made < 0 ? likely_made(path, role) : made;
}

/* Read as a whole first: half of its contents in the pack would belong to nothing.  1: taken. */
static int take(struct files *fs, struct file_entry *e, int fd, struct err *err)
{
    uint8_t *data = malloc(e->size);
    int rc = 0;

    if (data && io_pread_full(fd, data, (size_t)e->size, 0) == 0) {
        e->has_image = true;
        e->image = fs->images++;
        rc = files_feed_data(fs, data, e->image, e->size, err) < 0 ? -1 : 1;
        fs->bytes += e->size;
        fs->small_bytes += e->size;
    }
    free(data);
    return rc;
}

static int take_written(struct files *fs, struct file_entry *e, struct err *err)
{
    uint64_t size = e->size;
    int fd = files_open(e->path, O_RDONLY), rc = 0;

    if (fd >= 0 && is_small(fs, e->path, e->role, fd, &size))
        rc = take(fs, e, fd, err);
    io_close(&fd);
    return rc < 0 ? -1 : 0;
}

/* Noted here and now: the job may remove it as soon as it runs again. */
static int take_input(struct files *fs, const struct scan_file *f, struct err *err)
{
    int fd = files_open(f->path, O_RDONLY), rc = 0;
    uint64_t size = 0;
    struct file_entry e;
    struct stat st;

    if (fd >= 0 && is_small(fs, f->path, FILE_INPUT, fd, &size) && fstat(fd, &st) == 0) {
        if (files_entry(&e, FILE_INPUT, f->path, &st, err) < 0) {
            io_close(&fd);
            return -1;
        }
        e.size = size;
        e.has_sums = filelist_sums(fd, e.size, e.head, e.tail, NULL) == 0;
        rc = take(fs, &e, fd, err);
        if (rc == 1)
            rc = filelist_add(&fs->list, &e, err);
        else
            free(e.path);
    }
    io_close(&fd);
    return rc;
}

static bool is_copied(const struct files *fs, const char *path)
{
    for (size_t i = 0; i < fs->list.n; i++)
        if (fs->list.v[i].role == FILE_COPY && strcmp(fs->list.v[i].path, path) == 0)
            return true;
    return false;
}

int files_small(struct files *fs, struct err *err)
{
    size_t inputs = 0;

    if (fs->o.facts->files_small == 0)
        return 0;
    for (size_t i = 0; i < fs->list.n; i++) {
        struct file_entry *e = &fs->list.v[i];

        if ((e->role == FILE_CUT || e->role == FILE_LOG) && !is_copied(fs, e->path) &&
            take_written(fs, e, err) < 0)
            return err_prefix(err, "%.200s", e->path);
    }
    for (size_t i = 0; i < fs->scan.n && inputs < INPUTS_MAX; i++) {
        const struct scan_file *f = &fs->scan.v[i];

        if (filescan_role(f) != FILE_INPUT || is_system(f->path) || is_copied(fs, f->path))
            continue;
        inputs++;
        if (take_input(fs, f, err) < 0)
            return err_prefix(err, "%.200s", f->path);
    }
    return 0;
}
