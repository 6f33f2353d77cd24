/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/fuzz/stream.h"

#include "t/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_fd(struct stream_play *p, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {(char[]){"*"}, 1};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;

    memset(&control, 0, sizeof control);
    h.msg_control = &control;
    h.msg_controllen = sizeof control;
    c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    (void)sendmsg(p->sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_pipe(struct stream_play *p)
{
    int ends[2], ours = p->writing ? 1 : 0;

    if (p->npipes == sizeof p->pipes / sizeof p->pipes[0])
        return;
    FUZZ_ASSERT(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[ours], F_SETFL, O_NONBLOCK) == 0);
    send_fd(p, ends[!ours]);
    close(ends[!ours]);
    p->pipes[p->npipes++] = ends[ours];
}

static void send_other(struct stream_play *p)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    FUZZ_ASSERT(fd >= 0);
    send_fd(p, fd);
    close(fd);
}

bool stream_step(struct stream_play *p)
{
    uint8_t verb, buf[4096];
    size_t n = 0;

    if (p->len == 0)
        return false;
    verb = *p->data++ % 4;
    p->len--;
    if ((verb == 0 || verb == 3) && p->len > 0) {
        n = *p->data++;
        p->len--;
        if (n > p->len)
            n = p->len;
    }
    if (verb == 0)
        (void)send(p->sock, p->data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (verb == 1)
        send_pipe(p);
    else if (verb == 2)
        send_other(p);
    else if (p->npipes > 0 && p->writing)
        (void)!write(p->pipes[p->npipes - 1], p->data, n);
    else if (p->npipes > 0)
        while (read(p->pipes[p->npipes - 1], buf, sizeof buf) > 0)
            ;
    p->data += n;
    p->len -= n;
    return true;
}

void stream_end_pipes(struct stream_play *p)
{
    for (size_t i = 0; i < p->npipes; i++)
        close(p->pipes[i]);
    p->npipes = 0;
}

void stream_end(struct stream_play *p)
{
    stream_end_pipes(p);
    if (p->sock >= 0)
        close(p->sock);
    p->sock = -1;
}
