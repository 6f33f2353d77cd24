/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The walk to a task's directory and the files in it, as gendir.h offers it: what others put in the
 * way.
 */
#include "common/gendir.h"

#include "common/io.h"
#include "common/scratch.h"

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
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define JOB "test.42.0123456789abcdef"

static char base[256];
static struct facts facts;
static int task = -1;

static int setup(void **state)
{
    (void)state;
    umask(022);
    scratch_make(base);
    scratch_facts(&facts, base);
    return 0;
}

static int setup_task(void **state)
{
    setup(state);
    task = gendir_open_task(&facts, true, NULL);
    return task < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&task);
    scratch_remove(base);
    return 0;
}

static const char *below(const char *name)
{
    static char path[600];

    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static bool there(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Succeeds or refuses with this errno and a text. */
static void expect_refusal(int fd, int wanted, const struct err *e)
{
    int got = errno;

    if (fd >= 0)
        close(fd);
    assert_int_equal(fd, -1);
    if (wanted)
        assert_int_equal(got, wanted);
    assert_true(strlen(e->text) > 0);
}

static void base_that_is_no_path(void **state)
{
    static const char *const bad[] = {"", "x", "./x", "/", "///", "/tmp/../etc", "/tmp/..", "/.."};
    char big[5000];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {""};

        expect_refusal(gendir_open_base(bad[i], geteuid(), true, &e), EINVAL, &e);
    }
    memset(big, 'a', sizeof big - 1);
    big[0] = '/';
    big[sizeof big - 1] = '\0';
    assert_int_equal(gendir_open_base(big, geteuid(), true, NULL), -1);
}

static void base_of_another_uid_than_ours(void **state)
{
    struct err e = {""};

    (void)state;
    expect_refusal(gendir_open_base(base, geteuid() + 1, true, &e), EPERM, &e);
    facts.uid++;
    expect_refusal(gendir_open_task(&facts, true, &e), EPERM, &e);
    assert_false(there(AT_FDCWD, below(JOB)));
}

static void base_symlinked(void **state)
{
    struct err e = {""};
    char link[600], slash[700];

    (void)state;
    assert_int_equal(mkdir(below("real"), 0700), 0);
    snprintf(link, sizeof link, "%s", below("link"));
    assert_int_equal(symlink("real", link), 0);
    expect_refusal(gendir_open_base(link, geteuid(), true, &e), 0, &e);
    snprintf(slash, sizeof slash, "%s//", link);
    expect_refusal(gendir_open_base(slash, geteuid(), true, &e), 0, &e);
    snprintf(slash, sizeof slash, "/proc/self/cwd");
    expect_refusal(gendir_open_base(slash, geteuid(), true, &e), 0, &e);
    snprintf(slash, sizeof slash, "/proc/self/root%s/real", base);
    expect_refusal(gendir_open_base(slash, geteuid(), true, &e), ELOOP, &e);
}

static void base_modes(void **state)
{
    static const mode_t bad[] = {0720, 0702, 0770, 0777, 01777, 02770};
    struct err e;
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e.text[0] = '\0';
        assert_int_equal(chmod(base, bad[i]), 0);
        expect_refusal(gendir_open_base(base, geteuid(), true, &e), EPERM, &e);
        assert_non_null(strstr(e.text, "chmod go-w"));
        expect_refusal(gendir_open_task(&facts, true, &e), EPERM, &e);
    }
    assert_int_equal(chmod(base, 0755), 0);
    fd = gendir_open_base(base, geteuid(), false, &e);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    io_close(&fd);
    assert_int_equal(chmod(base, 0700), 0);
}

static void base_foreign(void **state)
{
    struct err e = {""};

    (void)state;
    SCRATCH_NEED_ROOT();
    assert_int_equal(chown(base, SCRATCH_UID, (gid_t)-1), 0);
    expect_refusal(gendir_open_base(base, 0, true, &e), EPERM, &e);
    expect_refusal(gendir_open_task(&facts, true, &e), EPERM, &e);
}

