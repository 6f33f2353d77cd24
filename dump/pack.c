/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/pack_impl.h"

#include "common/manifest.h"
#include "common/runclock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 2u /* threads that wait for the disk, besides one for each processor */

static void release(struct pack *p)
{
    for (unsigned i = 0; p->frames && i < p->nframes; i++) {
        free(p->frames[i].pub.raw);
        free(p->frames[i].own);
    }
    free(p->frames);
    free(p->queue);
    free(p->threads);
    free(p->index);
    plain_free(&p->plain);
    if (p->event >= 0)
        close(p->event);
    free(p);
}

/* Buffers are made here, and by the threads as soon as they run, and not when needed: later, the job stands still. */
static int make_frames(struct pack *p)
{
    p->frames = calloc(p->nframes, sizeof *p->frames);
    p->queue = calloc(p->nframes, sizeof(struct pack_work *));
    p->threads = calloc(p->nthreads + 1, sizeof *p->threads);
    if (!p->frames || !p->queue || !p->threads)
        return -1;
    for (unsigned i = 0; i < p->nframes; i++) {
        p->frames[i].pub.raw = plain_buffer(p->frame_bytes);
        p->frames[i].pub.room = p->frame_bytes;
        if (!p->frames[i].pub.raw)
            return -1;
        if (p->compress != COMPRESS_NONE) {
            p->frames[i].own = malloc(MANIFEST_STORED_MAX);
            if (!p->frames[i].own)
                return -1;
        }
    }
    return 0;
}

static void init_locks(struct pack *p)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->ready, NULL);
    pthread_cond_init(&p->turn, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static int start(struct pack *p, void *(*fn)(void *))
{
    int rc;

    pthread_mutex_lock(&p->lock);
    rc = pthread_create(&p->threads[p->started], NULL, fn, p);
    if (rc == 0) {
        p->started++;
        p->running++;
    }
    pthread_mutex_unlock(&p->lock);
    if (rc == 0)
        return 0;
    errno = rc;
    return -1;
}

static unsigned count_threads(unsigned threads, enum facts_compress compress)
{
    return compress == COMPRESS_NONE ? threads + WRITERS : threads;
}

uint64_t pack_memory(unsigned threads, size_t frame_bytes, enum facts_compress compress, int level)
{
    /* zstd's tables follow the level and, for a frame whose size is known, that size */
    uint64_t tables = compress != COMPRESS_ZSTD ? 256u << 10
                      : level <= 3              ? frame_bytes / 2 + (1u << 20)
                      : level <= 9              ? 2 * frame_bytes + (2u << 20)
                                                : 16 * frame_bytes + (4u << 20);
    unsigned buffers = compress == COMPRESS_NONE ? 1 : 2, all = count_threads(threads, compress);

    return (uint64_t)(2 * all + 2) * frame_bytes * buffers + all * tables;
}

void pack_incremental(struct pack *p, struct base *base)
{
    p->incremental = true;
    p->base = base;
}

const struct base *pack_base(const struct pack *p)
{
    return p->base;
}

struct pack *pack_create(int fd, unsigned threads, enum facts_compress compress, int level,
                         uint64_t max_bytes, struct err *err)
{
    return pack_create_sized(fd, threads, MANIFEST_FRAME_MAX, compress, level, max_bytes, err);
}

struct pack *pack_create_sized(int fd, unsigned threads, size_t frame_bytes,
                               enum facts_compress compress, int level, uint64_t max_bytes,
                               struct err *err)
{
    struct pack *p = calloc(1, sizeof *p);

    if (!p) {
        err_sys(err, "compressor");
        return NULL;
    }
    p->fd = fd;
    p->compress = compress;
    p->level = level;
    p->max_bytes = max_bytes;
    p->plain = (struct plain){.fd = fd, .direct = -1};
    p->frame_bytes = frame_bytes;
    p->nthreads = count_threads(threads, compress);
    p->writers = WRITERS;
    p->nframes = p->cold = 2 * p->nthreads + 2;
    p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event < 0 || threads < 1 || make_frames(p) < 0) {
        err_sys(err, "compressor with %u threads", threads);
        release(p);
        return NULL;
    }
    init_locks(p);
    if (start(p, pack_writer) < 0) {
        err_sys(err, "cannot start a thread");
        release(p);
        return NULL;
    }
    for (unsigned i = 0; i < p->nthreads; i++)
        if (start(p, pack_compressor) < 0) {
            err_sys(err, "cannot start a thread");
            (void)pack_destroy(p);
            return NULL;
        }
    return p;
}

