/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/headroom.h"
#include "check/impl.h"
#include "common/criu.pb-c.h"
#include "restore/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB(bytes) ((unsigned long long)((bytes) >> 20))

static uint64_t hard_limit(int which)
{
    struct rlimit r;

    return getrlimit(which, &r) < 0 || r.rlim_max == RLIM_INFINITY ? UINT64_MAX : r.rlim_max;
}

/* Shared memory and file pages count as they are touched: what is saved is the least that comes back. */
static void check_memory(const struct manifest *m, struct preflight *p)
{
    uint64_t need = m->raw_bytes + headroom_need((unsigned)m->nprocesses);
    uint64_t most = hard_limit(RLIMIT_AS);
    struct headroom h;

    headroom_read("", &h);
    if (h.room < need)
        preflight_add(p, "memory", PREFLIGHT_FAIL, HERE, "%llu MiB are needed, %llu MiB are free%s",
                      MIB(need), MIB(h.room),
                      h.limit == UINT64_MAX ? "" : " in this step's control group");
    else if (most < m->raw_bytes)
        preflight_add(p, "memory", PREFLIGHT_FAIL, HERE,
                      "%llu MiB were saved, ulimit -v is %llu MiB", MIB(m->raw_bytes), MIB(most));
    else
        preflight_add(p, "memory", PREFLIGHT_GOOD, HERE, "%llu MiB are needed", MIB(need));
}

/* CRIU and its helper beside them */
#define HELPERS 4

static void check_processes(const struct manifest *m, struct preflight *p)
{
    uint64_t threads = 0, most = hard_limit(RLIMIT_NPROC), there = 0;
    struct headroom h;

    for (size_t i = 0; i < m->nprocesses; i++)
        threads += m->processes[i].nthreads;
    headroom_pids("", &h);
    if (most != UINT64_MAX && !(p->by_hand && strcmp(m->isolation, "private") == 0))
        there = preflight_tasks("/proc", getuid());
    if (h.room < threads + HELPERS)
        preflight_add(p, "processes", PREFLIGHT_FAIL, HERE,
                      "%" PRIu64 " threads and %d of ours, %" PRIu64
                      " more are allowed in this step's control group (pids.max %" PRIu64 ")",
                      threads, HELPERS, h.room, h.limit);
    else if (there > most || threads + HELPERS > most - there)
        preflight_add(p, "processes", PREFLIGHT_FAIL, HERE,
                      "%" PRIu64 " threads and %d of ours, ulimit -u is %" PRIu64
                      ", of which this user's processes here have %" PRIu64,
                      threads, HELPERS, most, there);
    else
        preflight_add(p, "processes", PREFLIGHT_GOOD, HERE, "%zu with %" PRIu64 " threads",
                      m->nprocesses, threads);
}

/* The highest descriptor of any process. */
static int highest(const struct image *im, uint32_t *top)
{
    const uint8_t *msg;
    struct crimg_iter it;
    size_t len;
    int rc;

    if (crimg_open(&it, &im->parsed, im->data, im->len, NULL) < 0)
        return -1;
    while ((rc = crimg_next(&it, &msg, &len, NULL)) > 0) {
        FdinfoEntry *e = (FdinfoEntry *)wire_decode(msg, len, &fdinfo_entry__descriptor, NULL);

        if (!e)
            return -1;
        *top = e->fd > *top ? e->fd : *top;
        protobuf_c_message_free_unpacked(&e->base, NULL);
    }
    return rc;
}

static void check_descriptors(const struct checkpoint *c, struct preflight *p)
{
    uint64_t most = hard_limit(RLIMIT_NOFILE);
    uint32_t top = 0;

    for (size_t i = 0; i < c->b.n; i++)
        if (strncmp(c->b.images[i].name, "fdinfo-", 7) == 0 && highest(&c->b.images[i], &top) < 0) {
            preflight_add(p, "descriptors", PREFLIGHT_FAIL, EVERYWHERE, "%s cannot be read",
                          c->b.images[i].name);
            return;
        }
    if (top >= most)
        preflight_add(p, "descriptors", PREFLIGHT_FAIL, HERE,
                      "one is number %u, ulimit -Hn is %" PRIu64, top, most);
    else
        preflight_add(p, "descriptors", PREFLIGHT_GOOD, HERE, "the highest is %u", top);
}

/* For the next generation. */
static void check_space(int taskfd, const struct manifest *m, struct preflight *p)
{
    struct statvfs st;
    uint64_t room;

    if (fstatvfs(taskfd, &st) < 0) {
        preflight_add(p, "space", PREFLIGHT_WARN, EVERYWHERE, "statvfs: %s", strerror(errno));
        return;
    }
    room = (uint64_t)st.f_bavail * st.f_frsize;
    if (room < m->stored_bytes || (st.f_files && st.f_favail < 16))
        preflight_add(p, "space", PREFLIGHT_WARN, EVERYWHERE,
                      "%llu MiB free; one more checkpoint takes about %llu MiB", MIB(room),
                      MIB(m->stored_bytes));
    else
        preflight_add(p, "space", PREFLIGHT_GOOD, EVERYWHERE, "%llu MiB free", MIB(room));
}

void preflight_limits(int taskfd, const struct checkpoint *c, struct preflight *p)
{
    check_memory(&c->m, p);
    check_processes(&c->m, p);
    check_descriptors(c, p);
    check_space(taskfd, &c->m, p);
}
