/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/requests.h"

#include "common/criu.pb-c.h"
#include "common/io.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 8 /* descriptors that could come at once; more are dropped by the kernel */

enum stage { LENGTH, MESSAGE, DESCRIPTOR };

static void expect(struct requests *r, enum stage stage, size_t bytes)
{
    r->stage = stage;
    r->have = 0;
    r->want = bytes;
}

void requests_init(struct requests *r, int sock)
{
    memset(r, 0, sizeof *r);
    r->sock = sock;
    expect(r, LENGTH, 4);
}

static int malformed(struct err *err, const char *what)
{
    errno = EBADMSG;
    return err_set(err, "CRIU's request %s", what);
}

static int take_name(struct requests *r, struct err *err)
{
    ImgStreamerRequestEntry *e = img_streamer_request_entry__unpack(NULL, r->want, r->buf);
    size_t len = e ? strlen(e->filename) : 0;
    bool ok = len > 0 && len <= CRIMG_NAME_MAX;

    if (ok)
        memcpy(r->name, e->filename, len + 1);
    if (e)
        img_streamer_request_entry__free_unpacked(e, NULL);
    return ok ? 0 : malformed(err, "cannot be read");
}

/* A piece is complete.  1: that was the last one of a request. */
static int take_piece(struct requests *r, int fd, struct err *err)
{
    uint32_t len;

    switch (r->stage) {
    case LENGTH:
        len = crimg_get32(r->buf);
        if (len == 0 || len > REQUESTS_MESSAGE_MAX)
            return malformed(err, "has a wrong number of bytes");
        expect(r, MESSAGE, len);
        return 0;
    case MESSAGE:
        if (take_name(r, err) < 0)
            return -1;
        expect(r, DESCRIPTOR, 1);
        return 0;
    default:
        if (fd < 0)
            return malformed(err, "came with no descriptor");
        expect(r, LENGTH, 4);
        return 1;
    }
}

/* One recvmsg; *fd is the one descriptor that came along, or -1; of several none is taken. */
static ssize_t receive(struct requests *r, int *fd)
{
    union {
        char buf[CMSG_SPACE(MANY * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {r->buf + r->have, r->want - r->have};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    size_t n = 0;
    int fds[MANY];
    ssize_t got;

    msg.msg_control = control.buf;
    msg.msg_controllen = sizeof control.buf;
    do
        got = recvmsg(r->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    c = got < 0 ? NULL : CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        n = n < MANY ? n : MANY;
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    }
    *fd = n == 1 ? fds[0] : -1;
    for (size_t i = 0; n > 1 && i < n; i++)
        close(fds[i]);
    return got;
}

int requests_next(struct requests *r, int *fd, struct err *err)
{
    while (r->sock >= 0) {
        ssize_t n = receive(r, fd);
        int rc = 0;

        if (n < 0)
            return errno == EAGAIN ? 0 : err_sys(err, "CRIU's stream");
        if (n == 0) {
            requests_close(r);
            return 0;
        }
        r->have += (size_t)n;
        if (*fd >= 0 && r->stage != DESCRIPTOR)
            rc = malformed(err, "came with a descriptor out of turn");
        else if (r->have == r->want)
            rc = take_piece(r, *fd, err);
        if (rc < 0)
            io_close(fd);
        if (rc != 0)
            return rc;
    }
    return 0;
}

bool requests_inside(const struct requests *r)
{
    return r->stage != LENGTH || r->have != 0;
}

bool requests_idle(const struct requests *r)
{
    int bytes;

    return r->sock >= 0 && ioctl(r->sock, FIONREAD, &bytes) == 0 && bytes == 0;
}

void requests_close(struct requests *r)
{
    io_close(&r->sock);
}