static void base_missing(void **state)
{
    struct err e = {""};
    struct stat st;
    int fd;

    (void)state;
    snprintf(facts.dir, sizeof facts.dir, "%s", below("a/b/c"));
    expect_refusal(gendir_open_base(facts.dir, geteuid(), false, &e), ENOENT, &e);
    /* not "no checkpoints yet" */
    expect_refusal(gendir_open_task(&facts, false, &e), ENXIO, &e);
    assert_false(there(AT_FDCWD, below("a")));
    fd = gendir_open_base(facts.dir, geteuid(), true, &e);
    assert_true(fd >= 0);
    io_close(&fd);
    assert_int_equal(stat(below("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(below("a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* through a file */
    scratch_write(AT_FDCWD, below("file"), "x", 0, 0600);
    expect_refusal(gendir_open_base(below("file"), geteuid(), true, &e), ENOTDIR, &e);
    expect_refusal(gendir_open_base(below("file/x"), geteuid(), true, &e), ENOTDIR, &e);
}

static void task_names_that_are_none(void **state)
{
    struct err e = {""};

    (void)state;
    snprintf(facts.task, sizeof facts.task, "..");
    expect_refusal(gendir_open_task(&facts, true, &e), EINVAL, &e);
    snprintf(facts.task, sizeof facts.task, "a/b");
    expect_refusal(gendir_open_task(&facts, true, &e), EINVAL, &e);
    snprintf(facts.task, sizeof facts.task, "batch");
    snprintf(facts.nonce, sizeof facts.nonce, "x");
    expect_refusal(gendir_open_task(&facts, true, &e), EINVAL, &e);
}

static void task_made_and_found(void **state)
{
    struct err e = {""};
    struct stat st;
    int fd;

    (void)state;
    expect_refusal(gendir_open_task(&facts, false, &e), ENOENT, &e);
    assert_false(there(AT_FDCWD, below(JOB)));
    for (int i = 0; i < 2; i++) {
        fd = gendir_open_task(&facts, true, &e);
        assert_true(fd >= 0);
        io_close(&fd);
    }
    assert_int_equal(stat(below(JOB), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(below(JOB "/batch"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    fd = gendir_open_task(&facts, false, &e);
    assert_true(fd >= 0);
    io_close(&fd);
}

/* Each of the two directories: symbolic link, file, writable, foreign, another filesystem. */
static void task_directories_that_are_traps(void **state)
{
    static const char *const at[] = {JOB, JOB "/batch"};
    struct err e = {""};
    char path[600];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s", below(at[i]));
        assert_int_equal(symlink("/tmp", path), 0);
        expect_refusal(gendir_open_task(&facts, true, &e), 0, &e);
        expect_refusal(gendir_open_task(&facts, false, &e), 0, &e);
        assert_int_equal(unlink(path), 0);
        scratch_write(AT_FDCWD, path, "x", 0, 0600);
        expect_refusal(gendir_open_task(&facts, true, &e), ENOTDIR, &e);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chmod(path, 0770), 0);
        expect_refusal(gendir_open_task(&facts, true, &e), EPERM, &e);
        if (geteuid() == 0) {
            assert_int_equal(chmod(path, 0700), 0);
            assert_int_equal(chown(path, SCRATCH_UID, (gid_t)-1), 0);
            expect_refusal(gendir_open_task(&facts, true, &e), EPERM, &e);
            assert_int_equal(chown(path, 0, (gid_t)-1), 0);
        }
        assert_int_equal(chmod(path, 0700), 0);
    }
}

static void mounts(void **state)
{
    struct err e = {""};
    int fd;

    (void)state;
    SCRATCH_NEED_ROOT();
    assert_int_equal(mkdir(below("mnt"), 0700), 0);
    if (mount("none", below("mnt"), "tmpfs", 0, "mode=0700") < 0) {
        print_message("# skipped: cannot mount here\n");
        skip();
    }
    /* the base itself may be one */
    snprintf(facts.dir, sizeof facts.dir, "%s", below("mnt"));
    fd = gendir_open_task(&facts, true, &e);
    assert_true(fd >= 0);
    io_close(&fd);
    assert_int_equal(umount(below("mnt")), 0);
    /* what is in it may not */
    snprintf(facts.dir, sizeof facts.dir, "%s", base);
    assert_int_equal(mkdir(below(JOB), 0700), 0);
    assert_int_equal(mount("none", below(JOB), "tmpfs", 0, "mode=0700"), 0);
    fd = gendir_open_task(&facts, true, &e);
    assert_int_equal(umount(below(JOB)), 0);
    errno = EXDEV;
    expect_refusal(fd, 0, &e);
    assert_non_null(strstr(e.text, "another filesystem"));
}

static void file_names_and_flags(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/etc/passwd", "../x", "x/"};
    struct err e = {""};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_refusal(gendir_open_file(task, bad[i], O_RDONLY, 0, &e), EINVAL, &e);
        expect_refusal(gendir_open_file(task, bad[i], O_WRONLY | O_CREAT, 0600, &e), EINVAL, &e);
        expect_refusal(gendir_open_dir(task, bad[i], &e), EINVAL, &e);
    }
    scratch_write(task, "index", "keep me", 0, 0600);
    expect_refusal(gendir_open_file(task, "index", O_WRONLY | O_TRUNC, 0, &e), EINVAL, &e);
    expect_refusal(gendir_open_file(task, "index", O_WRONLY | O_CREAT, 0600, &e), EEXIST, &e);
    expect_refusal(gendir_open_file(task, "none", O_RDONLY, 0, &e), ENOENT, &e);
    expect_refusal(gendir_open_file(-1, "index", O_RDONLY, 0, &e), EBADF, &e);
}

static void make_socket(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(strlen(path) < sizeof a.sun_path);
    memcpy(a.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

/* What may stand in place of a part; none of it is opened, none of it hangs. */
static void things_that_are_no_files(void **state)
{
    struct err e = {""};
    static const char *const things[] = {"dir",     "fifo", "sock", "link", "dangling",
                                         "outside", "hard", "gw",   "ow"};
    size_t n = sizeof things / sizeof *things;

    (void)state;
    scratch_write(task, "real", "x", 0, 0600);
    scratch_write(task, "other", "x", 0, 0600);
    scratch_write(task, "gw", "x", 0, 0620);
    scratch_write(task, "ow", "x", 0, 0602);
    assert_int_equal(mkdirat(task, "dir", 0700), 0);
    assert_int_equal(mkfifoat(task, "fifo", 0600), 0);
    make_socket(below(JOB "/batch/sock"));
    assert_int_equal(symlinkat("real", task, "link"), 0);
    assert_int_equal(symlinkat("nowhere", task, "dangling"), 0);
    assert_int_equal(symlinkat("/etc/passwd", task, "outside"), 0);
    assert_int_equal(linkat(task, "other", task, "hard", 0), 0);
    for (size_t i = 0; i < n; i++) {
        static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_APPEND};

        for (size_t k = 0; k < 4; k++) {
            int fd = gendir_open_file(task, things[i], flags[k], 0, &e);

            if (fd >= 0)
                fail_msg("opened: %s", things[i]);
            assert_true(errno == EPERM || errno == ELOOP || errno == EISDIR);
        }
        expect_refusal(gendir_open_file(task, things[i], O_WRONLY | O_CREAT, 0600, &e), 0, &e);
    }
    assert_false(there(task, "nowhere"));
    expect_refusal(gendir_open_dir(task, "link", &e), 0, &e);
    expect_refusal(gendir_open_dir(task, "real", &e), ENOTDIR, &e);
    assert_int_equal(symlinkat("dir", task, "dirlink"), 0);
    expect_refusal(gendir_open_dir(task, "dirlink", &e), 0, &e);
    assert_int_equal(fchmodat(task, "dir", 0777, 0), 0);
    expect_refusal(gendir_open_dir(task, "dir", &e), EPERM, &e);
}

static void foreign_files_and_devices(void **state)
{
    struct err e = {""};

    (void)state;
    SCRATCH_NEED_ROOT();
    scratch_write(task, "foreign", "x", 0, 0644);
    assert_int_equal(fchownat(task, "foreign", SCRATCH_UID, (gid_t)-1, 0), 0);
    expect_refusal(gendir_open_file(task, "foreign", O_RDONLY, 0, &e), EPERM, &e);
    assert_int_equal(mkdirat(task, "fdir", 0755), 0);
    assert_int_equal(fchownat(task, "fdir", SCRATCH_UID, (gid_t)-1, 0), 0);
    expect_refusal(gendir_open_dir(task, "fdir", &e), EPERM, &e);
    if (mknodat(task, "null", S_IFCHR | 0600, makedev(1, 3)) < 0) {
        print_message("# no device node can be made here\n");
        return;
    }
    /* EACCES where the filesystem is nodev */
    expect_refusal(gendir_open_file(task, "null", O_RDONLY, 0, &e), 0, &e);
    expect_refusal(gendir_open_file(task, "null", O_WRONLY, 0, &e), 0, &e);
}

static void good_files(void **state)
{
    struct stat st;
    char c;
    int fd = gendir_open_file(task, "index", O_WRONLY | O_CREAT, 0600, NULL);

    (void)state;
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(io_write_full(fd, "x", 1), 0);
    io_close(&fd);
    fd = gendir_open_file(task, "index", O_RDONLY, 0, NULL);
    assert_true(fd >= 0);
    assert_int_equal(io_read_full(fd, &c, 1), 0);
    io_close(&fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TASK_TEST(f) cmocka_unit_test_setup_teardown(f, setup_task, teardown)

/* Writes "new" and renames it to "file" again and again until it is killed. */
static void replace_for_ever(void)
{
    for (;;) {
        int fd = openat(task, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        close(fd);
        if (renameat(task, "new", task, "file") < 0)
            _exit(1);
    }
}

/* A reader of an answer meets the writer's rename: that is no trap, the next try finds the new file. */
static void a_file_that_is_replaced_meanwhile(void **state)
{
    unsigned opened = 0;
    pid_t pid;

    (void)state;
    scratch_write(task, "file", "", 0, 0600);
    pid = fork();
    if (pid == 0)
        replace_for_ever();
    assert_true(pid > 0);
    for (int i = 0; i < 20000; i++) {
        int fd = gendir_open_file(task, "file", O_RDONLY, 0, NULL);

        opened += fd >= 0;
        if (fd < 0 && errno != ENOENT) {
            kill(pid, SIGKILL);
            fail_msg("errno %d", errno);
        }
        io_close(&fd);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(opened > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_that_is_no_path),
        TEST(base_of_another_uid_than_ours),
        TEST(base_symlinked),
        TEST(base_modes),
        TEST(base_foreign),
        TEST(base_missing),
        TEST(task_names_that_are_none),
        TEST(task_made_and_found),
        TEST(task_directories_that_are_traps),
        TEST(mounts),
        TASK_TEST(file_names_and_flags),
        TASK_TEST(things_that_are_no_files),
        TASK_TEST(foreign_files_and_devices),
        TASK_TEST(good_files),
        TASK_TEST(a_file_that_is_replaced_meanwhile),
    };

    return cmocka_run_group_tests_name("beneath", tests, NULL, NULL);
}
