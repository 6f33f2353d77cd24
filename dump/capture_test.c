/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/capture_sample.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static void refused(struct stage *s, int error, const char *why)
{
    assert_int_equal(capture_run(&s->o, &s->err), -1);
    assert_int_equal(errno, error);
    if (!strstr(s->err.text, why))
        fail_msg("\"%s\" is not about \"%s\"", s->err.text, why);
}

static int play_well(struct criurun *run)
{
    int a = open_image(run, "pages-1.img"), b = open_image(run, "pages-2.img");
    bool ok = whole_image(run, "inventory.img", 'i', 100);

    ok = fill(a, 'a', 5u << 20) && fill(b, 'b', 10) && fill(a, 'A', 1000) && ok;
    ok = whole_image(run, "seccomp.img", 's', 50) && ok; /* dropped */
    ok = whole_image(run, "files.img", 'f', 0) && ok;
    ok = whole_image(run, "ghost-file-1f.img", 'g', 7) && ok;
    close(a);
    close(b);
    return drain(run) && ok ? 0 : 256;
}

/* Sum of raw bytes of an image in the index. */
static size_t indexed(const struct pack *p, const char *image)
{
    size_t len, sum = 0, n = strlen(image);
    const char *at = pack_index(p, &len);

    for (; *at; at = strchr(at, '\n') + 1)
        if (!strncmp(at, image, n) && at[n] == ' ')
            sum += strtoul(at + n, NULL, 10);
    return sum;
}

static void takes_everything(void **state)
{
    struct stage s;
    const uint8_t *data;
    size_t len;

    (void)state;
    raise_curtain(&s, play_well);
    if (capture_run(&s.o, &s.err) < 0)
        fail_msg("%s", s.err.text);
    assert_int_equal(pack_finish(s.o.pack, capture_now_ms() + 20000, NULL), 0);
    data = images_find(s.o.images, "inventory.img", &len);
    assert_int_equal(len, 100);
    assert_int_equal(data[99], 'i');
    assert_non_null(images_find(s.o.images, "files.img", &len));
    assert_int_equal(len, 0);
    assert_null(images_find(s.o.images, "seccomp.img", &len));
    assert_null(images_find(s.o.images, "pages-1.img", &len));
    assert_int_equal(indexed(s.o.pack, "pages-1.img"), (5u << 20) + 1000);
    assert_int_equal(indexed(s.o.pack, "pages-2.img"), 10);
    assert_int_equal(indexed(s.o.pack, "ghost-file-1f.img"), 7);
    drop_curtain(&s);
}

/* More images at once than there are frames, all of them going on: nobody may wait for ever. */
static int play_many(struct criurun *run)
{
    enum { N = 20 };
    int fds[N];
    bool ok = true;

    for (int i = 0; i < N; i++) {
        char name[32];

        snprintf(name, sizeof name, "pages-%d.img", i + 1);
        fds[i] = open_image(run, name);
        ok = fill(fds[i], 'x', 1000) && ok;
    }
    for (int i = 0; i < N; i++)
        ok = fill(fds[N - 1 - i], 'y', 300000) && ok;
    for (int i = 0; i < N; i++)
        close(fds[i]);
    return drain(run) && ok ? 0 : 256;
}

static void more_images_than_frames(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_many);
    if (capture_run(&s.o, &s.err) < 0)
        fail_msg("%s", s.err.text);
    assert_int_equal(pack_finish(s.o.pack, capture_now_ms() + 20000, NULL), 0);
    for (int i = 1; i <= 20; i++) {
        char name[32];

        snprintf(name, sizeof name, "pages-%d.img", i);
        assert_int_equal(indexed(s.o.pack, name), 301000);
    }
    drop_curtain(&s);
}

/* The answer must not come while anything is in a pipe: it would still be the job's memory. */
static int play_drain(struct criurun *run)
{
    enum { N = 8 };
    int fds[N];
    bool ok = true;

    for (int i = 0; i < N; i++) {
        char name[32];

        snprintf(name, sizeof name, "pages-%d.img", i + 1);
        fds[i] = open_image(run, name);
        ok = fill(fds[i], 'x', 900000) && ok;
    }
    ok = drain(run) && ok;
    for (int i = 0; i < N; i++) {
        ok = is_empty(fds[i]) && ok;
        close(fds[i]);
    }
    return ok ? 0 : 256;
}

static void answers_when_empty(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct stage s;

        raise_curtain(&s, play_drain);
        if (capture_run(&s.o, &s.err) < 0)
            fail_msg("%s", s.err.text);
        drop_curtain(&s);
    }
}

static int play_hurry(struct criurun *run)
{
    return whole_image(run, "inventory.img", 'i', 100) ? 0 : 256;
}

static int play_half_request(struct criurun *run)
{
    return send(run->sock, "\4\0", 2, MSG_NOSIGNAL) == 2 && drain(run) ? 0 : 256;
}

static int ended_process(void)
{
    pid_t pid = fork();
    int fd;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(fd >= 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return fd;
}

/* CRIU's end without a question, a question too late, and one out of turn */
static void unsaved_memory_is_refused(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_hurry);
    refused(&s, EPROTO, "did not wait");
    drop_curtain(&s);
    raise_curtain(&s, play_well);
    s.o.root = getpid();
    refused(&s, EPROTO, "before its memory is saved");
    drop_curtain(&s);
    raise_curtain(&s, play_well);
    s.o.root = -1;
    refused(&s, ESRCH, "has ended");
    drop_curtain(&s);
    /* another process has its number */
    raise_curtain(&s, play_well);
    close(s.o.root_fd);
    s.o.root_fd = ended_process();
    refused(&s, ESRCH, "has ended");
    drop_curtain(&s);
    raise_curtain(&s, play_half_request);
    refused(&s, EBADMSG, "middle of a request");
    drop_curtain(&s);
}

