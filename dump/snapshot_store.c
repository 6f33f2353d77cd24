/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_store.h"

#include "dump/capture.h"
#include "dump/snapshot_pages.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct snapshot_store {
    const struct snapshot_store_opts *o;
    struct snapshot_pages **pages; /* one per snapshot */
    size_t n;
    bool looked; /* at what can wait until the threads have something to do */
    bool ended;  /* the snapshots were read, and are no more */
};

static int check(const struct snapshot_store *st, const struct pollfd *fds, struct err *err)
{
    if (fds[0].revents)
        pack_clear_event(st->o->pack);
    if (pack_failed(st->o->pack, err) < 0)
        return -1;
    if (wanted_look(&st->o->wanted, fds + 1, err) < 0)
        return -1;
    return st->o->watch && !st->ended ? st->o->watch(st->o->watch_arg, err) : 0;
}

/* Until something has happened in the pack, or it is time to look at memory again. */
static int wait_pack(const struct snapshot_store *st, int ms, struct err *err)
{
    struct pollfd fds[1 + WANTED_FDS] = {{.fd = pack_eventfd(st->o->pack), .events = POLLIN}};

    wanted_pollfds(&st->o->wanted, fds + 1);
    if (poll(fds, 1 + WANTED_FDS, ms) < 0 && errno != EINTR)
        return err_sys(err, "poll");
    return check(st, fds, err);
}

/* Some milliseconds, in which the first frames are read, digested and written. */
static int look_once(struct snapshot_store *st, struct err *err)
{
    if (st->looked)
        return 0;
    st->looked = true;
    if (snapshot_check_early(st->o->snapshot, err) < 0)
        return -1;
    return snapshot_trim(st->o->snapshot, st->o->watch, st->o->watch_arg, err);
}

static int feed(struct snapshot_store *st, size_t i, struct err *err)
{
    const struct snapshot_process *p = snapshot_at(st->o->snapshot, i);
    uint64_t total = snapshot_pages_bytes(st->pages[i]), at = 0;

    while (at < total) {
        uint64_t left = total - at;
        struct pack_frame *f;
        bool idle;

        f = pack_get(st->o->pack, &idle);
        if (!f) {
            if (look_once(st, err) < 0 || wait_pack(st, SNAPSHOT_WATCH_MS, err) < 0)
                return -1;
            continue;
        }
        memcpy(f->image, p->pages, sizeof f->image);
        f->len = left < f->room ? (size_t)left : f->room;
        if (st->o->incremental)
            f->len = snapshot_pages_cut(st->pages[i], at, f->room);
        f->fill = snapshot_pages_fill;
        f->arg = st->pages[i];
        f->at = at;
        at += f->len;
        pack_submit(st->o->pack, f);
    }
    return 0;
}

struct snapshot_store *snapshot_store_create(const struct snapshot_store_opts *opts,
                                             struct err *err)
{
    struct snapshot_store *st = calloc(1, sizeof *st);
    size_t n = snapshot_count(opts->snapshot);

    if (!st || !(st->pages = calloc(n + 1, sizeof(struct snapshot_pages *)))) {
        free(st);
        err_sys(err, "snapshot");
        return NULL;
    }
    st->o = opts;
    st->n = n;
    return st;
}

static int prove(const struct snapshot_store *st, struct err *err)
{
    for (size_t i = 0; i < st->n; i++)
        if (snapshot_pages_prove(st->pages[i], st->o->images, err) < 0)
            return -1;
    return 0;
}

/* While the last frames are on their way to the disk. */
static int let_go(struct snapshot_store *st, struct err *err)
{
    while (!pack_filled(st->o->pack))
        if (wait_pack(st, SNAPSHOT_WATCH_MS, err) < 0)
            return -1;
    if (snapshot_alive(st->o->snapshot, err) < 0)
        return -1;
    st->ended = true;
    snapshot_kill(st->o->snapshot);
    return 0;
}

static int write_all(struct snapshot_store *st, struct err *err)
{
    if (wait_pack(st, 0, err) < 0)
        return -1;
    for (size_t i = 0; i < st->n; i++) {
        st->pages[i] = snapshot_pages_create(snapshot_at(st->o->snapshot, i), st->o->images, err);
        if (!st->pages[i] || wait_pack(st, 0, err) < 0 || feed(st, i, err) < 0)
            return -1;
    }
    return look_once(st, err) < 0 || prove(st, err) < 0 ? -1 : let_go(st, err);
}

int snapshot_store_finish(const struct snapshot_store *st, struct err *err)
{
    while (pack_finish(st->o->pack, capture_now_ms() + SNAPSHOT_WATCH_MS, err) < 0) {
        int error = errno;

        if (wait_pack(st, 0, err) < 0)
            return -1;
        if (error != ETIMEDOUT) {
            errno = error;
            return -1;
        }
    }
    return 0;
}

int snapshot_store_run(struct snapshot_store *st, struct err *err)
{
    int error;

    if (write_all(st, err) == 0)
        return 0;
    error = errno;
    /* One that was killed is the cause of whatever was met in reading it. */
    if (st->ended || snapshot_alive(st->o->snapshot, err) == 0)
        errno = error;
    return -1;
}

void snapshot_store_destroy(struct snapshot_store *st)
{
    int saved = errno;

    if (!st)
        return;
    for (size_t i = 0; i < st->n; i++)
        snapshot_pages_destroy(st->pages[i]);
    free(st->pages);
    free(st);
    errno = saved;
}
