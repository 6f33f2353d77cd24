/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/runclock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static void the_rule(void **state)
{
    (void)state;
    assert_int_equal(runclock_lost(1000, 1000, 7), 7);
    assert_int_equal(runclock_lost(1000 + RUNCLOCK_TICK_MS, 1000, 7), 7);
    assert_int_equal(runclock_lost(1000 + RUNCLOCK_GAP_MS, 1000, 7), 7);
    assert_int_equal(runclock_lost(101000, 1000, 7), 7 + 100000 - RUNCLOCK_TICK_MS);
}

static void waits(void **state)
{
    int64_t now = runclock_ms();

    (void)state;
    assert_int_equal(runclock_wait(now - 5), 0);
    assert_int_equal(runclock_wait(now + 3600000), RUNCLOCK_TICK_MS);
    assert_true(runclock_wait(now + 1500) <= 1500);
}

static int64_t monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Stopped for longer than its limit, a child that waits is not late. */
static void stopped(void **state)
{
    int64_t start = monotonic();
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        int64_t begin = runclock_ms(), end = begin + 4000;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (runclock_ms() < end)
            usleep(20000);
        _exit(monotonic() - start > 8500 ? 42 : 1);
    }
    usleep(500000);
    kill(pid, SIGSTOP);
    usleep(6500000);
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test(waits),
        cmocka_unit_test(stopped),
    };

    return cmocka_run_group_tests_name("runclock", tests, NULL, NULL);
}
