/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/relay.h"

#include "common/io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* relay_open takes descriptors 0 to 2, so each test runs in a child that has put pipes there; its verdict is its exit
 * status, and failures are said on a copy of the old standard error. */
static int told = -1;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            dprintf(told, "%s:%d: %s\n", __FILE__, __LINE__, #what);                               \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

struct place {
    char dir[32];
    int in, out, err; /* slurmstepd's ends */
    struct relay relay;
};

static void set_up_child(struct place *p)
{
    int in[2], out[2], err[2], fd;

    told = fcntl(2, F_DUPFD_CLOEXEC, 10);
    memcpy(p->dir, "/tmp/ckpt-relay.XXXXXX", 23);
    CHECK(mkdtemp(p->dir) != NULL);
    fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(relay_make(fd, NULL) == 0);
    CHECK(relay_make(fd, NULL) == 0); /* again: they are there */
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    CHECK(dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2);
    p->in = in[1];
    p->out = out[0];
    p->err = err[0];
    CHECK(fcntl(p->out, F_SETFL, O_NONBLOCK) == 0 && fcntl(p->err, F_SETFL, O_NONBLOCK) == 0);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    close(fd);
    CHECK(relay_open(&p->relay, p->dir, NULL) == 0);
}

static void tear_down_child(struct place *p)
{
    char path[64];

    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {RELAY_STDIN, RELAY_STDOUT, RELAY_STDERR};

        snprintf(path, sizeof path, "%s/%s", p->dir, names[i]);
        unlink(path);
    }
    rmdir(p->dir);
}

static int fifo(const struct place *p, const char *name, int flags)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void run(void (*body)(struct place *))
{
    static struct place p;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        set_up_child(&p);
        body(&p);
        tear_down_child(&p);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool says(int fd, const char *text)
{
    char buf[256] = "";
    ssize_t n = read(fd, buf, sizeof buf - 1);

    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static void bad_fifos(void **state)
{
    char dir[] = "/tmp/ckpt-relay.XXXXXX", path[64];
    struct err err = {{0}};
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/" RELAY_STDOUT, dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    io_close(&fd);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(relay_make(fd, &err), -1);
    assert_non_null(strstr(err.text, "not a FIFO"));
    unlinkat(fd, RELAY_STDOUT, 0);
    unlinkat(fd, RELAY_STDIN, 0);
    io_close(&fd);
    rmdir(dir);
}

static void both_ways_body(struct place *p)
{
    int out = fifo(p, RELAY_STDOUT, O_WRONLY), err = fifo(p, RELAY_STDERR, O_WRONLY);
    int in = fifo(p, RELAY_STDIN, O_RDONLY);

    CHECK(write(out, "out", 3) == 3 && write(err, "err", 3) == 3 && write(p->in, "in", 2) == 2);
    relay_pump(&p->relay);
    CHECK(says(p->out, "out") && says(p->err, "err") && says(in, "in"));
    CHECK(p->relay.input == 2);
    close(p->in);
    relay_pump(&p->relay);
    CHECK(says(in, "")); /* the end */
}
static void both_ways(void **state)
{
    (void)state;
    run(both_ways_body);
}

/* What is not given before a dump is given after it; what was given before is skipped after a restore. */
static void counted_body(struct place *p)
{
    int in = fifo(p, RELAY_STDIN, O_RDONLY);

    CHECK(write(p->in, "12345", 5) == 5);
    relay_pump(&p->relay);
    relay_pause(&p->relay);
    CHECK(write(p->in, "678", 3) == 3);
    relay_pump(&p->relay);
    CHECK(p->relay.input == 5 && says(in, "12345"));
    relay_resume(&p->relay);
    relay_pump(&p->relay);
    CHECK(p->relay.input == 8 && says(in, "678"));
    relay_skip(&p->relay, 4);
    CHECK(write(p->in, "abc", 3) == 3);
    relay_pump(&p->relay);
    CHECK(write(p->in, "defg", 4) == 4);
    relay_pump(&p->relay);
    CHECK(says(in, "efg") && p->relay.input == 7);
    CHECK(write(p->in, "lost", 4) == 4);
    relay_pump(&p->relay);
    relay_empty(&p->relay);
    CHECK(read(in, (char[1]){0}, 1) == -1);
}
static void counted(void **state)
{
    (void)state;
    run(counted_body);
}

/* slurmstepd does not read: nothing is lost, and the drain gives up in time; then it reads. */
static void blocked_body(struct place *p)
{
    int out = fifo(p, RELAY_STDOUT, O_WRONLY);
    size_t sent = 0, got = 0;
    char buf[4096];
    ssize_t n;

    memset(buf, 'x', sizeof buf);
    for (int i = 0; i < 200; i++) {
        n = write(out, buf, sizeof buf);
        sent += n > 0 ? (size_t)n : 0;
        relay_pump(&p->relay);
    }
    CHECK(sent > 100000);
    CHECK(!relay_drain(&p->relay, 50));
    for (int i = 0; i < 1000 && got < sent; i++) {
        n = read(p->out, buf, sizeof buf);
        got += n > 0 ? (size_t)n : 0;
        relay_pump(&p->relay);
    }
    CHECK(got == sent);
    CHECK(relay_drain(&p->relay, 50));
    close(p->out);
    CHECK(write(out, "x", 1) == 1);
    signal(SIGPIPE, SIG_IGN);
    relay_pump(&p->relay);
    CHECK(write(out, "x", 1) == -1); /* nobody reads any more, and the writer learns it */
}
static void blocked(void **state)
{
    (void)state;
    run(blocked_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_fifos),
        cmocka_unit_test(both_ways),
        cmocka_unit_test(counted),
        cmocka_unit_test(blocked),
    };

    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
