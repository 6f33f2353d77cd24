/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/serve.h"

#include "common/criu.pb-c.h"
#include "common/io.h"
#include "restore/unpack.h"
#include "restore/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUEST_MAX 4096u
#define AHEAD_MAX                                                                                  \
    16u /* frames of one image that are decompressed ahead, or are still in the pipe */
#define PIPE_SIZE (1 << 20)
#define SPLICE_MIN (256u << 10) /* of a smaller frame too many would be in the pipe */
#define SPLICE_STREAMS                                                                             \
    8u /* side by side; of more the frames that are kept would take too much memory */
#define EVENTS 64

/* An image on its way into a pipe. */
struct stream {
    int fd; /* -1: the reader has left, or all is written; waiting for jobs to come back */
    const uint8_t *data; /* the piece being written */
    size_t len, off;
    const struct bulk *bulk;            /* NULL: from memory */
    uint32_t next;                      /* next frame to decompress */
    struct unpack_job *jobs[AHEAD_MAX]; /* ring: [head, head + n), in the order of the image */
    uint64_t ends[AHEAD_MAX];           /* of those that are put: `put` after their last byte */
    unsigned head, n;
    unsigned held; /* the first ones of the ring: wholly put, but the pipe has their pages */
    uint64_t put;  /* bytes in all */
    bool splices;  /* data goes into the pipe as the pages that it is in */
    bool armed;    /* epoll waits for room in the pipe */
    struct stream *prev, *after;
};

struct serve {
    int sock, epoll;
    const struct bundle *bundle;
    const struct index *index;
    struct unpack *unpack;
    struct stream *streams;
    unsigned nstreams;
    unsigned ahead; /* frames beyond one per stream, of all streams */
    unsigned ahead_max;
    uint8_t request[4 + REQUEST_MAX];
    size_t have;        /* of it */
    const char *wanted; /* name of an image whose pipe is to come */
    uint64_t bytes;
};

/* Distinguishes the two fixed descriptors from streams in epoll's data. */
static char socket_tag, unpack_tag;

static int watch(struct serve *s, int op, int fd, uint32_t events, void *tag, struct err *err)
{
    struct epoll_event e = {.events = events, .data.ptr = tag};

    if (epoll_ctl(s->epoll, op, fd, &e) < 0)
        return err_sys(err, "epoll");
    return 0;
}

struct serve *serve_create(const struct serve_opts *o, struct err *err)
{
    struct serve *s = calloc(1, sizeof *s);
    int sock = o->sock;

    if (!s) {
        err_sys(err, "streamer");
        io_close(&sock);
        return NULL;
    }
    s->sock = sock;
    s->bundle = o->bundle;
    s->index = o->index;
    s->ahead_max = 2 * o->threads + UNPACK_READERS;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->unpack = unpack_create(o->pages, o->compress, o->threads, err);
    if (!s->unpack)
        goto fail;
    if (s->epoll < 0 || fcntl(sock, F_SETFL, O_NONBLOCK) < 0) {
        err_sys(err, "streamer");
        goto fail;
    }
    if (watch(s, EPOLL_CTL_ADD, sock, EPOLLIN, &socket_tag, err) < 0 ||
        watch(s, EPOLL_CTL_ADD, unpack_eventfd(s->unpack), EPOLLIN, &unpack_tag, err) < 0)
        goto fail;
    return s;
fail:
    serve_destroy(s);
    return NULL;
}

int serve_fd(const struct serve *s)
{
    return s->epoll;
}

uint64_t serve_bytes(const struct serve *s)
{
    return s->bytes;
}

