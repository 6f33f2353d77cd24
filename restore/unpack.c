/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/unpack.h"

#include "common/io.h"
#include "common/manifest.h"
#include "restore/fetch.h"
#include "restore/unfold.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FILES (1 + MANIFEST_LINKS_MAX)
#define ROOM ((size_t)MANIFEST_STORED_MAX) /* also for MANIFEST_FRAME_MAX, which is less */
#define ROOM_SMALL                                                                                 \
    ((size_t)512 << 10) /* up to here a frame has room of its own size, which is not kept */
#define ROOMS_KEPT 16u  /* and two for each processor and reader */
#define NOT_ASKED (-2)

/* Room for the largest frame while it is not used, in huge pages; it begins with this. */
struct unpack_room {
    struct unpack_room *next;
};

struct unpack {
    const struct pages *pages;
    int direct
        [FILES]; /* those of pages once more, past the page cache; -1: not possible; or NOT_ASKED */
    int event;
    enum facts_compress compress;
    pthread_mutex_t lock;
    pthread_cond_t work, turn, ended;
    bool stop;
    unsigned computing, processors;  /* threads that verify and decompress; at most so many */
    struct unpack_job *first, *last; /* to do */
    struct unpack_job *finished;
    struct unpack_room *free;
    unsigned nfree;
    int failed; /* errno */
    struct err err;
    pthread_t *threads;
    unsigned nthreads, running;
};

/* What a thread has for itself. */
struct worker {
    struct unfold *unfold; /* NULL when they are not compressed */
    uint8_t *room;         /* for the largest frame */
};

static int fail(struct err *err, const struct unpack *u, const struct unpack_job *job, int error,
                const char *why)
{
    char name[48];

    errno = error;
    return err_set(
        err, "%s: %s at %" PRIu64 " (%s): %s", pages_name(u->pages, job->frame->file, name),
        error == EBADMSG ? "damaged" : "unreadable", job->frame->at, job->image->name, why);
}

static int check_digest(const struct unpack *u, const struct unpack_job *job, const void *data,
                        struct err *err)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n;

    if (EVP_Digest(data, job->frame->stored, md, &n, EVP_sha256(), NULL) != 1)
        return fail(err, u, job, EIO, "SHA-256 is not available");
    if (n != sizeof job->frame->sha256 || memcmp(md, job->frame->sha256, n) != 0)
        return fail(err, u, job, EBADMSG, "its digest differs");
    return 0;
}

static void blank(const struct unpack_job *job, uint8_t *data)
{
    const uint64_t start = job->frame->start;

    for (size_t i = 0; i < job->image->nblanks; i++)
        for (uint64_t at = job->image->blanks[i].at, end = at + 8; at < end; at++)
            if (at >= start && at - start < job->frame->raw)
                data[at - start] = 0;
}

/* With the lock held.  Many small frames must not take as much memory as large ones: the job's is filled meanwhile. */
static void take_room(struct unpack *u, struct unpack_job *job)
{
    const struct frame *f = job->frame;
    const size_t need = f->stored > f->raw ? f->stored : f->raw;
    struct unpack_room *room = u->free;

    job->room_len = need <= ROOM_SMALL ? need : ROOM;
    if (job->room_len < ROOM || !room) {
        job->room = fetch_room(job->room_len);
        return;
    }
    u->free = room->next;
    u->nfree--;
    job->room = (uint8_t *)room;
}

/* By the thread that needs it first: a file server may hang. */
static int direct_of(struct unpack *u, unsigned file)
{
    int fd, mine;

    pthread_mutex_lock(&u->lock);
    fd = u->direct[file];
    pthread_mutex_unlock(&u->lock);
    if (fd != NOT_ASKED)
        return fd;
    mine = fetch_open_direct(u->pages->fd[file]);
    pthread_mutex_lock(&u->lock);
    if (u->direct[file] == NOT_ASKED) {
        u->direct[file] = mine;
        mine = -1;
    }
    fd = u->direct[file];
    pthread_mutex_unlock(&u->lock);
    io_close(&mine);
    return fd;
}

/* As it is stored: what is not compressed, where it stays. */
static uint8_t *read_frame(struct unpack *u, const struct worker *w, const struct unpack_job *job,
                           struct err *err)
{
    const struct frame *f = job->frame;
    uint8_t *room = w->unfold ? w->room : job->room, *stored;

