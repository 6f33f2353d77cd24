/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/pack.h"

#include "common/io.h"
#include "common/manifest.h"
#include "common/runclock.h"
#include "dump/press.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_FRAMES 8 /* are written between two rounds of page cache cleaning */
#define WAITING 2u     /* more threads than processors where they wait for the disk, too */
#define INDEX_MAX (256u << 20)

enum state { FREE, FILLING, QUEUED, BUSY, DONE };

struct frame {
    struct pack_frame pub; /* first: the caller's pointer is ours */
    enum state state;
    uint64_t at;  /* where in the file */
    uint8_t *own; /* compressed */
    size_t stored_len;
    bool zero;                          /* uncompressed: nothing but zeros */
    uint8_t sha256[32], raw_sha256[32]; /* the second: incremental */
    const struct base_frame *taken;     /* NULL: it is in the file */
};

struct pack {
    int fd, event;
    struct plain plain;
    enum facts_compress compress;
    int level;
    uint64_t max_bytes;
    size_t frame_bytes;
    bool incremental;
    struct base *base;

    pthread_mutex_t lock;
    pthread_cond_t work;  /* something was queued, or the end */
    pthread_cond_t ready; /* a frame was done, or the end: for the writer */
    pthread_cond_t drained;
    bool stop;
    int failed; /* errno of the first failure */
    struct err err;

    struct frame *frames;
    unsigned nframes;
    struct frame **queue; /* ring of nframes: [head, tail) submitted and not yet written */
    uint64_t head, next, tail;
    uint64_t placed; /* uncompressed: bytes of the file that are given to frames */

    pthread_t *threads;
    unsigned nthreads, started, running;

    char *index;
    size_t index_len, index_room;
    struct pack_sums sums;
    uint64_t flushed, cleaned;
};

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

static uint64_t give_place(struct pack *p, size_t len)
{
    const uint64_t at = p->placed;

    p->placed += len;
    return at;
}

/* Zeros are as cheap to write again: f->taken stays NULL. */
static const char *look_in_base(struct pack *p, struct frame *f, struct press *tools)
{
    const char *wrong = press_digest(tools, f->pub.raw, f->pub.len, f->raw_sha256);

    if (wrong || !p->base ||
        (p->compress == COMPRESS_NONE && plain_is_zero(f->pub.raw, f->pub.len)))
        return wrong;
    f->taken = base_take(p->base, f->raw_sha256, (uint32_t)f->pub.len);
    return NULL;
}

/* The place of an uncompressed frame is known beforehand: each thread writes its own. */
static const char *press(struct pack *p, struct frame *f, struct press *tools)
{
    const char *wrong;

    if (f->pub.fill && f->pub.fill(f->pub.arg, f->pub.at, f->pub.raw, f->pub.len) < 0)
        return "cannot read the memory to be saved";
    if (p->incremental && ((wrong = look_in_base(p, f, tools)) || f->taken))
        return wrong;
    if (p->compress != COMPRESS_NONE)
        return press_frame(tools, f->pub.raw, f->pub.len, f->own, &f->stored_len, f->sha256);
    if (p->incremental) {
        pthread_mutex_lock(&p->lock);
        f->at = give_place(p, f->pub.len);
        pthread_mutex_unlock(&p->lock);
        memcpy(f->sha256, f->raw_sha256, sizeof f->sha256);
    }
    if (exceeds(p, f->at, f->pub.len))
        return too_large;
    f->stored_len = f->pub.len;
    return press_write(tools, &p->plain, f->pub.raw, f->pub.len, f->at, p->incremental, &f->zero,
                       f->sha256);
}

static void *compressor(void *arg)
{
    struct pack *p = arg;
    struct press *tools = press_create(p->compress, p->level);

    pthread_mutex_lock(&p->lock);
    if (!tools)
        fail(p, ENOMEM, "compressor");
    for (;;) {
        struct frame *f;

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

static int index_add(struct pack *p, const struct frame *f)
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
static const char *store(struct pack *p, struct frame *f)
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

static void *writer(void *arg)
{
    struct pack *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct frame *f;

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

/* Buffers are made here and not when needed: later, the job stands still. */
static int make_frames(struct pack *p)
{
    p->frames = calloc(p->nframes, sizeof *p->frames);
    p->queue = calloc(p->nframes, sizeof(struct frame *));
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
    return compress == COMPRESS_NONE ? threads + WAITING : threads;
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
    p->nframes = 2 * p->nthreads + 2;
    p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event < 0 || threads < 1 || make_frames(p) < 0) {
        err_sys(err, "compressor with %u threads", threads);
        release(p);
        return NULL;
    }
    init_locks(p);
    if (start(p, writer) < 0) {
        err_sys(err, "cannot start a thread");
        release(p);
        return NULL;
    }
    for (unsigned i = 0; i < p->nthreads; i++)
        if (start(p, compressor) < 0) {
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
    *idle = !got && p->head == p->tail;
    pthread_mutex_unlock(&p->lock);
    return got;
}

void pack_submit(struct pack *p, struct pack_frame *pub)
{
    struct frame *f = (struct frame *)(void *)pub;

    pthread_mutex_lock(&p->lock);
    if (pub->len == 0) {
        f->state = FREE;
    } else {
        f->state = QUEUED;
        f->taken = NULL;
        f->zero = false;
        if (!p->incremental && p->compress == COMPRESS_NONE)
            f->at = give_place(p, pub->len);
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
