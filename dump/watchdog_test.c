/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/watchdog.h"

#include "dump/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static void bark(void *arg)
{
    _exit(*(int *)arg);
}

/* Exit status of a child that starts a watchdog for `ms`, works for `work` ms, and stops it. */
static int run(int ms, unsigned work)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        static int code = 42;

        if (watchdog_start(capture_now_ms() + ms, bark, &code, NULL) < 0)
            _exit(1);
        usleep(work * 1000);
        watchdog_stop();
        usleep(200000); /* not after it was stopped */
        _exit(7);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void fires(void **state)
{
    (void)state;
    assert_int_equal(run(50, 20000), 42);
    assert_int_equal(run(-1000, 20000), 42); /* a deadline in the past */
}

static void is_stopped(void **state)
{
    (void)state;
    assert_int_equal(run(20000, 50), 7);
    assert_int_equal(run(150, 0), 7);
}

static void stop_without_start(void **state)
{
    (void)state;
    watchdog_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_without_start),
        cmocka_unit_test(fires),
        cmocka_unit_test(is_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