    if (!job->room || !room || (u->compress != COMPRESS_NONE && !w->unfold)) {
        fail(err, u, job, ENOMEM, "out of memory");
        return NULL;
    }
    stored = fetch_read(u->pages->fd[f->file], direct_of(u, f->file), room, f->stored, f->at);
    if (!stored)
        fail(err, u, job, errno, strerror(errno));
    return stored;
}

static int unpack_frame(const struct unpack *u, const struct worker *w, struct unpack_job *job,
                        uint8_t *stored, struct err *err)
{
    const struct frame *f = job->frame;
    const char *wrong = NULL;

    if (check_digest(u, job, stored, err) < 0)
        return -1;
    job->data = stored;
    if (w->unfold) {
        job->data = job->room;
        wrong = unfold_frame(w->unfold, stored, f->stored, job->data, f->raw);
    }
    if (wrong)
        return fail(err, u, job, EBADMSG, wrong);
    blank(job, job->data);
    return 0;
}

/* With the lock held: frames of one image are unpacked side by side. */
static int feed_probe(const struct unpack_job *job, struct err *err)
{
    struct probe *p = job->image->probe;
    const struct frame *f = job->frame;
    uint64_t from, to;

    if (!p)
        return 0;
    from = f->start > p->at ? f->start : p->at;
    to = f->start + f->raw < p->at + p->len ? f->start + f->raw : p->at + p->len;
    if (from >= to)
        return 0;
    memcpy(p->copy + (from - p->at), job->data + (from - f->start), (size_t)(to - from));
    p->have += to - from;
    if (p->have < p->len)
        return 0;
    return p->check(p->copy, p->len, err) < 0 ? err_prefix(err, "%s", job->image->name) : 0;
}

