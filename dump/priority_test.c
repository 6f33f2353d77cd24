/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/priority.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define FD 40
#define OTHER 99 /* no nice value */

/* Of the session of the caller; OTHER: the kernel groups no sessions. */
static int session_nice(void)
{
    FILE *f = fopen("/proc/self/autogroup", "r");
    int value = OTHER;

    if (f) {
        if (fscanf(f, "/autogroup-%*d nice %d", &value) != 1)
            value = OTHER;
        fclose(f);
    }
    return value;
}

/* In a child: 0 when all is as it should be, else the step that was not. */
static int lower(bool leader, bool all)
{
    int before;

    if (leader && setsid() < 0)
        return 1;
    before = session_nice();
    if (dup2(0, FD) != FD)
        return 2;
    priority_prepare(FD); /* what was there before goes */
    if (before != OTHER && !(fcntl(FD, F_GETFD) & FD_CLOEXEC))
        return 3;
    if (before == OTHER && fcntl(FD, F_GETFD) >= 0)
        return 4;
    /* As in the helper, which is closed to its user from then on. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return 5;
    priority_lower(all);
    if (session_nice() != (leader && before != OTHER ? 10 : before))
        return 6;
    if (getpriority(PRIO_PROCESS, 0) < (all ? 10 : 0))
        return 7;
    if (leader && fcntl(FD, F_GETFD) >= 0)
        return 8;
    priority_lower(all); /* once more is harmless */
    return 0;
}

static void in_child(bool leader, bool all)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        /* Not root, who may write to any file. */
        if (getuid() == 0 &&
            (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0))
            _exit(20);
        _exit(lower(leader, all));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_session(void **state)
{
    (void)state;
    if (session_nice() == OTHER)
        print_message("# the kernel groups no sessions (CONFIG_SCHED_AUTOGROUP): only that nothing "
                      "fails is seen\n");
    in_child(true, true);
    in_child(true, false);
}

/* Others of the session are not its to lower. */
static void test_shared_session(void **state)
{
    (void)state;
    in_child(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_shared_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
