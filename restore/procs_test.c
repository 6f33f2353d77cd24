/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/procs.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_stat(void **state)
{
    struct procs_stat s;

    (void)state;
    assert_false(procs_parse_stat("", &s));
    assert_false(procs_parse_stat("12 x S 1 2 3", &s));
    assert_false(procs_parse_stat(") 12 ( S 1 2 3", &s));
    assert_false(procs_parse_stat("12 (x) S 1 2", &s));
    assert_true(procs_parse_stat("12 (x) S 1 2 3 4", &s));
    assert_int_equal(s.pid, 12);
    assert_int_equal(s.sid, 3);
    /* a name is the user's: it must not pass for other fields */
    assert_true(procs_parse_stat("12 (a) Z 7 8 9 (b) R 1 2 3 4", &s));
    assert_int_equal(s.state, 'R');
    assert_int_equal(s.ppid, 1);
    assert_string_equal(s.comm, "a) Z 7 8 9 (b");
    assert_true(procs_parse_stat("12 (0123456789abcdefghij) R 1 2 3 4", &s));
    assert_string_equal(s.comm, "0123456789abcde");
}

/* A child that waits; in a session of its own when asked for. */
static pid_t child(bool session)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* when an assertion fails nobody ends it */
        if (session)
            setsid();
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_busy(void **state)
{
    pid_t pid = child(true);
    uint32_t ids[] = {(uint32_t)pid};
    struct err err = {""};
    char number[32];

    (void)state;
    errno = 0;
    assert_int_equal(procs_wait_free(ids, 1, 120, &err), -1);
    assert_int_equal(errno, EBUSY);
    snprintf(number, sizeof number, "pid %d", (int)pid);
    assert_non_null(strstr(err.text, number));
    assert_non_null(strstr(err.text, "procs_test"));
    kill(pid, SIGKILL);
    /* not reaped: a zombie keeps it */
    waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
    assert_int_equal(procs_wait_free(ids, 1, 120, &err), -1);
    assert_non_null(strstr(err.text, "has ended"));
    waitpid(pid, NULL, 0);
    assert_int_equal(procs_wait_free(ids, 1, 0, &err), 0);
    assert_int_equal(procs_wait_free(NULL, 0, 0, &err), 0);
}

/* A group outlives its leader, and its number stays taken. */
static void test_busy_group(void **state)
{
    pid_t leader = child(true), member;
    uint32_t ids[] = {(uint32_t)leader};
    struct err err = {""};
    int link[2];

    (void)state;
    end(leader);
    assert_int_equal(pipe(link), 0);
    leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        member = fork();
        if (member == 0)
            for (;;)
                pause();
        if (write(link[1], &member, sizeof member) != sizeof member)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(link[0], &member, sizeof member), sizeof member);
    waitpid(leader, NULL, 0);
    close(link[0]);
    close(link[1]);
    ids[0] = (uint32_t)leader;
    errno = 0;
    assert_int_equal(procs_wait_free(ids, 1, 120, &err), -1);
    assert_int_equal(errno, EBUSY);
    assert_non_null(strstr(err.text, "group"));
    kill(member, SIGKILL);
    assert_int_equal(procs_wait_free(ids, 1, 60000, &err), 0);
}

static void test_kill_descendants(void **state)
{
    struct err err = {""};
    int link[2];
    pid_t pid, deep;

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    assert_int_equal(procs_kill_descendants(100, &err), 0); /* none */
    assert_int_equal(pipe(link), 0);
    pid = fork();
    if (pid == 0) {
        deep = fork();
        if (deep == 0) {
            setsid();
            deep = fork();
            if (deep == 0) {
                deep = getpid();
                if (write(link[1], &deep, sizeof deep) != sizeof deep)
                    _exit(1);
            }
        }
        for (;;)
            pause();
    }
    assert_int_equal(read(link[0], &deep, sizeof deep), sizeof deep);
    close(link[0]);
    close(link[1]);
    assert_int_equal(procs_kill_descendants(60000, &err), 0);
    assert_int_equal(kill(deep, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* As a user without any capability there is nothing to find. */
static void test_harmless(void **state)
{
    struct err err = {""};
    unsigned n = 0;
    pid_t pid;
    int status;

    (void)state;
    pid = fork();
    if (pid == 0) {
        cap_t none = cap_init();

        if (cap_set_proc(none) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
            _exit(2);
        /* a uid that only this child has */
        _exit(procs_prove_harmless(4294967000u, NULL, 0, &n, &err) == 0 && n == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void test_finds_capability(void **state)
{
    const uid_t uid = 1000000000u + (uid_t)getpid(); /* another one than a test beside this has */
    struct err err = {""};
    unsigned n = 0;
    char text[64];
    pid_t holder = -1, plain = -1, known[1];
    int ready[2];
    char byte;

    (void)state;
    if (geteuid() != 0) {
        print_message("# SKIP finds_capability: needs root to make a process of another user\n");
        skip();
    }
    assert_int_equal(pipe(ready), 0);
    for (int with = 0; with < 2; with++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (with)
                prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
            if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 ||
                write(ready[1], "x", 1) != 1)
                _exit(1);
            alarm(300); /* nobody ends it when an assertion fails, and make waits for it */
            for (;;)
                pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        if (with)
            holder = pid;
        else
            plain = pid;
        if (!with) {
            assert_int_equal(procs_prove_harmless(uid, NULL, 0, &n, &err), 0);
            assert_int_equal(n, 1);
        }
    }
    errno = 0;
    assert_int_equal(procs_prove_harmless(uid, NULL, 0, &n, &err), -1);
    assert_int_equal(errno, EPERM);
    snprintf(text, sizeof text, "process %d ", (int)holder);
    assert_non_null(strstr(err.text, text));
    known[0] = holder;
    assert_int_equal(procs_prove_harmless(uid, known, 1, &n, &err), 0);
    kill(holder, SIGKILL); /* a zombie with capabilities does no harm */
    waitid(P_PID, (id_t)holder, &(siginfo_t){0}, WEXITED | WNOWAIT);
    assert_int_equal(procs_prove_harmless(uid, NULL, 0, &n, &err), 0);
    waitpid(holder, NULL, 0);
    end(plain);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),       cmocka_unit_test(test_busy),
        cmocka_unit_test(test_busy_group), cmocka_unit_test(test_kill_descendants),
        cmocka_unit_test(test_harmless),   cmocka_unit_test(test_finds_capability),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