/* ---- streams ---- */

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
    while (st->held > 0 && st->put - st->ends[st->head] >= PIPE_SIZE) {
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
    if (st->splices) {
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
    /* What has begun to be held goes on so, in order. */
    st->splices = st->held > 0 || (st->len >= SPLICE_MIN && s->nstreams <= SPLICE_STREAMS);
    return st->data ? 1 : 0; /* a failed one is reported by unpack_collect */
}

static int stream_arm(struct serve *s, struct stream *st, bool armed, struct err *err)
{
    if (st->armed == armed)
        return 0;
    st->armed = armed;
    return watch(s, EPOLL_CTL_MOD, st->fd, armed ? EPOLLOUT : 0, st, err);
}

/* Jobs that are done are let go; the stream goes with the last. */
static void stream_wind_up(struct serve *s, struct stream *st)
{
    const bool cut = st->splices && st->data;

    io_close(&st->fd); /* leaves epoll by itself: no other descriptor of ours refers to the pipe */
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

/* Write what the pipe takes.  The stream may be gone afterwards. */
static int stream_write(struct serve *s, struct stream *st, struct err *err)
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

static int stream_start(struct serve *s, int fd, const char *name, struct err *err)
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
    if (watch(s, EPOLL_CTL_ADD, fd, 0, st, err) < 0)
        return -1;
    return stream_write(s, st, err);
}

/* ---- protocol ---- */

static int broken(struct err *err, const char *what)
{
    errno = EPROTO;
    return err_set(err, "streaming protocol: %s", what);
}

static int send_reply(struct serve *s, bool exists, struct err *err)
{
    ImgStreamerReplyEntry reply = IMG_STREAMER_REPLY_ENTRY__INIT;
    uint8_t buf[4 + 16];
    size_t n;

    reply.exists = exists;
    n = img_streamer_reply_entry__pack(&reply, buf + 4);
    crimg_put32(buf, (uint32_t)n);
    /* CRIU waits for it: the buffer is empty and takes all. */
    if (send(s->sock, buf, n + 4, MSG_NOSIGNAL) != (ssize_t)(n + 4))
        return err_sys(err, "cannot answer CRIU");
    return 0;
}

static int answer(struct serve *s, const uint8_t *msg, size_t len, struct err *err)
{
    ProtobufCMessage *m = wire_decode(msg, len, &img_streamer_request_entry__descriptor, err);
    const struct image *im;
    const struct bulk *bulk;
    const char *name;

    if (!m)
        return err_prefix(err, "streaming protocol");
    name = ((ImgStreamerRequestEntry *)m)->filename;
    im = bundle_find(s->bundle, name);
    bulk = im ? NULL : index_find(s->index, name);
    s->wanted = im ? im->name : bulk ? bulk->name : NULL;
    protobuf_c_message_free_unpacked(m, NULL);
    return send_reply(s, s->wanted != NULL, err);
}

/* Returns 1 when a whole request was answered, 0 when more must come, -1. */
static int take_request(struct serve *s, struct err *err)
{
    size_t want = 4;
    ssize_t n;

    if (s->have >= 4) {
        uint32_t len = crimg_get32(s->request);

        if (len > REQUEST_MAX)
            return broken(err, "a request that is too long");
        want = 4 + (size_t)len;
    }
    if (s->have < want) {
        n = recv(s->sock, s->request + s->have, want - s->have, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : err_sys(err, "streaming protocol");
        if (n == 0) { /* criu has left; what became of it is for its exit status to tell */
            (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->sock, NULL);
            io_close(&s->sock);
            return 0;
        }
        s->have += (size_t)n;
        return 1;
    }
    s->have = 0;
    return answer(s, s->request + 4, want - 4, err) < 0 ? -1 : 1;
}

static int take_pipe(struct serve *s, struct err *err)
{
    char byte;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&byte, 1};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *c;
    const char *name = s->wanted;
    struct stat st;
    int fd;
    ssize_t n = recvmsg(s->sock, &h, MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : err_sys(err, "streaming protocol");
    c = CMSG_FIRSTHDR(&h);
    if (n != 1 || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(sizeof(int)))
        return broken(err, "no pipe came");
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    s->wanted = NULL;
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        io_close(&fd);
        return broken(err, "what came is not a pipe to write to");
    }
    return stream_start(s, fd, name, err) < 0 ? -1 : 1;
}

static int take_all(struct serve *s, struct err *err)
{
    int rc;

    do
        rc = s->sock < 0 ? 0 : s->wanted ? take_pipe(s, err) : take_request(s, err);
    while (rc > 0);
    return rc;
}

/* Frames have come: the streams that waited for them go on. */
static int distribute(struct serve *s, struct err *err)
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

int serve_step(struct serve *s, struct err *err)
{
    struct epoll_event e[EVENTS];
    bool frames = false, requests = false;
    int n = epoll_wait(s->epoll, e, EVENTS, 0);

    if (n < 0)
        return errno == EINTR ? 0 : err_sys(err, "epoll");
    for (int i = 0; i < n; i++) {
        struct stream *st = e[i].data.ptr;

        if (e[i].data.ptr == &socket_tag)
            requests = true;
        else if (e[i].data.ptr == &unpack_tag)
            frames = true;
        else if (e[i].events & EPOLLOUT) {
            if (stream_write(s, st, err) < 0)
                return -1;
        } else {
            stream_wind_up(s, st); /* EPOLLERR alone: the reader is gone */
        }
    }
    /* After the streams: these may end any of them. */
    if (frames && distribute(s, err) < 0)
        return -1;
    return requests ? take_all(s, err) : 0;
}

bool serve_destroy(struct serve *s)
{
    int saved = errno;
    bool ended;

    if (!s)
        return true;
    ended = unpack_destroy(s->unpack);
    while (ended && s->streams) {
        struct stream *st = s->streams;

        io_close(&st->fd);
        while (st->n > 0)
            job_drop(s, st, true);
        stream_free(s, st);
    }
    io_close(&s->sock);
    io_close(&s->epoll);
    if (ended)
        free(s);
    errno = saved;
    return ended;
}
