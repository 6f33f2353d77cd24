/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_policy.h"

#include "able/headroom.h"
#include "common/io.h"
#include "dump/capture.h"
#include "dump/snapshot_pages.h"
#include "dump/target.h"
#include "dump/tree_hold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORTH (4u << 20)       /* below that CRIU's copy takes no longer than a fork */
#define REST_MAX (64u << 20)   /* CRIU's own pages of a process, kept in memory for merging */
#define RESERVE (32u << 20)    /* for us */
#define PER_CPU (16u << 20)    /* what a processor may copy between two looks */
#define ACCOUNTED (128u << 20) /* what our own processes count for */
#define HELD_LEAST (8u << 20)  /* that must be left when it has stopped changing memory */
#define PART 4                 /* of the memory must there be room for, beforehand */

struct snapshot_policy {
    uint64_t low; /* bytes of headroom below which the job must not go on changing memory */
    enum facts_tight tight;
    struct snapshot *snapshot;
    struct tree_hold *hold;
    int64_t held_since;
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
static uint64_t room_for(struct snapshot_policy *p, const struct facts *f, pid_t root, uint64_t own)
{
    uint64_t commit = headroom_commit(""), room;
    struct headroom h;
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    p->low = RESERVE + own + (uint64_t)cpus * PER_CPU;
    headroom_read("", &h);
    room = h.room > p->low ? h.room - p->low : 0;
    if (room < UINT64_MAX / PART && !h.all_die)
        room *= PART;
    /* Slurm's accounting adds up what each process has, and knows nothing of sharing. */
    if (f->memory_kill) {
        uint64_t used = target_memory(root) + ACCOUNTED;

        room = min(room, f->memory_kill > used ? f->memory_kill - used : 0);
    }
    /* What is promised to the snapshot cannot be promised to the job. */
    return min(room, commit / 2);
}

static const char *forgo(const struct facts *f, pid_t root, bool stop, bool plain)
{
    if (f->snapshot == SNAPSHOT_NO)
        return "not wanted (snapshot=no)";
    if (plain && f->snapshot != SNAPSHOT_REQUIRE)
        return "the last one failed";
    if (stop)
        return "the job ends here anyway";
    if (sysconf(_SC_PAGESIZE) != 4096)
        return "pages of this size are not known to it";
    if (!snapshot_pages_possible(root))
        return "this kernel has no PAGEMAP_SCAN (Linux 6.7)";
    return NULL;
}

struct snapshot_policy *snapshot_policy_apply(struct snapshot *s, const struct facts *f, pid_t root,
                                              uint64_t own, bool stop, bool plain, struct err *err)
{
    struct snapshot_policy *p = calloc(1, sizeof *p);
    struct snapshot_word plan = {.pid = root, .bytes = WORTH, .rest_max = REST_MAX};
    const char *why = forgo(f, root, stop, plain);

    if (!p) {
        err_sys(err, "snapshot");
        return NULL;
    }
    p->tight = f->snapshot_tight;
    p->snapshot = s;
    if (why && (stop || f->snapshot != SNAPSHOT_REQUIRE)) {
        if (snapshot_forgo(s, why, err) == 0)
            return p;
        snapshot_policy_destroy(p);
        return NULL;
    }
    if (why) {
        errno = ENOTSUP;
        err_set(err, "snapshot=require: %s", why);
        snapshot_policy_destroy(p);
        return NULL;
    }
    if (f->snapshot == SNAPSHOT_REQUIRE)
        snapshot_require(s);
    plan.room = room_for(p, f, root, own);
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
    tree_hold_destroy(p->hold);
    free(p);
}

static int hold(struct snapshot_policy *p, struct err *err)
{
    p->held_since = capture_now_ms();
    p->hold = tree_hold_create();
    if (!p->hold)
        return err_sys(err, "snapshot");
    for (size_t i = 0; i < snapshot_count(p->snapshot); i++)
        if (tree_hold_add(p->hold, snapshot_at(p->snapshot, i)->pid, err) < 0)
            return -1;
    return 0;
}

uint32_t snapshot_policy_release(struct snapshot_policy *p)
{
    int64_t ms;

    if (!p || !p->hold)
        return 0;
    tree_hold_destroy(p->hold);
    p->hold = NULL;
    ms = capture_now_ms() - p->held_since;
    return ms < 1 ? 1 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

int snapshot_policy_watch(void *arg, struct err *err)
{
    struct snapshot_policy *p = arg;
    struct headroom h;

    headroom_read("", &h);
    if (h.room >= p->low)
        return 0;
    if (p->tight == TIGHT_HOLD && !p->hold)
        return hold(p, err);
    /* Held it changes nothing any more; but it may not be alone on this node.  What we have written ourselves is given back
     * as soon as the disk has it: the kernel waits for that before it kills. */
    if (p->hold && h.room + h.slow >= HELD_LEAST)
        return 0;
    errno = ENOMEM;
    return err_set(err,
                   "the snapshot was given up: %llu MiB of memory were left; the next checkpoint "
                   "stops the job for as long as it takes",
                   (unsigned long long)(h.room >> 20));
}
