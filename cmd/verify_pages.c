/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verify_pages.h"

#include "common/io.h"
#include "common/placement.h"
#include "restore/keptlist.h"

#include "restore/unpack.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MOST 8
#define TICK_MS 100

static unsigned threads(void)
{
    cpu_set_t set;
    int n = 1;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set) < THREADS_MOST ? CPU_COUNT(&set) : THREADS_MOST;
    return n > 0 ? (unsigned)n : 1;
}

/* Which image a frame belongs to: the index has it the other way round. */
static const struct bulk **owners(const struct index *ix)
{
    const struct bulk **owner = calloc(ix->nframes ? ix->nframes : 1, sizeof(const struct bulk *));

    for (size_t i = 0; owner && i < ix->nimages; i++)
        for (uint32_t f = ix->images[i].first; f != INDEX_NONE; f = ix->frames[f].next)
            owner[f] = &ix->images[i];
    return owner;
}

/* A window of frames on their way through the pool. */
struct window {
    const struct checkpoint *c;
    const struct bulk **owner;
    struct unpack *unpack;
    struct unpack_job *jobs;
    size_t njobs, next; /* the frame to be handed out next */
    uint64_t done;
};

/* Take what is finished and hand out the next ones; false when all is done. */
static bool refill(struct window *w)
{
    bool busy = false;

    for (size_t i = 0; i < w->njobs; i++) {
        struct unpack_job *j = &w->jobs[i];

        if (j->frame && j->done) {
            w->done += j->frame->stored;
            unpack_release(w->unpack, j);
            j->frame = NULL;
        }
        if (!j->frame && w->next < w->c->ix.nframes) {
            j->image = w->owner[w->next];
            j->frame = &w->c->ix.frames[w->next++];
            unpack_submit(w->unpack, j);
        }
        busy = busy || j->frame;
    }
    return busy;
}

static int pump(struct window *w, verify_pages_tick *tick, void *arg, struct err *err)
{
    struct pollfd event = {.fd = unpack_eventfd(w->unpack), .events = POLLIN};

    while (refill(w)) {
        if (poll(&event, 1, TICK_MS) < 0 && errno != EINTR)
            return err_sys(err, "poll");
        if (event.revents && unpack_collect(w->unpack, err) < 0)
            return -1;
        if (tick)
            tick(w->done, arg);
    }
    return 0;
}

int verify_pages(const struct checkpoint *c, verify_pages_tick *tick, void *arg, struct err *err)
{
    const unsigned n = threads();
    struct window w = {.c = c, .owner = owners(&c->ix), .njobs = 2 * (size_t)n + UNPACK_READERS};
    int rc = -1;

    w.jobs = calloc(w.njobs, sizeof *w.jobs);
    if (!w.owner || !w.jobs)
        err_sys(err, "no memory");
    else
        w.unpack = unpack_create(&c->pages, manifest_compress(&c->m), n, err);
    if (w.unpack)
        rc = pump(&w, tick, arg, err);
    /* A thread that hangs in the kernel keeps what it uses. */
    if (!unpack_destroy(w.unpack))
        return -1; /* NOLINT(clang-analyzer-unix.Malloc) */
    for (size_t i = 0; w.jobs && i < w.njobs; i++)
        unpack_forget(&w.jobs[i]);
    free(w.jobs);
    free(w.owner);
    return rc;
}

/* What a restore does not read. */
static int verify_placement(int taskfd, const struct checkpoint *c, struct err *err)
{
    struct placement p = {.nthreads = 0};
    int genfd = gendir_open_dir(taskfd, c->name, err), rc = -1;

    if (genfd >= 0)
        rc = placement_load(genfd, &c->m, &p, err);
    placement_free(&p);
    io_close(&genfd);
    return rc < 0 ? -1 : 0;
}

int verify_whole(int taskfd, struct gendir_id id, const struct facts *f, verify_pages_tick *tick,
                 void *arg, uint64_t *bytes, struct err *err)
{
    struct filelist files = {NULL, 0};
    struct checkpoint c;
    int rc;

    *bytes = 0;
    if (verify_open(taskfd, id, f, &c, err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof c.m.parts / sizeof c.m.parts[0]; i++)
        *bytes += c.m.parts[i].bytes;
    for (size_t i = 0; i < c.m.nlinks; i++)
        *bytes += c.m.links[i].used;
    rc = keptlist_load(&c.b, &c.ix, &files, err);
    filelist_free(&files);
    if (rc == 0)
        rc = verify_pages(&c, tick, arg, err);
    if (rc == 0)
        rc = verify_placement(taskfd, &c, err);
    verify_close(&c);
    return rc;
}
