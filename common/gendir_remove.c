/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir_impl.h"

#include "common/beneath.h"
#include "common/io.h"
#include "common/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[] = {
    MANIFEST_FILE,         MANIFEST_SEAL,         MANIFEST_IMAGES,      MANIFEST_PAGES,
    MANIFEST_INDEX,        MANIFEST_FILE ".tmp",  MANIFEST_SEAL ".tmp", MANIFEST_IMAGES ".tmp",
    MANIFEST_PAGES ".tmp", MANIFEST_INDEX ".tmp", MANIFEST_PLACEMENT,
};

static bool is_part(const char *name)
{
    struct gendir_id id;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strcmp(parts[i], name))
            return true;
    return gendir_parse_link(name, &id);
}

int gendir_check_parts(int genfd, const char *gen, struct err *err)
{
    DIR *d = beneath_list(genfd, err);
    struct dirent *e;
    struct stat st;
    int rc = 0;

    if (!d)
        return -1;
    while (rc == 0 && (errno = 0, e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (!is_part(e->d_name) || fstatat(genfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode)) {
            errno = ENOTEMPTY;
            rc = err_set(err, "%s holds '%s', which is not ours: not removed", gen, e->d_name);
        }
    }
    if (rc == 0 && errno)
        rc = err_sys(err, "cannot read %s", gen);
    beneath_end(d);
    return rc;
}

/* Of the file itself that only takes a name away: it goes with its last one. */
static int remove_links(int genfd, const char *name, struct err *err)
{
    DIR *d = beneath_list(genfd, err);
    struct gendir_id id;
    struct dirent *e;
    int rc = d ? 0 : -1;

    while (rc == 0 && (errno = 0, e = readdir(d)))
        if (gendir_parse_link(e->d_name, &id) && unlinkat(genfd, e->d_name, 0) < 0 &&
            errno != ENOENT)
            rc = err_sys(err, "cannot remove %s/%s", name, e->d_name);
    if (rc == 0 && errno)
        rc = err_sys(err, "cannot read %s", name);
    if (d)
        beneath_end(d);
    return rc;
}

static int remove_parts(int taskfd, int genfd, const char *name, struct err *err)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (unlinkat(genfd, parts[i], 0) < 0 && errno != ENOENT)
            return err_sys(err, "cannot remove %s/%s", name, parts[i]);
    if (remove_links(genfd, name, err) < 0)
        return -1;
    if (unlinkat(taskfd, name, AT_REMOVEDIR) < 0)
        return err_sys(err, "cannot remove %s", name);
    return 0;
}

int gendir_remove(int taskfd, struct gendir_id id, bool partial, struct err *err)
{
    char name[40], doomed[40];
    int fd, rc;

    gendir_format_name(id, partial, name);
    gendir_format_name(id, true, doomed);
    fd = gendir_open_dir(taskfd, name, err);
    if (fd < 0)
        return -1;
    rc = gendir_check_parts(fd, name, err);
    if (rc == 0 && !partial) {
        struct stat st;

        /* Left over from a removal that was cut short, beside a generation of the same number? */
        if (fstatat(taskfd, doomed, &st, AT_SYMLINK_NOFOLLOW) == 0)
            rc = gendir_remove(taskfd, id, true, err);
        if (rc == 0 && renameat(taskfd, name, taskfd, doomed) < 0)
            rc = err_sys(err, "rename %s to %s", name, doomed);
    }
    if (rc == 0)
        rc = remove_parts(taskfd, fd, doomed, err);
    io_close(&fd);
    return rc;
}

int gendir_prune(int taskfd, unsigned keep, struct gendir_id last_good, struct err *err)
{
    struct gendir_id *ids = NULL;
    int n, removed = 0, failed = 0;

    if (keep < 1) {
        errno = EINVAL;
        return err_set(err, "at least one generation must be kept");
    }
    n = gendir_list(taskfd, &ids, err);
    if (n < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        if ((unsigned)i < keep || gendir_compare(ids[i], last_good) == 0)
            continue;
        /* The first failure is told, the others are tried all the same. */
        if (gendir_remove(taskfd, ids[i], false, failed ? NULL : err) < 0)
            failed = failed ? failed : errno;
        else
            removed++;
    }
    free(ids);
    if (failed) {
        errno = failed;
        return -1;
    }
    return removed;
}
