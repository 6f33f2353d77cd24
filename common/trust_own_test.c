/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/helper.h"
#include "common/io.h"
#include "common/scratch.h"
#include "common/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static int make_facts(enum facts_isolation isolation)
{
    struct facts f;

    memset(&f, 0, sizeof f);
    snprintf(f.cluster, sizeof f.cluster, "test");
    snprintf(f.node, sizeof f.node, "n1");
    snprintf(f.task, sizeof f.task, "batch");
    snprintf(f.nonce, sizeof f.nonce, "0123456789abcdef");
    snprintf(f.user, sizeof f.user, "alice");
    snprintf(f.proctrack, sizeof f.proctrack, "cgroup");
    snprintf(f.dir, sizeof f.dir, "/scratch/alice");
    snprintf(f.helper_dir, sizeof f.helper_dir, "/usr/libexec/x");
    snprintf(f.criu, sizeof f.criu, "/usr/sbin/criu");
    f.job = 42;
    f.uid = SCRATCH_UID;
    f.task_pid = 4711;
    f.isolation = isolation;
    f.keep = 2;
    f.compress_level = 1;
    f.dump_timeout = f.restore_timeout = f.hook_timeout = 60;
    f.mtbf = 86400;
    return facts_store(&f, NULL);
}

static void outside(void **state)
{
    struct facts f = {.job = 7};
    struct err err = {{0}};
    int fd = make_facts(ISOLATION_PRIVATE);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(trust_facts(fd, &f, &err), -1);
    assert_int_equal(errno, EPERM);
    assert_non_null(strstr(err.text, "user namespace of its user's own only"));
    assert_int_equal(f.job, 7);
    io_close(&fd);
}

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : io_write_full(fd, text, strlen(text));

    io_close(&fd);
    return rc;
}

/* Exit status: 0 as it should be, 99: no such namespaces here, else which step. */
static int in_namespace(void *arg)
{
    const int rooted = *(int *)arg;
    const unsigned inner = rooted ? 0 : SCRATCH_UID;
    struct facts f;
    struct err err = {{0}};
    char map[64];
    int fd, rc;

    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0)
        return 99; /* (who has changed his uid may not write into his own /proc) */
    snprintf(map, sizeof map, "%u %u 1\n", inner, SCRATCH_UID);
    if (put("/proc/self/setgroups", "deny") < 0 || put("/proc/self/uid_map", map) < 0)
        return 1;
    fd = make_facts(ISOLATION_PRIVATE);
    rc = trust_facts(fd, &f, &err);
    io_close(&fd);
    if (rooted) /* who calls himself root there is not taken for the job's user */
        return rc == -1 ? 0 : 2;
    if (rc != 0 || f.job != 42)
        return 3;
    fd = make_facts(ISOLATION_HOST);
    if (trust_facts(fd, &f, &err) == 0)
        return 4;
    io_close(&fd);
    fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC); /* root's, which shows as nobody's */
    if (trust_facts(fd, &f, &err) == 0)
        return 5;
    io_close(&fd);
    return helper_path_trusted("/etc/passwd", "x", &err) == 0 ? 0 : 6;
}

static void inside(void **state)
{
    int rooted = 0, rc;

    (void)state;
    SCRATCH_NEED_ROOT();
    rc = scratch_as(SCRATCH_UID, in_namespace, &rooted);
    if (rc == 99) {
        print_message("# skipped: no user namespaces here\n");
        skip();
    }
    assert_int_equal(rc, 0);
    rooted = 1;
    assert_int_equal(scratch_as(SCRATCH_UID, in_namespace, &rooted), 0);
}

static void paths(void **state)
{
    char dir[256], path[512], link[512];
    struct err err = {{0}};
    int fd;

    (void)state;
    scratch_make(dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scratch_write(fd, "program", "x", 0, 0755);
    snprintf(path, sizeof path, "%s/program", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(helper_path_trusted("", "x", &err), -1);
    assert_int_equal(helper_path_trusted("program", "x", &err), -1);
    assert_int_equal(helper_path_trusted(link, "x", &err), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(helper_path_trusted(dir, "x", &err), -1);
    assert_int_equal(errno, EPERM);
    /* Outside of such a namespace root has a number, and may be another user. */
    if (helper_path_trusted(path, "x", &err) < 0)
        assert_non_null(strstr(err.text, "belongs to another user"));
    assert_int_equal(fchmodat(fd, "program", 0775, 0), 0);
    assert_int_equal(helper_path_trusted(path, "x", &err), -1);
    assert_int_equal(errno, EPERM);
    io_close(&fd);
    scratch_remove(dir);
}

static void names(void **state)
{
    struct facts f = {.isolation = ISOLATION_PRIVATE};

    (void)state;
    assert_string_equal(trust_isolation(&f), TRUST_OWN);
    assert_string_equal(trust_helper(true), "own-dump");
    assert_string_equal(trust_helper(false), "own-restore");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(outside), cmocka_unit_test(inside),
                                       cmocka_unit_test(paths), cmocka_unit_test(names)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
