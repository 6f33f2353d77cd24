/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/usage.h"

#include "common/beneath.h"
#include "common/facts.h"
#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMES 65536 /* of a directory that its owner may have filled */

uint64_t usage_dir(int dirfd)
{
    DIR *d = beneath_list(dirfd, NULL);
    const struct dirent *e;
    uint64_t sum = 0;
    struct stat st;

    while (d && (e = readdir(d)))
        if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size / (st.st_nlink > 1 ? st.st_nlink : 1);
    if (d)
        beneath_end(d);
    return sum;
}

static bool is_job(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && facts_nonce_ok(dot + 1) && memchr(name, '.', (size_t)(dot - name));
}

static bool is_generation(const char *name)
{
    struct gendir_id id;
    bool partial;

    return gendir_parse_name(name, &id, &partial);
}

static bool is_task(const char *name)
{
    return facts_name_ok(name);
}

/* What lies how deep: jobs, their tasks, their generations. */
static bool (*const levels[])(const char *) = {is_job, is_task, is_generation};
#define DEPTH (sizeof levels / sizeof levels[0])

/* NOLINTNEXTLINE(misc-no-recursion): three deep */
static int descend(int dirfd, size_t level, uint64_t *sum, struct err *err)
{
    DIR *d;
    const struct dirent *e;
    int rc = 0;

    if (level == DEPTH) {
        *sum += usage_dir(dirfd);
        return 0;
    }
    d = beneath_list(dirfd, err);
    if (!d)
        return -1;
    for (int seen = 0; seen < MAX_NAMES && (errno = 0, e = readdir(d)); seen++) {
        int fd = levels[level](e->d_name) ? gendir_open_dir(dirfd, e->d_name, NULL) : -1;

        if (fd >= 0)
            (void)descend(fd, level + 1, sum, NULL);
        io_close(&fd);
    }
    if (errno)
        rc = err_sys(err, "cannot read the directory");
    beneath_end(d);
    return rc;
}

int usage_base(int basefd, uint64_t *bytes, struct err *err)
{
    uint64_t sum = 0;

    if (descend(basefd, 0, &sum, err) < 0)
        return -1;
    *bytes = sum;
    return 0;
}
