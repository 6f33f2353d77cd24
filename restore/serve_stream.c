/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/serve_impl.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIPE_SIZE (1 << 20)
#define SPLICE_MIN (256u << 10) /* of a smaller frame too many would be in the pipe */
#define SPLICE_STREAMS                                                                             \
    8u /* side by side; of more the frames that are kept would take too much memory */

static void stream_free(struct serve *s, struct stream *st)
{
    if (st->prev)
        st->prev->after = st->after;
    else
        s->streams = st->after;
    if (st->after)
        st->after->prev = st->prev;
    s->nstreams--;
    free(st);
}

/* The first of the ring.  pages_out: the pipe may still have pages of it. */
static void job_drop(struct serve *s, struct stream *st, bool pages_out)
{
    struct unpack_job *job = st->jobs[st->head];

    st->head = (st->head + 1) % AHEAD_MAX;
    st->n--;
    if (st->n > 0)
        s->ahead--;
    if (st->held > 0)
        st->held--;
    if (pages_out)
        unpack_forget(job);
    else
        unpack_release(s->unpack, job);
    free(job);
}

static struct unpack_job *current(const struct stream *st)
{
    return st->jobs[(st->head + st->held) % AHEAD_MAX];
}

/* What the reader has taken out of the pipe is free again.  The pipe's lock, under which the reader copies, is not asked
 * for before that is likely. */
static void drop_read(struct serve *s, struct stream *st)
{
    while (st->held > 0 && (st->held == AHEAD_MAX || st->put - st->ends[st->head] >= PIPE_SIZE)) {
        int unread;

        if (ioctl(st->fd, FIONREAD, &unread) < 0 || unread < 0 ||
            st->put - (uint64_t)unread < st->ends[st->head])
            break;
        job_drop(s, st, false);
    }
    if (st->held == AHEAD_MAX)
        job_drop(s, st, true);
}

/* The piece is in the pipe. */
static void piece_end(struct serve *s, struct stream *st)
{
    if (st->splices || st->held > 0) {
        if (!st->splices) /* it was copied: its place in the ring only keeps the order */
            unpack_release(s->unpack, current(st));
        st->ends[(st->head + st->held) % AHEAD_MAX] = st->put;
        st->held++;
        drop_read(s, st);
    } else {
        job_drop(s, st, false);
    }
    st->data = NULL;
    st->len = st->off = 0;
}

/* Frames are asked for as long as there is room; the first one of a stream always. */
static int stream_ask(struct serve *s, struct stream *st, struct err *err)
{
    while (st->fd >= 0 && st->next != INDEX_NONE && st->n < AHEAD_MAX &&
           (st->n == st->held || s->ahead < s->ahead_max)) {
        struct unpack_job *job = calloc(1, sizeof *job);

        if (!job)
            return err_sys(err, "%s", st->bulk->name);
        job->image = st->bulk;
        job->frame = &s->index->frames[st->next];
        st->next = job->frame->next;
        st->jobs[(st->head + st->n) % AHEAD_MAX] = job;
        if (st->n++ > 0)
            s->ahead++;
        unpack_submit(s->unpack, job);
    }
    return 0;
}

/* The next piece to write: 1 there is one, 0 it is being made, -1 none is left; -2 with a text. */
static int stream_piece(struct serve *s, struct stream *st, struct err *err)
{
    if (st->off < st->len)
        return 1;
    if (!st->bulk)
        return -1;
    if (st->data)
        piece_end(s, st);
    /* After the drop: a stream that has no frame left is sure of the next one. */
    if (stream_ask(s, st, err) < 0)
        return -2;
    if (st->n == st->held)
        return -1;
    if (!current(st)->done)
        return 0;
    st->data = current(st)->data;
    st->len = current(st)->frame->raw;
    st->off = 0;
    st->splices = st->len >= SPLICE_MIN && s->nstreams <= SPLICE_STREAMS;
    return st->data ? 1 : 0; /* a failed one is reported by unpack_collect */
}

