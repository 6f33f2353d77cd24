/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sleepers - threads that sleep in the kernel through all checkpoints and restores, each in another call.
 *
 *   sleepers STOP
 *
 * They have no signal handler: none of the calls may return before its time or its event (epoll_wait
 * may, and has to be called again, as signal(7) tells).  It has memory enough for a copy-on-write snapshot.
 */
#include "prog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define LONG_MS 600000
#define BALLAST (16u << 20) /* dump/snapshot_policy.c wants 4 MiB (WORTH) */

static int quiet[2]; /* a pipe into which a byte comes at the end */

static void must_be_one(const char *call, int rc)
{
    if (rc != 1)
        prog_broken("%s: %d, %s", call, rc, strerror(errno));
}

static void *in_poll(void *arg)
{
    struct pollfd p = {.fd = quiet[0], .events = POLLIN};

    (void)arg;
    must_be_one("poll", poll(&p, 1, LONG_MS));
    return NULL;
}

static void *in_poll_for_ever(void *arg)
{
    struct pollfd p = {.fd = quiet[0], .events = POLLIN};

    (void)arg;
    must_be_one("poll without a limit", poll(&p, 1, -1));
    return NULL;
}

static void *in_ppoll(void *arg)
{
    struct pollfd p = {.fd = quiet[0], .events = POLLIN};
    struct timespec t = {LONG_MS / 1000, 0};
    sigset_t none;

    (void)arg;
    sigemptyset(&none);
    must_be_one("ppoll", ppoll(&p, 1, &t, &none));
    return NULL;
}

static void *in_select(void *arg)
{
    struct timeval t = {LONG_MS / 1000, 0};
    fd_set set;

    (void)arg;
    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    must_be_one("select", select(quiet[0] + 1, &set, NULL, NULL, &t));
    return NULL;
}

static void *in_epoll(void *arg)
{
    struct epoll_event e = {.events = EPOLLIN};
    int fd = epoll_create1(EPOLL_CLOEXEC), rc;

    (void)arg;
    if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, quiet[0], &e) < 0)
        prog_broken("epoll: %s", strerror(errno));
    do
        rc = epoll_wait(fd, &e, 1, LONG_MS);
    while (rc < 0 && errno == EINTR);
    must_be_one("epoll_wait", rc);
    return NULL;
}

static void *in_read(void *arg)
{
    int *other = arg;
    char c;

    must_be_one("read", (int)read(other[0], &c, 1));
    return NULL;
}

static volatile int ending;

/* Most checkpoints find it asleep. */
static void *in_nanosleep(void *arg)
{
    (void)arg;
    while (!ending)
        prog_sleep_ms(700);
    return NULL;
}

static void *in_clock_nanosleep(void *arg)
{
    struct timespec t;
    int rc;

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &t);
    while (!ending) {
        t.tv_sec++;
        rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        if (rc != 0)
            prog_broken("clock_nanosleep: %s", strerror(rc));
    }
    return NULL;
}

static void check_ballast(const unsigned char *mem)
{
    for (size_t i = 0; i < BALLAST; i++)
        if (mem[i] != 0xa5)
            prog_broken("ballast: byte %zu", i);
}

int main(int argc, char **argv)
{
    static unsigned char ballast[BALLAST];
    static int other[2];
    static void *(*const calls[])(void *) = {in_poll,      in_poll_for_ever,  in_ppoll,
                                             in_select,    in_epoll,          in_read,
                                             in_nanosleep, in_clock_nanosleep};
    enum { N = sizeof calls / sizeof calls[0] };
    pthread_t t[N];

    prog_need(argc, 1, "sleepers STOP");
    if (pipe(quiet) < 0 || pipe(other) < 0)
        prog_broken("pipe: %s", strerror(errno));
    memset(ballast, 0xa5, sizeof ballast);
    for (int i = 0; i < N; i++)
        pthread_create(&t[i], NULL, calls[i], other);
    prog_print("start %d sleepers\n", (int)N);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        prog_step(n);
        prog_sleep_ms(100);
    }
    ending = 1;
    if (write(quiet[1], "x", 1) != 1 || write(other[1], "x", 1) != 1)
        prog_broken("write: %s", strerror(errno));
    for (int i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    check_ballast(ballast);
    prog_print("result ok\n");
    return 0;
}
