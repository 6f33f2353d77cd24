/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/capture_sample.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"
#include "common/manifest.h"
#include "dump/target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

int criurun_take_stream(struct criurun *run)
{
    int fd = run->stream;

    run->stream = -1;
    return fd;
}

void criurun_pollfds(const struct criurun *run, struct pollfd fds[CRIURUN_NFDS])
{
    fds[0].fd = fds[1].fd = -1;
    fds[2] = (struct pollfd){.fd = run->ended, .events = POLLIN};
}

int criurun_wait(struct criurun *run, int ms)
{
    struct pollfd p = {.fd = run->ended, .events = POLLIN};

    return run->deaf && !run->killed ? 0 : poll(&p, 1, ms) == 1;
}

int criurun_pump(struct criurun *run)
{
    struct pollfd p = {.fd = run->ended, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

void criurun_kill(struct criurun *run)
{
    run->killed = true;
}

int criurun_exit_status(const struct criurun *run)
{
    return run->status;
}

void criurun_explain(const struct criurun *run, char *text, size_t size)
{
    (void)run;
    snprintf(text, size, "the reason");
}

static void *actor(void *arg)
{
    struct criurun *run = arg;
    uint64_t one = 1;

    run->status = run->play(run);
    io_close(&run->drain);
    io_close(&run->sock);
    if (write(run->ended, &one, sizeof one) < 0)
        abort();
    return NULL;
}

static pid_t victim; /* stands for the root of the tree: stopped by its tracer, this program */

void stage_make_victim(void)
{
    int status;

    victim = fork();
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(victim, &status, WUNTRACED), victim);
    assert_int_equal(target_state(victim), 't');
}

void raise_curtain(struct stage *s, int (*play)(struct criurun *))
{
    int pair[2];

    memset(s, 0, sizeof *s);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    s->run.stream = pair[0];
    s->run.sock = pair[1];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    s->drain = s->o.drain_fd = pair[0];
    s->run.drain = pair[1];
    s->o.root = victim;
    s->o.root_fd = (int)syscall(SYS_pidfd_open, victim, 0);
    assert_true(s->o.root_fd >= 0);
    s->run.ended = eventfd(0, EFD_CLOEXEC);
    s->run.play = play;
    s->pages = memfd_create("capture-test", MFD_CLOEXEC);
    assert_int_equal(pipe(s->cancel), 0);
    assert_int_equal(pipe(s->result), 0);
    s->o.run = &s->run;
    s->o.images = images_create();
    s->o.pack = pack_create(s->pages, 1, COMPRESS_NONE, 1, 0, NULL);
    assert_non_null(s->o.pack);
    s->o.wanted.cancel_fd = s->cancel[0];
    s->o.wanted.result_fd = s->result[1];
    s->o.wanted.deadline = capture_now_ms() + 20000;
    assert_int_equal(pthread_create(&s->run.thread, NULL, actor, &s->run), 0);
}

void drop_curtain(struct stage *s)
{
    pthread_join(s->run.thread, NULL);
    assert_true(pack_destroy(s->o.pack));
    images_destroy(s->o.images);
    close(s->pages);
    close(s->o.root_fd);
    close(s->drain);
    close(s->run.ended);
    close(s->cancel[0]);
    close(s->cancel[1]);
    io_close(&s->result[0]);
    io_close(&s->result[1]);
}

bool send_request(int sock, const char *name)
{
    ImgStreamerRequestEntry e = IMG_STREAMER_REQUEST_ENTRY__INIT;
    uint8_t buf[1024];
    char kept[512];
    size_t len;

    snprintf(kept, sizeof kept, "%s", name);
    e.filename = kept;
    len = img_streamer_request_entry__pack(&e, buf + 4);
    crimg_put32(buf, (uint32_t)len);
    return send(sock, buf, len + 4, MSG_NOSIGNAL) == (ssize_t)len + 4;
}

bool send_fd(int sock, int fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {(char[]){"x"}, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof control.buf;
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1;
}

int open_image(struct criurun *run, const char *name)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        abort();
    if (!send_request(run->sock, name) || !send_fd(run->sock, fds[0]))
        io_close(&fds[1]);
    close(fds[0]);
    return fds[1];
}

bool fill(int fd, char c, size_t len)
{
    char buf[65536];

    memset(buf, c, sizeof buf);
    while (len > 0) {
        size_t n = len < sizeof buf ? len : sizeof buf;

        if (io_write_full(fd, buf, n) < 0)
            return false;
        len -= n;
    }
    return true;
}

bool whole_image(struct criurun *run, const char *name, char c, size_t len)
{
    int fd = open_image(run, name);
    bool ok = fd >= 0 && fill(fd, c, len);

    io_close(&fd);
    return ok;
}

bool drain(struct criurun *run)
{
    char c = 'd';

    return send(run->drain, &c, 1, MSG_NOSIGNAL) == 1 && recv(run->drain, &c, 1, 0) == 1;
}

bool is_empty(int fd)
{
    int bytes = 1;

    return ioctl(fd, FIONREAD, &bytes) == 0 && bytes == 0;
}