void pack_direct(struct pack *p, int fd, uint64_t bytes)
{
    if (p->compress != COMPRESS_NONE)
        return;
    p->plain.direct = fd;
    plain_allocate(&p->plain, bytes);
}

struct pack_frame *pack_get(struct pack *p, bool *idle)
{
    struct pack_frame *got = NULL;

    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->nframes && !got; i++)
        if (p->frames[i].state == FREE) {
            p->frames[i].state = FILLING;
            got = &p->frames[i].pub;
            got->len = 0;
            got->fill = NULL;
        }
    *idle = !got && p->head == p->tail && p->cold == 0;
    pthread_mutex_unlock(&p->lock);
    return got;
}

void pack_submit(struct pack *p, struct pack_frame *pub)
{
    struct pack_work *f = (struct pack_work *)(void *)pub;

    pthread_mutex_lock(&p->lock);
    if (pub->len == 0) {
        f->state = FREE;
    } else {
        f->state = QUEUED;
        f->taken = NULL;
        f->zero = false;
        p->unfilled += pub->fill != NULL;
        if (!p->incremental && p->compress == COMPRESS_NONE)
            f->at = pack_place(p, pub->len);
        p->queue[p->tail++ % p->nframes] = f;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
}

int pack_eventfd(const struct pack *p)
{
    return p->event;
}

void pack_clear_event(struct pack *p)
{
    uint64_t n;

    while (read(p->event, &n, sizeof n) < 0 && errno == EINTR)
        ;
}

int pack_failed(struct pack *p, struct err *err)
{
    int failed;

    pthread_mutex_lock(&p->lock);
    failed = p->failed;
    if (failed && err)
        *err = p->err;
    pthread_mutex_unlock(&p->lock);
    if (!failed)
        return 0;
    errno = failed;
    return -1;
}

bool pack_filled(struct pack *p)
{
    bool filled;

    pthread_mutex_lock(&p->lock);
    filled = p->unfilled == 0;
    pthread_mutex_unlock(&p->lock);
    return filled;
}

int pack_finish(struct pack *p, int64_t deadline, struct err *err)
{
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    while (!p->failed && p->head != p->tail && rc == 0) {
        struct timespec until = runclock_next(deadline);

        (void)pthread_cond_timedwait(&p->drained, &p->lock, &until);
        if (runclock_ms() >= deadline && p->head != p->tail)
            rc = ETIMEDOUT;
    }
    pthread_mutex_unlock(&p->lock);
    if (pack_failed(p, err) < 0)
        return -1;
    if (rc != 0) {
        errno = rc;
        return err_set(err, "writing " MANIFEST_PAGES " did not end in time");
    }
    if (p->compress == COMPRESS_NONE && plain_end(&p->plain, p->sums.stored_bytes) < 0)
        return err_sys(err, "cannot write " MANIFEST_PAGES);
    return 0;
}

const char *pack_index(const struct pack *p, size_t *len)
{
    *len = p->index_len;
    return p->index ? p->index : "";
}

void pack_sums(const struct pack *p, struct pack_sums *sums)
{
    *sums = p->sums;
}

bool pack_destroy(struct pack *p)
{
    struct timespec until;
    int rc = 0;

    if (!p)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 2;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->turn);
    pthread_cond_broadcast(&p->ready);
    while (p->running > 0 && rc == 0)
        rc = pthread_cond_timedwait(&p->drained, &p->lock, &until);
    pthread_mutex_unlock(&p->lock);
    if (rc != 0)
        return false;
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    release(p);
    return true;
}