/* Goes on until its stream breaks, as CRIU does. */
static int write_on(struct criurun *run, int fd)
{
    while (fill(fd, 'z', 65536) && !run->killed)
        ;
    close(fd);
    return 256;
}

static int play_unknown_name(struct criurun *run)
{
    int fd = open_image(run, "pages-1.img");

    (void)open_image(run, "creds-1.img");
    return write_on(run, fd);
}

static int play_traversal(struct criurun *run)
{
    int fd = open_image(run, "pages-1.img");

    (void)open_image(run, "../pages-2.img");
    return write_on(run, fd);
}

static int play_twice(struct criurun *run)
{
    int fd = open_image(run, "pages-1.img");

    (void)!whole_image(run, "files.img", 'f', 1);
    (void)!whole_image(run, "files.img", 'f', 1);
    return write_on(run, fd);
}

static void names_are_checked(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_unknown_name);
    refused(&s, ENOTSUP, "creds-1.img");
    drop_curtain(&s);
    raise_curtain(&s, play_traversal);
    refused(&s, ENOTSUP, "pages-2.img");
    drop_curtain(&s);
    raise_curtain(&s, play_twice);
    refused(&s, EEXIST, "twice");
    drop_curtain(&s);
}

static int wait_for_eof(struct criurun *run)
{
    char c;

    return recv(run->sock, &c, 1, 0) <= 0 ? 256 : 0;
}

static int play_long_length(struct criurun *run)
{
    return send(run->sock, "\xff\xff\xff\xff", 4, MSG_NOSIGNAL) == 4 ? wait_for_eof(run) : 0;
}

static int play_no_length(struct criurun *run)
{
    return send(run->sock, "\0\0\0\0", 4, MSG_NOSIGNAL) == 4 ? wait_for_eof(run) : 0;
}

static int play_garbage(struct criurun *run)
{
    return send(run->sock, "\4\0\0\0abcd", 8, MSG_NOSIGNAL) == 8 ? wait_for_eof(run) : 0;
}

static int play_no_descriptor(struct criurun *run)
{
    return send_request(run->sock, "files.img") && send_fd(run->sock, -1) ? wait_for_eof(run) : 0;
}

static int play_early_descriptor(struct criurun *run)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool ok = send_fd(run->sock, fd);

    close(fd);
    return ok ? wait_for_eof(run) : 0;
}

static int play_truncated(struct criurun *run)
{
    return send(run->sock, "\4\0", 2, MSG_NOSIGNAL) == 2 ? 0 : 256;
}

static void requests_are_checked(void **state)
{
    static const struct {
        int (*play)(struct criurun *);
        const char *why;
    } cases[] = {
        {play_long_length, "bytes"},
        {play_no_length, "bytes"},
        {play_garbage, "cannot be read"},
        {play_no_descriptor, "no descriptor"},
        {play_early_descriptor, "out of turn"},
        {play_truncated, "inside a request"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage s;

        raise_curtain(&s, cases[i].play);
        refused(&s, EBADMSG, cases[i].why);
        drop_curtain(&s);
    }
}

static int play_endless(struct criurun *run)
{
    return write_on(run, open_image(run, "pages-1.img"));
}

static int play_failure(struct criurun *run)
{
    (void)!whole_image(run, "inventory.img", 'i', 100);
    (void)!send(run->sock, "\4\0", 2, MSG_NOSIGNAL);
    return 256;
}

static void criu_fails(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_failure);
    refused(&s, EIO, "the reason");
    drop_curtain(&s);
}

static void is_cancelled(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_endless);
    assert_int_equal(write(s.cancel[1], "x", 1), 1);
    refused(&s, ECANCELED, "cancelled");
    assert_false(s.run.killed); /* its broken stream was enough */
    drop_curtain(&s);
}

static void keeper_gone(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_endless);
    io_close(&s.result[0]);
    refused(&s, EPIPE, "keeper");
    drop_curtain(&s);
}

static void late(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_endless);
    s.o.wanted.deadline = capture_now_ms() + 100;
    refused(&s, ETIMEDOUT, "time limit");
    assert_false(s.run.killed);
    drop_curtain(&s);
}

static void deaf_criu_is_killed(void **state)
{
    struct stage s;

    (void)state;
    raise_curtain(&s, play_endless);
    s.run.deaf = true;
    s.o.wanted.deadline = capture_now_ms() + 100;
    refused(&s, ETIMEDOUT, "was killed");
    assert_true(s.run.killed);
    drop_curtain(&s);
}

static void disk_full(void **state)
{
    struct stage s;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    raise_curtain(&s, play_endless);
    /* the same file, under the pack's descriptor */
    assert_int_equal(dup2(full, s.pages), s.pages);
    close(full);
    refused(&s, ENOSPC, "No space left");
    assert_false(s.run.killed);
    drop_curtain(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_checked), cmocka_unit_test(names_are_checked),
        cmocka_unit_test(takes_everything),     cmocka_unit_test(more_images_than_frames),
        cmocka_unit_test(answers_when_empty),   cmocka_unit_test(unsaved_memory_is_refused),
        cmocka_unit_test(criu_fails),           cmocka_unit_test(is_cancelled),
        cmocka_unit_test(keeper_gone),          cmocka_unit_test(late),
        cmocka_unit_test(deaf_criu_is_killed),  cmocka_unit_test(disk_full),
    };

    signal(SIGPIPE, SIG_IGN); /* as CRIU does */
    stage_make_victim();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
