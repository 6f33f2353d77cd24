/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/pack_impl.h"

#include "common/io.h"
#include "common/manifest.h"
#include "dump/press.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_FRAMES 8 /* are written between two rounds of page cache cleaning */
#define INDEX_MAX (256u << 20)

static void notify(struct pack *p)
{
    uint64_t one = 1;

    while (write(p->event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Called with the lock held; the first failure stays. */
static void fail(struct pack *p, int error, const char *what)
{
    if (p->failed)
        return;
    p->failed = error ? error : EIO;
    errno = p->failed;
    if (error == EFBIG)
        err_set(&p->err, "%s", what); /* says it all */
    else
        err_sys(&p->err, "%s", what);
    notify(p);
    pthread_cond_broadcast(&p->drained);
}

static const char too_large[] = "the checkpoint is larger than the site's MaxSize";

static bool exceeds(const struct pack *p, uint64_t at, size_t len)
{
    if (!p->max_bytes || at + len <= p->max_bytes)
        return false;
    errno = EFBIG;
    return true;
}

uint64_t pack_place(struct pack *p, size_t len)
{
    const uint64_t at = p->placed;

    p->placed += len;
    return at;
}

/* Zeros are as cheap to write again: f->taken stays NULL. */
static const char *look_in_base(struct pack *p, struct pack_work *f, struct press *tools)
{
    const char *wrong = press_digest(tools, f->pub.raw, f->pub.len, f->raw_sha256);

    if (wrong || !p->base ||
        (p->compress == COMPRESS_NONE && plain_is_zero(f->pub.raw, f->pub.len)))
        return wrong;
    f->taken = base_take(p->base, f->raw_sha256, (uint32_t)f->pub.len);
    return NULL;
}

/* When all threads write at a time, they all compute at a time afterwards, and the disk is idle: two in a row took the
 * sum of both (measured).  0 written, 1 nothing but zeros, -1. */
static int write_in_turn(struct pack *p, const struct pack_work *f)
{
    int rc, error;

    pthread_mutex_lock(&p->lock);
    while (p->writing >= p->writers && !p->stop)
        pthread_cond_wait(&p->turn, &p->lock);
    p->writing++;
    pthread_mutex_unlock(&p->lock);
    rc = plain_write(&p->plain, f->pub.raw, f->pub.len, f->at);
    error = errno;
    pthread_mutex_lock(&p->lock);
    p->writing--;
    pthread_cond_signal(&p->turn);
    pthread_mutex_unlock(&p->lock);
    errno = error;
    return rc;
}

static int fill(struct pack *p, const struct pack_work *f)
{
    if (f->pub.fill(f->pub.arg, f->pub.at, f->pub.raw, f->pub.len) < 0)
        return -1;
    pthread_mutex_lock(&p->lock);
    if (--p->unfilled == 0)
        notify(p);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* The place of an uncompressed frame is known beforehand: each thread writes its own. */
static const char *press(struct pack *p, struct pack_work *f, struct press *tools)
{
    const char *wrong;
    int rc;

    if (f->pub.fill && fill(p, f) < 0)
        return "cannot read the memory to be saved";
    if (p->incremental && ((wrong = look_in_base(p, f, tools)) || f->taken))
        return wrong;
    if (p->compress != COMPRESS_NONE)
        return press_frame(tools, f->pub.raw, f->pub.len, f->own, &f->stored_len, f->sha256);
    if (p->incremental) {
        pthread_mutex_lock(&p->lock);
        f->at = pack_place(p, f->pub.len);
        pthread_mutex_unlock(&p->lock);
        memcpy(f->sha256, f->raw_sha256, sizeof f->sha256);
    }
    if (exceeds(p, f->at, f->pub.len))
        return too_large;
    f->stored_len = f->pub.len;
    rc = write_in_turn(p, f);
    if (rc < 0)
        return "cannot write " MANIFEST_PAGES;
    f->zero = rc == 1;
    return p->incremental ? NULL : press_digest(tools, f->pub.raw, f->pub.len, f->sha256);
}

/* With the lock held, which is let go meanwhile. */
static void warm(struct pack *p)
{
    for (unsigned i = 0; i < p->nframes && !p->stop; i++) {
        struct pack_work *f = &p->frames[i];

        if (f->state != COLD)
            continue;
        f->state = WARMING;
        pthread_mutex_unlock(&p->lock);
        plain_touch(f->pub.raw, p->frame_bytes);
        pthread_mutex_lock(&p->lock);
        f->state = FREE;
        p->cold--;
        notify(p);
    }
}

void *pack_compressor(void *arg)
{
    struct pack *p = arg;
    struct press *tools = press_create(p->compress, p->level);

    pthread_mutex_lock(&p->lock);
    if (!tools)
        fail(p, ENOMEM, "compressor");
    warm(p);
    for (;;) {
        struct pack_work *f;

        while (!p->stop && p->next == p->tail)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->stop)
            break;
        f = p->queue[p->next++ % p->nframes];
        f->state = BUSY;
        if (!p->failed) {
            const char *wrong;
            int error;

            pthread_mutex_unlock(&p->lock);
            wrong = press(p, f, tools);
            error = errno;
            pthread_mutex_lock(&p->lock);
            if (wrong)
                fail(p, error, wrong);
        }
        f->state = DONE;
        pthread_cond_signal(&p->ready);
    }
    p->running--;
    pthread_cond_broadcast(&p->drained);
    pthread_mutex_unlock(&p->lock);
    press_destroy(tools);
    return NULL;
}

/* What was written is not read again here: start its way to the disk, and let go what has got there, so that
 * the job's own page cache stays. */
static void clean_cache(struct pack *p)
{
    uint64_t end = p->sums.stored_bytes;

    if (end - p->flushed < FLUSH_FRAMES * p->frame_bytes || plain_past_cache(&p->plain))
        return;
    (void)sync_file_range(p->fd, (off_t)p->flushed, (off_t)(end - p->flushed),
                          SYNC_FILE_RANGE_WRITE);
    if (p->flushed > p->cleaned)
        (void)posix_fadvise(p->fd, (off_t)p->cleaned, (off_t)(p->flushed - p->cleaned),
                            POSIX_FADV_DONTNEED);
    p->cleaned = p->flushed;
    p->flushed = end;
}

static int index_add(struct pack *p, const struct pack_work *f)
{
    struct frameline l = {
        .raw = (uint32_t)f->pub.len, .stored = (uint32_t)f->stored_len, .at = f->at};

    if (p->index_len + FRAMELINE_MAX > p->index_room) {
        size_t room = p->index_room ? 2 * p->index_room : 65536;
        char *bigger = room <= INDEX_MAX ? realloc(p->index, room) : (errno = EFBIG, NULL);

        if (!bigger)
            return -1;
        p->index = bigger;
        p->index_room = room;
    }
    memcpy(l.sha256, f->sha256, sizeof l.sha256);
    if (f->taken)
        l = f->taken->line;
    if (p->incremental) {
        memcpy(l.raw_sha256, f->raw_sha256, sizeof l.raw_sha256);
        l.mark = frameline_mark(f->pub.raw, f->pub.len);
    }
    memcpy(l.image, f->pub.image, sizeof l.image);
    p->index_len += frameline_format(&l, p->incremental, p->index + p->index_len);
    return 0;
}

/* Without the lock: sums and index are the writer's until it has drained. */
static const char *store(struct pack *p, struct pack_work *f)
{
    if (f->taken) {
        f->stored_len = 0;
    } else if (p->compress != COMPRESS_NONE) {
        f->at = p->sums.stored_bytes;
        if (exceeds(p, f->at, f->stored_len))
            return too_large;
        if (io_write_full(p->fd, f->own, f->stored_len) < 0)
            return "cannot write " MANIFEST_PAGES;
    } else if (f->zero && plain_hole(&p->plain, f->at, f->pub.len) < 0) {
        return "cannot make a hole";
    }
    if (index_add(p, f) < 0)
        return "cannot make the index";
    p->sums.frames++;
    p->sums.raw_bytes += f->pub.len;
    p->sums.stored_bytes += f->stored_len;
    clean_cache(p);
    return NULL;
}

void *pack_writer(void *arg)
{
    struct pack *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct pack_work *f;

        while (!p->stop && (p->head == p->tail || p->queue[p->head % p->nframes]->state != DONE))
            pthread_cond_wait(&p->ready, &p->lock);
        if (p->stop)
            break;
        f = p->queue[p->head % p->nframes];
        if (!p->failed) {
            const char *wrong;
            int error;

            pthread_mutex_unlock(&p->lock);
            wrong = store(p, f);
            error = errno;
            pthread_mutex_lock(&p->lock);
            if (wrong)
                fail(p, error, wrong);
        }
        p->head++;
        f->pub.len = 0;
        f->state = FREE;
        notify(p);
        if (p->head == p->tail)
            pthread_cond_broadcast(&p->drained);
    }
    p->running--;
    pthread_cond_broadcast(&p->drained);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
