/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static uint64_t start_of(pid_t pid)
{
    char path[64], buf[1024];
    unsigned long long v = 0;
    ssize_t n;
    char *p;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, buf, sizeof buf - 1);
    assert_true(n > 0);
    close(fd);
    buf[n] = '\0';
    p = strrchr(buf, ')');
    for (int i = 0; p && i < 20; i++)
        p = strchr(p + 1, ' ');
    assert_non_null(p);
    v = strtoull(p, NULL, 10);
    return v;
}

/* This test program stands for the Slurm task. */
static struct facts facts(void)
{
    struct facts f = {.uid = getuid(), .gid = getgid(), .isolation = ISOLATION_HOST};

    f.task_pid = getpid();
    f.task_start = start_of(getpid());
    return f;
}

static int pidfd_of(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    assert_true(fd >= 0);
    return fd;
}

/* A child that waits; leader: of its own session.  Ready when this returns. */
static pid_t child(bool leader)
{
    int ready[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (leader)
            setsid();
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void refused(int pidfd, const struct facts *f, int error, const char *why)
{
    struct err e = {""};
    pid_t pid = 12345;

    assert_int_equal(target_check(pidfd, f, &pid, &e), -1);
    if (!strstr(e.text, why))
        fail_msg("\"%s\" is not about \"%s\"", e.text, why);
    assert_int_equal(errno, error);
    assert_int_equal(pid, 12345);
}

static void not_a_pidfd(void **state)
{
    struct facts f = facts();
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    refused(fd, &f, EBADF, "not a pidfd");
    close(fd);
    refused(fd, &f, ENOENT, "fdinfo");
    refused(-1, &f, ENOENT, "fdinfo");
}

static void ended(void **state)
{
    struct facts f = facts();
    pid_t pid = child(true);
    int fd = pidfd_of(pid);
    siginfo_t si;

    (void)state;
    assert_true(target_alive(fd));
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
    assert_false(target_alive(fd));
    refused(fd, &f, ESRCH, "has ended"); /* a zombie */
    waitpid(pid, NULL, 0);
    refused(fd, &f, ESRCH, "has ended"); /* reaped: its pid may be anybody's */
    close(fd);
}

static void init_is_not_dumped(void **state)
{
    struct facts f = facts();
    int fd = pidfd_of(1);
    struct err e = {""};
    pid_t pid;

    (void)state;
    assert_int_equal(target_check(fd, &f, &pid, &e), -1);
    close(fd);
}

static void wrong_ids(void **state)
{
    struct facts f = facts();
    pid_t pid = child(true);
    int fd = pidfd_of(pid);

    (void)state;
    f.uid++;
    refused(fd, &f, EPERM, "has uid");
    f = facts();
    f.gid++;
    refused(fd, &f, EPERM, "has gid");
    end(pid);
    close(fd);
}

static void not_a_leader(void **state)
{
    struct facts f = facts();
    pid_t pid = child(false);
    int fd = pidfd_of(pid);

    (void)state;
    refused(fd, &f, EPERM, "does not lead its session");
    end(pid);
    close(fd);
}

/* The pid of a Slurm task that is gone may be another process's. */
static void wrong_task(void **state)
{
    struct facts f = facts();
    pid_t pid = child(true), other = child(true);
    int fd = pidfd_of(pid);

    (void)state;
    f.task_start++;
    refused(fd, &f, ESRCH, "another process's");
    f.task_pid = other;
    f.task_start = start_of(other);
    refused(fd, &f, EPERM, "does not descend");
    f.isolation = ISOLATION_PRIVATE;
    if (getuid() != 0) /* as root this machine's init has our uid */
        refused(fd, &f, EPERM, "not the job's own pid namespace");
    end(pid);
    end(other);
    close(fd);
}

/* In a child that leads its session: neither itself nor its parent. */
static void ourselves(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct facts f = facts();
        struct err e = {""};
        pid_t got, grandchild;
        int fd, rc;

        setsid();
        f.task_pid = getppid();
        f.task_start = start_of(getppid());
        fd = pidfd_of(getpid());
        rc = target_check(fd, &f, &got, &e) == -1 && strstr(e.text, "or above it") ? 0 : 1;
        grandchild = fork();
        if (grandchild == 0)
            _exit(target_check(fd, &f, &got, &e) == -1 && strstr(e.text, "or above it") ? 0 : 1);
        waitpid(grandchild, &status, 0);
        _exit(rc == 0 && status == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void accepted(void **state)
{
    struct facts f = facts();
    pid_t pid = child(true), got = 0;
    int fd = pidfd_of(pid);
    struct err e = {""};

    (void)state;
    if (target_check(fd, &f, &got, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(got, pid);
    assert_true(target_memory(pid) > 0);
    end(pid);
    close(fd);
}

static char state_of(pid_t pid)
{
    char path[64], buf[256], *p;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = read(fd, buf, sizeof buf - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    p = strrchr(buf, ')');
    return p ? p[2] : '?';
}

static void stop(pid_t pid)
{
    int status;

    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static void continues_what_was_stopped(void **state)
{
    pid_t a = child(false), b = child(false), c = child(false);
    struct target_process list[] = {
        {a, 0, false}, {b, getpid(), true}, {c, getpid() + 1, false}, {-5, 1, false}};

    (void)state;
    stop(a);
    stop(b);
    stop(c);
    /* b was stopped before, c has another parent than the list says */
    assert_int_equal(target_continue(list, 4), 1);
    assert_int_not_equal(state_of(a), 'T');
    assert_int_equal(state_of(b), 'T');
    assert_int_equal(state_of(c), 'T');
    assert_int_equal(target_continue_tree(c), 1);
    assert_int_not_equal(state_of(c), 'T');
    /* what runs is not signalled */
    assert_int_equal(target_continue(list, 1), 0);
    end(a);
    end(b);
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_a_pidfd),
        cmocka_unit_test(ended),
        cmocka_unit_test(init_is_not_dumped),
        cmocka_unit_test(wrong_ids),
        cmocka_unit_test(not_a_leader),
        cmocka_unit_test(wrong_task),
        cmocka_unit_test(ourselves),
        cmocka_unit_test(accepted),
        cmocka_unit_test(continues_what_was_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