static int stream_arm(struct serve *s, struct stream *st, bool armed, struct err *err)
{
    if (st->armed == armed)
        return 0;
    st->armed = armed;
    return serve_watch(s, EPOLL_CTL_MOD, st->fd, armed ? EPOLLOUT : 0, st, err);
}

void stream_wind_up(struct serve *s, struct stream *st)
{
    const bool cut = st->splices && st->data;

    /* It does not leave epoll by itself: CRIU may have the pipe's end as well, until it has closed what it sent. */
    if (st->fd >= 0)
        (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, st->fd, NULL);
    io_close(&st->fd);
    st->data = NULL;
    while (st->n > 0 && st->jobs[st->head]->done)
        job_drop(s, st, cut || st->held > 0);
    if (st->n == 0)
        stream_free(s, st);
}

/* Pages are put into the pipe as they are: to copy them there is to wait for the lock under which the reader copies them out,
 * and takes page faults (measured: half of the time of a restore).  They are not written to before they have been read. */
static ssize_t put(struct stream *st)
{
    struct iovec piece = {(void *)(uintptr_t)(st->data + st->off), st->len - st->off};
    ssize_t n = -1;

    errno = EINVAL;
    if (st->splices)
        n = vmsplice(st->fd, &piece, 1, SPLICE_F_NONBLOCK);
    if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE)
        n = write(st->fd, piece.iov_base, piece.iov_len);
    if (n > 0)
        st->put += (uint64_t)n;
    return n;
}

int stream_write(struct serve *s, struct stream *st, struct err *err)
{
    int piece;

    while (st->fd >= 0) {
        ssize_t n;

        piece = stream_piece(s, st, err);
        if (piece == -2)
            return -1;
        if (piece == 0)
            return stream_arm(s, st, false, err);
        if (piece < 0)
            break;
        n = put(st);
        if (n >= 0) {
            st->off += (size_t)n;
            s->bytes += (uint64_t)n;
            /* It is full.  To try again now would be to spin for the pipe's lock, which the reader holds. */
            if (st->off < st->len)
                return stream_arm(s, st, true, err);
        } else if (errno == EAGAIN) {
            return stream_arm(s, st, true, err);
        } else if (errno != EINTR) {
            break; /* EPIPE: the reader has what it wanted, or CRIU has failed and says so itself */
        }
    }
    stream_wind_up(s, st);
    return 0;
}

int stream_start(struct serve *s, int fd, const char *name, struct err *err)
{
    const struct image *im = bundle_find(s->bundle, name);
    struct stream *st = calloc(1, sizeof *st);

    if (!st) {
        err_sys(err, "%s", name);
        io_close(&fd);
        return -1;
    }
    st->fd = fd;
    st->next = INDEX_NONE;
    if (im) {
        st->data = im->data;
        st->len = im->len;
    } else {
        st->bulk = index_find(s->index, name);
        st->next = st->bulk->first;
    }
    st->after = s->streams;
    if (s->streams)
        s->streams->prev = st;
    s->streams = st;
    s->nstreams++;
    if (st->bulk || st->len > 65536)
        (void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE); /* a user's share of pipe memory may be used up */
    if (serve_watch(s, EPOLL_CTL_ADD, fd, 0, st, err) < 0)
        return -1;
    return stream_write(s, st, err);
}

int stream_distribute(struct serve *s, struct err *err)
{
    struct stream *st, *after;

    if (unpack_collect(s->unpack, err) < 0)
        return -1;
    for (st = s->streams; st; st = after) {
        after = st->after;
        if (st->fd < 0)
            stream_wind_up(s, st);
        else if (!st->armed && stream_write(s, st, err) < 0)
            return -1;
    }
    return 0;
}

void stream_end_all(struct serve *s)
{
    while (s->streams) {
        struct stream *st = s->streams;

        io_close(&st->fd);
        while (st->n > 0)
            job_drop(s, st, true);
        st->prev = NULL; /* as it is, being the first: for the static analyzer */
        stream_free(s, st);
    }
}
