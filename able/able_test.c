/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two ways: a tree of files that looks like /proc, for what no test machine has (GPUs, RDMA); and real processes.
 */
#include "able/able.h"

#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static char top[256];
static struct able_list list;

static int set_up(void **state)
{
    (void)state;
    scratch_make(top);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(top);
    return 0;
}

/* TOP/path with the directories above it; text: a file; target: a link */
static void put(const char *path, const char *text, const char *target)
{
    char whole[PATH_MAX];
    int fd;

    snprintf(whole, sizeof whole, "%s/%s", top, path);
    for (char *p = whole + strlen(top) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *p = '/';
    }
    if (target) {
        assert_int_equal(symlink(target, whole), 0);
        return;
    }
    fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void put_process(const char *pid, const char *children, const char *maps)
{
    char path[256], status[256];

    snprintf(status, sizeof status,
             "Name:\tprog%s\nState:\tS (sleeping)\nTracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\n"
             "Gid:\t%u\t%u\t%u\t%u\nSeccomp:\t0\n",
             pid, getuid(), getuid(), getuid(), getuid(), getgid(), getgid(), getgid(), getgid());
    snprintf(path, sizeof path, "%s/status", pid);
    put(path, status, NULL);
    snprintf(path, sizeof path, "%s/maps", pid);
    put(path, maps, NULL);
    snprintf(path, sizeof path, "%s/ns/mnt", pid);
    put(path, NULL, "mnt:[1]");
    snprintf(path, sizeof path, "%s/task/%s/children", pid, pid);
    put(path, children, NULL);
}

static void scan_fake(void)
{
    struct err err = {{0}};

    assert_int_equal(able_scan(top, 10, &list, &err), 0);
}

static const struct able_finding *finding(enum able_kind kind)
{
    for (size_t i = 0; i < list.n; i++)
        if (list.found[i].kind == kind)
            return &list.found[i];
    return NULL;
}

static void bad_arguments(void **state)
{
    struct err err = {{0}};
    char text[64] = "x";

    (void)state;
    assert_int_equal(able_scan("/nowhere", 1, &list, &err), -1);
    assert_true(*err.text != '\0');
    assert_int_equal(able_scan("/proc", 0, &list, &err), -1);
    assert_int_equal(able_scan("/proc", INT_MAX, &list, &err), -1);
    assert_int_equal(list.total, 0);
    able_summary(&list, text, sizeof text);
    assert_string_equal(text, "");
    assert_false(able_passing(&list));
    assert_int_equal(able_pid_of(-1), -1);
    assert_int_equal(able_pid_of(0), -1);
    assert_string_equal(able_kind_name(ABLE_KINDS), "?");
    for (int k = 0; k < ABLE_KINDS; k++) {
        struct able_finding f = {.kind = (enum able_kind)k};

        assert_true(strlen(able_kind_name(f.kind)) > 2);
        assert_true(strlen(able_remedy(&f)) > 10);
    }
}

static void nothing_wrong(void **state)
{
    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put_process("10", "11 12", "00400000-00401000 r-xp 00000000 08:01 12 /bin/x\n");
    put_process("11", "",
                "7f000000-7f001000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n"
                "7f001000-7f002000 rw-p 00000000 00:00 0 \n"
                "7f003000-7f004000 rw-s 00000000 00:19 5 /dev/shm/a\n");
    put("11/fd/0", NULL, "/dev/null");
    put("11/fd/3", NULL, "pipe:[77]");
    put("11/fd/4", NULL, "anon_inode:[eventpoll]");
    put("11/fd/5", NULL, "/a/file/that/is/not/there");
    /* 12 has ended meanwhile */
    scan_fake();
    assert_int_equal(list.total, 0);
    assert_int_equal(list.processes, 2);
}

static void devices(void **state)
{
    char text[512];

    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put_process("10", "11", "");
    put_process("11", "",
                "7f000000-7f001000 rw-s 00000000 00:05 9 /dev/infiniband/uverbs0\n"
                "7f001000-7f002000 rw-s 00001000 00:05 9 /dev/infiniband/uverbs0\n");
    put("10/fd/7", NULL, "/dev/nvidia0");
    put("10/fd/8", NULL, "/dev/dri/renderD128");
    put("10/fd/9", NULL, "/dev/kfd");
    put("11/fd/3", NULL, "anon_inode:[infinibandevent]");
    scan_fake();
    assert_int_equal(list.total, 4);
    assert_non_null(finding(ABLE_GPU));
    assert_string_equal(finding(ABLE_GPU)->program, "prog10");
    assert_true(strncmp(finding(ABLE_GPU)->where, "descriptor ", 11) == 0);
    assert_int_equal(finding(ABLE_RDMA)->pid, 11);
    assert_string_equal(finding(ABLE_RDMA)->where, "descriptor 3");
    able_format(finding(ABLE_RDMA), text, sizeof text);
    assert_non_null(strstr(text, "process 11 (prog11), descriptor 3: "));
    assert_non_null(strstr(text, "UCX_TLS"));
    able_summary(&list, text, sizeof text);
    assert_non_null(strstr(text, "; and 3 more"));
}

static void only_mapped(void **state)
{
    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put_process("10", "",
                "7f000000-7f001000 rw-s 00000000 00:05 9 /dev/infiniband/uverbs0\n"
                "7f100000-7f200000 rw-s 00000000 00:05 9 /dev/infiniband/uverbs0\n"
                "7f300000-7f400000 rw-s 00000000 00:05 9 /dev/nvidia-uvm\n"
                "7f500000-7f600000 rw-s 00000000 00:01 31 /SYSV000000ff (deleted)\n"
                "7f800000-7fa00000 rw-s 00000000 00:10 32 /anon_hugepage (deleted)\n"
                "7fa00000-7fc00000 rw-p 00000000 00:10 33 /anon_hugepage (deleted)\n"
                "7f700000-7f800000 rw-s 00000000 00:0e 31 anon_inode:[io_uring]\n");
    scan_fake();
    assert_int_equal(list.total, 5);
    assert_string_equal(finding(ABLE_HUGE)->where, "mapping 7fa00000-7fc00000");
    assert_string_equal(finding(ABLE_RDMA)->where, "mapping 7f000000-7f001000");
    assert_non_null(strstr(finding(ABLE_SYSV)->what, "key 0x000000ff, id 31"));
    assert_non_null(finding(ABLE_IO_URING));
}

static void container(void **state)
{
    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put("self/ns/user", NULL, "user:[1]");
    put_process("10", "11", "");
    put("10/ns/user", NULL, "user:[1]");
    put_process("11", "", "");
    put("11/ns/user", NULL, "user:[2]");
    scan_fake();
    assert_int_equal(list.total, 1);
    assert_int_equal(finding(ABLE_NAMESPACE)->pid, 11);
    assert_non_null(strstr(finding(ABLE_NAMESPACE)->what, "(user)"));
}

static void hostile_names(void **state)
{
    char text[40];

    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put_process("10", "10 10 10 -5 0 99999999999999999999 x", "junk\n\n7f-8f\n7f00 rw-p\n");
    put("10/status", "Name:\t\033]0;x\007-with-a-name-that-is-far-too-long-for-it\nState:\tS\n",
        NULL);
    put("10/fd/3", NULL, "anon_inode:\033[2J");
    put("10/fd/x", NULL, "anon_inode:[perf_event]");
    put("10/fd/4", NULL, "anon_inode:");
    scan_fake();
    assert_true(list.total >= 2);
    for (size_t i = 0; i < list.n; i++) {
        able_format(&list.found[i], text, sizeof text);
        assert_null(strchr(text, '\033'));
        assert_true(strlen(text) < sizeof text);
    }
    assert_null(finding(ABLE_PERF));
}

static void too_many(void **state)
{
    char path[32];

    (void)state;
    put("self/ns/mnt", NULL, "mnt:[1]");
    put_process("10", "", "");
    for (int i = 0; i < ABLE_MAX + 10; i++) {
        snprintf(path, sizeof path, "10/fd/%d", i);
        put(path, NULL, "anon_inode:[perf_event]");
    }
    scan_fake();
    assert_int_equal(list.n, ABLE_MAX);
    assert_int_equal(list.total, ABLE_MAX + 10);
}

/* --- real processes */

/* A child that runs fn, then waits; ready when this returns.  -1 from fn: the kernel here cannot do it. */
static pid_t child(int (*fn)(void), bool *able)
{
    int ready[2];
    pid_t pid;
    char c = 'n';

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        c = fn() < 0 ? 'n' : 'y';
        if (write(ready[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *able = c == 'y';
    return pid;
}

/* What a real process that has run fn shows; skips when the kernel here refuses fn. */
static void scan_child(int (*fn)(void))
{
    struct err err = {{0}};
    bool able;
    pid_t pid = child(fn, &able);
    int rc = able ? able_scan("/proc", pid, &list, &err) : 0;

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (!able) {
        print_message("# skipped: this kernel refuses it\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(list.processes, 1);
    for (size_t i = 0; i < list.n; i++)
        assert_int_equal(list.found[i].pid, pid);
}

static int do_nothing(void)
{
    return 0;
}

static int do_perf(void)
{
    struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
                                .size = sizeof a,
                                .config = PERF_COUNT_SW_TASK_CLOCK,
                                .exclude_kernel = 1,
                                .exclude_hv = 1};

    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0UL);
}

static int do_uring(void)
{
    char params[120] = {0};

    return (int)syscall(SYS_io_uring_setup, 4U, params);
}

static int do_inotify(void)
{
    int fd = inotify_init1(IN_CLOEXEC);

    return fd < 0 ? -1 : inotify_add_watch(fd, "/", IN_CREATE);
}

static int do_inotify_idle(void)
{
    return inotify_init1(IN_CLOEXEC);
}

static int do_sysv(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    void *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
    return at == (void *)-1 ? -1 : 0;
}

static int do_undumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int do_namespace(void)
{
    return unshare(CLONE_NEWUTS | (geteuid() == 0 ? 0 : CLONE_NEWUSER));
}

static int do_pair(void)
{
    int pair[2];

    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static void real_processes(void **state)
{
    static const struct {
        int (*fn)(void);
        enum able_kind kind; /* ABLE_KINDS: nothing to find */
    } cases[] = {
        {do_nothing, ABLE_KINDS},  {do_pair, ABLE_KINDS}, {do_inotify_idle, ABLE_KINDS},
        {do_inotify, ABLE_NOTIFY}, {do_sysv, ABLE_SYSV},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scan_child(cases[i].fn);
        assert_int_equal(list.total, cases[i].kind == ABLE_KINDS ? 0 : 1);
        if (cases[i].kind != ABLE_KINDS)
            assert_non_null(finding(cases[i].kind));
    }
}

static void real_uring(void **state)
{
    (void)state;
    scan_child(do_uring);
    assert_int_equal(list.total, 1);
    assert_non_null(finding(ABLE_IO_URING));
}

static void real_perf(void **state)
{
    (void)state;
    scan_child(do_perf);
    assert_int_equal(list.total, 1);
    assert_non_null(finding(ABLE_PERF));
}

static void real_namespace(void **state)
{
    (void)state;
    scan_child(do_namespace);
    assert_non_null(finding(ABLE_NAMESPACE));
}

/* Root may look into everything. */
static int look_at_undumpable(void *arg)
{
    struct err err = {{0}};
    bool able;
    pid_t pid = child(do_undumpable, &able);
    int rc = able ? able_scan("/proc", pid, &list, &err) : -1;

    (void)arg;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return rc == 0 && list.total == 1 && list.found[0].kind == ABLE_CLOSED ? 0 : 1;
}

static void real_undumpable(void **state)
{
    (void)state;
    if (geteuid() == 0)
        assert_int_equal(scratch_as(SCRATCH_UID, look_at_undumpable, NULL), 0);
    else
        assert_int_equal(look_at_undumpable(NULL), 0);
}

/* The other end is ours, who are not below the child. */
static int outer[2];

static int do_close_outer(void)
{
    return close(outer[0]);
}

static void real_socket_outside(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, outer), 0);
    scan_child(do_close_outer);
    assert_int_equal(list.total, 1);
    assert_non_null(finding(ABLE_UNIX));
    assert_false(able_passing(&list));
    close(outer[0]);
    close(outer[1]);
}

static void pidfd(void **state)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(able_pid_of(fd), getpid());
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test_setup_teardown(nothing_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_mapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many, set_up, tear_down),
        cmocka_unit_test(real_processes),
        cmocka_unit_test(real_uring),
        cmocka_unit_test(real_perf),
        cmocka_unit_test(real_namespace),
        cmocka_unit_test(real_undumpable),
        cmocka_unit_test(real_socket_outside),
        cmocka_unit_test(pidfd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
