/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "common/io.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATUS_MAX 65536 /* the line of groups may be long */

/* Where the value of "\nNAME:\t" begins, or NULL. */
static const char *value(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    return at ? at + strlen(name) : NULL;
}

static bool same_namespace(const char *proc, const char *pid, const char *status)
{
    const char *own = value(status, "\nNSpid:\t");
    struct stat a, b;
    char path[300];

    snprintf(path, sizeof path, "%s/self/ns/user", proc);
    if (stat(path, &a) == 0) {
        snprintf(path, sizeof path, "%s/%s/ns/user", proc, pid);
        if (stat(path, &b) == 0)
            return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    }
    return !own || !memchr(own, '\t', strcspn(own, "\n"));
}

static uint64_t threads_of(const char *proc, const char *pid, uid_t uid, char *status)
{
    const char *real, *threads;
    char path[300];
    unsigned long n;

    snprintf(path, sizeof path, "%s/%s/status", proc, pid);
    if (io_read_start(path, status, STATUS_MAX) <= 0)
        return 0; /* it has gone */
    real = value(status, "\nUid:\t");
    if (!real || strtoul(real, NULL, 10) != uid || !same_namespace(proc, pid, status))
        return 0;
    threads = value(status, "\nThreads:\t");
    n = threads ? strtoul(threads, NULL, 10) : 1;
    return n ? n : 1;
}

uint64_t preflight_tasks(const char *proc, uid_t uid)
{
    char *status = malloc(STATUS_MAX);
    DIR *d = opendir(proc);
    const struct dirent *e;
    uint64_t n = 0;

    while (d && status && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && strlen(e->d_name) < 16)
            n += threads_of(proc, e->d_name, uid, status);
    if (d)
        closedir(d);
    free(status);
    return n;
}
