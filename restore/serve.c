/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/serve_impl.h"

#include "common/criu.pb-c.h"
#include "common/io.h"
#include "restore/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS 64

/* Distinguishes the two fixed descriptors from streams in epoll's data. */
static char socket_tag, unpack_tag;

int serve_watch(struct serve *s, int op, int fd, uint32_t events, void *tag, struct err *err)
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
    if (serve_watch(s, EPOLL_CTL_ADD, sock, EPOLLIN, &socket_tag, err) < 0 ||
        serve_watch(s, EPOLL_CTL_ADD, unpack_eventfd(s->unpack), EPOLLIN, &unpack_tag, err) < 0)
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
    if (frames && stream_distribute(s, err) < 0)
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
    if (ended)
        stream_end_all(s);
    io_close(&s->sock);
    io_close(&s->epoll);
    if (ended)
        free(s);
    errno = saved;
    return ended;
}
