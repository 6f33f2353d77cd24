/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/hook.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
/* cmocka.h wants those before it */
#include <cmocka.h>

static char dir[] = "/tmp/ckpt-hook.XXXXXX";
static char path[sizeof dir + 8];

static void set_environment(void *arg)
{
    setenv("CHECKPOINT_WHEN", arg, 1);
}

static void write_hook(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

    assert_true(fd >= 0);
    assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
    io_close(&fd);
}

/* As the shepherd does.  True: it ended well. */
static bool run(const char *text, int64_t limit_ms, char why[300])
{
    struct hook h = {.out = -1};
    struct err err = {{0}};
    int status = 0;
    pid_t pid;

    write_hook(text);
    assert_int_equal(hook_start(&h, path, limit_ms, set_environment, (char[]){"before"}, &err), 0);
    for (;;) {
        struct pollfd p = {.fd = h.out, .events = POLLIN};

        (void)poll(&p, h.out >= 0, 20);
        if (hook_look(&h))
            break;
        pid = waitpid(h.pid, &status, WNOHANG);
        assert_true(pid >= 0);
        if (pid > 0)
            break;
    }
    return hook_end(&h, status, why);
}

static void one_that_cannot_be_started(void **state)
{
    struct hook h = {.out = -1};
    char why[300], long_path[FACTS_HOOK_MAX + 1];
    struct err err = {{0}};
    int status;

    (void)state;
    memset(long_path, 'a', sizeof long_path);
    long_path[0] = '/';
    long_path[FACTS_HOOK_MAX] = '\0';
    assert_int_equal(hook_start(&h, long_path, 1000, set_environment, (char[]){""}, &err), -1);
    assert_int_equal(h.pid, 0);
    assert_int_equal(
        hook_start(&h, "/nonexistent/hook", 60000, set_environment, (char[]){""}, &err), 0);
    assert_true(waitpid(h.pid, &status, 0) > 0);
    assert_false(hook_end(&h, status, why));
    assert_string_equal(why, "/nonexistent/hook: cannot be started: No such file or directory");
}

static void what_it_says_counts_when_it_fails(void **state)
{
    char why[300], wanted[300];

    (void)state;
    assert_true(run("#!/bin/sh\necho all is well\n", 60000, why));
    assert_false(run("#!/bin/sh\nprintf 'not\\033now\\nsecond line\\n'\nexit 3\n", 60000, why));
    snprintf(wanted, sizeof wanted, "%s: not?now", path);
    assert_string_equal(why, wanted);
    assert_false(run("#!/bin/sh\nexit 3\n", 60000, why));
    snprintf(wanted, sizeof wanted, "%s: it ended with status 3", path);
    assert_string_equal(why, wanted);
    assert_false(run("#!/bin/sh\nkill -9 $$\n", 60000, why));
    snprintf(wanted, sizeof wanted, "%s: it ended by signal 9", path);
    assert_string_equal(why, wanted);
}

static void one_that_hangs_is_killed(void **state)
{
    char why[300];

    (void)state;
    assert_false(run("#!/bin/sh\ntrap '' TERM INT\nsleep 600\n", 300, why));
    assert_non_null(strstr(why, "did not end within 1 s"));
}

/* More than a pipe holds; nobody reads it, but it must not wait for that. */
static void one_that_says_much(void **state)
{
    char why[300];

    (void)state;
    assert_true(run("#!/bin/sh\nhead -c 300000 /dev/zero\n", 60000, why));
    assert_false(run("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x\nexit 1\n", 60000, why));
    assert_true(strlen(why) < 300);
}

static void it_gets_what_a_program_of_the_user_should(void **state)
{
    char why[300];
    int fd = open("/dev/null", O_RDONLY); /* one that nobody has marked close-on-exec */

    (void)state;
    assert_true(fd > 2);
    why[0] = '\0';
    (void)run("#!/bin/bash\n"
              "[ \"$CHECKPOINT_WHEN\" = before ] || exit 1\n"
              "read -r x && exit 2\n"
              "for n in {3..99}; do [ ! -e /proc/$$/fd/$n ] || exit 3; done\n"
              "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status || exit 4\n"
              "exit 0\n",
              60000, why);
    assert_string_equal(why, "");
    io_close(&fd);
}

static void what_it_leaves_behind_is_killed(void **state)
{
    char why[300], text[400], pidfile[sizeof dir + 8], number[32] = "";
    int fd, tries = 600;
    pid_t left;

    (void)state;
    snprintf(pidfile, sizeof pidfile, "%s/pid", dir);
    snprintf(text, sizeof text, "#!/bin/sh\nsleep 600 &\necho $! >%s\n", pidfile);
    assert_true(run(text, 60000, why));
    fd = open(pidfile, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, number, sizeof number - 1) > 0);
    io_close(&fd);
    left = (pid_t)strtol(number, NULL, 10);
    assert_true(left > 1);
    /* A zombie is as dead as it gets where nobody reaps it. */
    for (; tries > 0 && kill(left, 0) == 0; tries--) {
        char stat[64], line[512] = "";

        snprintf(stat, sizeof stat, "/proc/%d/stat", (int)left);
        fd = open(stat, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, line, sizeof line - 1) <= 0 || strstr(line, ") Z "))
            break;
        io_close(&fd);
        (void)poll(NULL, 0, 100);
    }
    io_close(&fd);
    assert_true(tries > 0);
    unlink(pidfile);
}

static void hurry(void **state)
{
    struct hook h = {.out = -1};
    char why[300];
    int status;

    (void)state;
    write_hook("#!/bin/sh\nsleep 600\n");
    assert_int_equal(hook_start(&h, path, 600000, set_environment, (char[]){""}, NULL), 0);
    hook_hurry(&h, 900000);
    assert_int_equal(h.limit_ms, 600000);
    hook_hurry(&h, 0);
    assert_false(hook_look(&h));
    assert_true(waitpid(h.pid, &status, 0) > 0);
    assert_false(hook_end(&h, status, why));
    hook_kill(&h); /* nothing is there */
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/hook", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_cannot_be_started),
        cmocka_unit_test(what_it_says_counts_when_it_fails),
        cmocka_unit_test(one_that_hangs_is_killed),
        cmocka_unit_test(one_that_says_much),
        cmocka_unit_test(it_gets_what_a_program_of_the_user_should),
        cmocka_unit_test(what_it_leaves_behind_is_killed),
        cmocka_unit_test(hurry),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