static void notify(struct unpack *u)
{
    uint64_t one = 1;

    while (write(u->event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static struct unpack_job *take(struct unpack *u)
{
    struct unpack_job *job;

    while (!u->stop && !u->first)
        pthread_cond_wait(&u->work, &u->lock);
    if (u->stop)
        return NULL;
    job = u->first;
    u->first = job->next;
    if (!u->first)
        u->last = NULL;
    return job;
}

/* With the lock held: more threads read than there are processors for what comes then. */
static void begin_computing(struct unpack *u)
{
    while (u->computing >= u->processors)
        pthread_cond_wait(&u->turn, &u->lock);
    u->computing++;
}

static void end_computing(struct unpack *u)
{
    u->computing--;
    pthread_cond_signal(&u->turn);
}

/* With the lock held, which is let go meanwhile.  0, or errno. */
static int do_job(struct unpack *u, const struct worker *w, struct unpack_job *job, struct err *err)
{
    uint8_t *stored;
    int error = u->failed;

    if (error)
        return error;
    take_room(u, job);
    pthread_mutex_unlock(&u->lock);
    stored = read_frame(u, w, job, err);
    error = stored ? 0 : errno;
    pthread_mutex_lock(&u->lock);
    if (error)
        return error;
    begin_computing(u);
    pthread_mutex_unlock(&u->lock);
    error = unpack_frame(u, w, job, stored, err) < 0 ? errno : 0;
    pthread_mutex_lock(&u->lock);
    end_computing(u);
    if (error == 0 && feed_probe(job, err) < 0)
        error = errno ? errno : EIO;
    return error;
}

/* With the lock held. */
static void put_room(struct unpack *u, struct unpack_job *job)
{
    struct unpack_room *room = (void *)job->room;

    if (job->room_len < ROOM || u->nfree >= ROOMS_KEPT + 2 * (u->processors + UNPACK_READERS)) {
        unpack_forget(job);
        return;
    }
    job->data = job->room = NULL;
    if (!room)
        return;
    room->next = u->free;
    u->free = room;
    u->nfree++;
}

void unpack_release(struct unpack *u, struct unpack_job *job)
{
    pthread_mutex_lock(&u->lock);
    put_room(u, job);
    pthread_mutex_unlock(&u->lock);
}

void unpack_forget(struct unpack_job *job)
{
    fetch_room_free(job->room, job->room_len);
    job->data = job->room = NULL;
}

static void *work(void *arg)
{
    struct unpack *u = arg;
    struct worker w = {NULL, NULL};
    struct unpack_job *job;

    if (u->compress != COMPRESS_NONE) {
        w.room = fetch_room(ROOM);
        w.unfold = unfold_create(u->compress);
    }
    pthread_mutex_lock(&u->lock);
    while ((job = take(u))) {
        struct err err = {""};
        int error = do_job(u, &w, job, &err);

        if (error)
            put_room(u, job);
        if (error && !u->failed) {
            u->failed = error;
            u->err = err;
        }
        job->next = u->finished;
        u->finished = job;
        notify(u);
    }
    u->running--;
    pthread_cond_broadcast(&u->ended);
    pthread_mutex_unlock(&u->lock);
    unfold_destroy(w.unfold);
    fetch_room_free(w.room, ROOM);
    return NULL;
}

static void release(struct unpack *u)
{
    while (u->free) {
        struct unpack_room *room = u->free;

        u->free = room->next;
        fetch_room_free((uint8_t *)room, ROOM);
    }
    io_close(&u->event);
    for (size_t i = 0; i < FILES; i++)
        io_close(&u->direct[i]);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->work);
    pthread_cond_destroy(&u->turn);
    pthread_cond_destroy(&u->ended);
    free(u->threads);
    free(u);
}

static int start(struct unpack *u, unsigned threads)
{
    int rc = 0;

    for (unsigned i = 0; i < threads && rc == 0; i++) {
        pthread_mutex_lock(&u->lock);
        rc = pthread_create(&u->threads[i], NULL, work, u);
        if (rc == 0) {
            u->running++;
            u->nthreads++;
        }
        pthread_mutex_unlock(&u->lock);
    }
    /* With fewer it only takes longer: the job's process limit may be tight. */
    if (u->nthreads > 0)
        return 0;
    errno = rc;
    return -1;
}

struct unpack *unpack_create(const struct pages *pages, enum facts_compress compress,
                             unsigned threads, struct err *err)
{
    struct unpack *u = calloc(1, sizeof *u);
    pthread_condattr_t monotonic;

    if (!u || threads < 1) {
        free(u);
        err_sys(err, "decompressor with %u threads", threads);
        return NULL;
    }
    u->pages = pages;
    u->compress = compress;
    u->processors = threads;
    threads += UNPACK_READERS;
    for (size_t i = 0; i < FILES; i++)
        u->direct[i] = NOT_ASKED;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->work, NULL);
    pthread_cond_init(&u->turn, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&u->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    u->threads = calloc(threads, sizeof *u->threads);
    if (u->event < 0 || !u->threads || start(u, threads) < 0) {
        err_sys(err, "decompressor with %u threads", threads);
        release(u);
        return NULL;
    }
    return u;
}

void unpack_submit(struct unpack *u, struct unpack_job *job)
{
    job->data = job->room = NULL;
    job->done = false;
    job->next = NULL;
    pthread_mutex_lock(&u->lock);
    if (u->last)
        u->last->next = job;
    else
        u->first = job;
    u->last = job;
    pthread_cond_signal(&u->work);
    pthread_mutex_unlock(&u->lock);
}

int unpack_eventfd(const struct unpack *u)
{
    return u->event;
}

int unpack_collect(struct unpack *u, struct err *err)
{
    uint64_t count;
    int failed;

    while (read(u->event, &count, sizeof count) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&u->lock);
    while (u->finished) {
        struct unpack_job *job = u->finished;

        u->finished = job->next;
        job->next = NULL;
        job->done = true;
    }
    failed = u->failed;
    if (failed && err)
        *err = u->err;
    pthread_mutex_unlock(&u->lock);
    if (!failed)
        return 0;
    errno = failed;
    return -1;
}

bool unpack_destroy(struct unpack *u)
{
    struct timespec until;
    int rc = 0;

    if (!u)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_broadcast(&u->work);
    while (u->running > 0 && rc == 0)
        rc = pthread_cond_timedwait(&u->ended, &u->lock, &until);
    pthread_mutex_unlock(&u->lock);
    if (rc != 0)
        return false;
    for (unsigned i = 0; i < u->nthreads; i++)
        pthread_join(u->threads[i], NULL);
    release(u);
    return true;
}
