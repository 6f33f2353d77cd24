/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_policy.h"

#include "common/io.h"
#include "dump/headroom.h"
#include "dump/snapshot_pages.h"
#include "dump/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORTH (4u << 20)     /* below that CRIU's copy takes no longer than a fork */
#define REST_MAX (64u << 20) /* CRIU's own pages of a process, kept in memory for merging */
#define RESERVE (32u << 20)  /* for us */
#define PER_CPU (32u << 20)  /* what a processor may copy between two looks */
#define PART 4               /* of the memory must there be room for, beforehand */

struct snapshot_policy {
    struct headroom *headroom;
    uint64_t low; /* bytes of headroom below which the snapshot has to go */
};

/* Threads of a user in /proc: what RLIMIT_NPROC counts, as far as it can be seen from here. */
static uint64_t count_tasks(uid_t uid)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    uint64_t n = 0;

    while (d && (e = readdir(d))) {
        char path[300], text[4096], *at;
        struct stat st;
        int fd;
        ssize_t len;

        if (*e->d_name < '1' || *e->d_name > '9' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
            continue;
        snprintf(path, sizeof path, "%s/status", e->d_name);
        fd = openat(dirfd(d), path, O_RDONLY | O_CLOEXEC);
        len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        io_close(&fd);
        if (len <= 0)
            continue;
        text[len] = '\0';
        /* The directory is root's when the process is not dumpable. */
        at = strstr(text, "\nUid:");
        if (!at || strtoul(at + 5, NULL, 10) != uid)
            continue;
        at = strstr(text, "\nThreads:");
        n += at ? strtoul(at + 9, NULL, 10) : 1;
    }
    if (d)
        closedir(d);
    return n;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Bytes of memory of which a snapshot may be made. */
static uint64_t room_for(struct snapshot_policy *p)
{
    uint64_t now = headroom_now(p->headroom), commit = headroom_commit(), room;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    p->low = min(RESERVE + (uint64_t)(cpus > 0 ? cpus : 1) * PER_CPU, now / 3);
    if (now == UINT64_MAX)
        return now;
    room = now > p->low ? now - p->low : 0;
    if (!headroom_all_die(p->headroom))
        room *= PART;
    /* What is promised to the snapshot cannot be promised to the job. */
    return min(room, commit / 2);
}

static const char *forgo(const struct facts *f, pid_t root, bool stop, bool plain)
{
    if (f->snapshot == SNAPSHOT_NO)
        return "not wanted (snapshot=no)";
    if (plain)
        return "the last one failed";
    if (stop)
        return "the job ends here anyway";
    if (!snapshot_pages_possible(root))
        return "this kernel has no PAGEMAP_SCAN (Linux 6.7)";
    return NULL;
}

struct snapshot_policy *snapshot_policy_apply(struct snapshot *s, const struct facts *f, pid_t root,
                                              bool stop, bool plain, struct err *err)
{
    struct snapshot_policy *p = calloc(1, sizeof *p);
    struct snapshot_word plan = {.pid = root, .bytes = WORTH, .rest_max = REST_MAX};
    const char *why = forgo(f, root, stop, plain);

    if (!p || !(p->headroom = headroom_create(err))) {
        free(p);
        err_sys(err, "snapshot");
        return NULL;
    }
    if (why) {
        snapshot_forgo(s, why);
        return p;
    }
    plan.room = room_for(p);
    plan.tasks = count_tasks(f->uid);
    if (snapshot_plan(s, &plan, err) == 0)
        return p;
    snapshot_policy_destroy(p);
    return NULL;
}

void snapshot_policy_destroy(struct snapshot_policy *p)
{
    if (!p)
        return;
    headroom_destroy(p->headroom);
    free(p);
}

int snapshot_policy_watch(void *arg, struct err *err)
{
    const struct snapshot_policy *p = arg;
    uint64_t now = headroom_now(p->headroom);

    if (now >= p->low)
        return 0;
    errno = ENOMEM;
    return err_set(err,
                   "the snapshot was given up: the job's changes left %llu MiB of memory; the next "
                   "checkpoint stops it for as long as it takes",
                   (unsigned long long)(now >> 20));
}
