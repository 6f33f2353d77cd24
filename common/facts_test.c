/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/facts.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct facts good(void)
{
    struct facts f;

    memset(&f, 0, sizeof f);
    snprintf(f.cluster, sizeof f.cluster, "test");
    snprintf(f.node, sizeof f.node, "n1");
    f.job = 42;
    snprintf(f.task, sizeof f.task, "batch");
    f.step = 0xfffffffbu;
    f.ntasks = 1;
    snprintf(f.nonce, sizeof f.nonce, "0123456789abcdef");
    f.epoch = 3;
    f.uid = 1000;
    f.gid = 1001;
    snprintf(f.user, sizeof f.user, "alice");
    f.task_pid = 4711;
    f.task_start = UINT64_C(12345678901);
    f.isolation = ISOLATION_PRIVATE;
    snprintf(f.proctrack, sizeof f.proctrack, "cgroup");
    snprintf(f.dir, sizeof f.dir, "/scratch/alice");
    snprintf(f.helper_dir, sizeof f.helper_dir, "/usr/libexec/x");
    snprintf(f.criu, sizeof f.criu, "/usr/sbin/criu");
    f.interval = 3600;
    f.keep = 2;
    f.compress = COMPRESS_ZSTD;
    f.compress_level = 1;
    f.dump_timeout = f.restore_timeout = 60;
    f.max_size = UINT64_C(1) << 40;
    f.max_user_size = UINT64_C(3) << 40;
    f.min_free = 1;
    f.max_restarts = 20;
    f.busy_wait = 5;
    f.busy_retries = 3;
    f.overhead = 10;
    f.mtbf = 86400;
    snprintf(f.site_hooks.before, sizeof f.site_hooks.before, "/etc/before");
    snprintf(f.hooks.restored, sizeof f.hooks.restored, "/home/alice/restored hook");
    f.hook_timeout = 30;
    snprintf(f.files, sizeof f.files, "./a b:/dev/shm/x*");
    f.files_limit = UINT64_C(2) << 30;
    f.files_small = 4096;
    f.source_job = 12;
    f.source_task = 4;
    f.inputs = CHOICE_WARN;
    f.snapshot = SNAPSHOT_REQUIRE;
    f.snapshot_tight = TIGHT_DROP;
    f.memory_kill = UINT64_C(1) << 40;
    f.incremental = 64;
    return f;
}

/* A memfd with this text and these seals. */
static int memory(const char *text, size_t len, int seals)
{
    int fd = memfd_create("facts-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(io_write_full(fd, text, len), 0);
    if (seals)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* What facts_store writes for good(). */
static char *good_text(void)
{
    struct facts f = good();
    int fd = facts_store(&f, NULL);
    size_t len;
    char *text;

    assert_true(fd >= 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    text = io_slurp(fd, FACTS_MAX_BYTES, &len, NULL);
    assert_non_null(text);
    io_close(&fd);
    return text;
}

static int load_text(const char *text, size_t len)
{
    int fd = memory(text, len, SEALS);
    struct facts f;
    int rc = facts_load(fd, false, &f, NULL);

    io_close(&fd);
    return rc;
}

static void not_a_memfd(void **state)
{
    struct facts f;
    struct err e = {""};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(facts_load(-1, false, &f, &e), -1);
    assert_int_equal(facts_load(fd, false, &f, &e), -1);
    assert_true(strlen(e.text) > 0);
    io_close(&fd);
}

static void each_seal_is_needed(void **state)
{
    static const int each[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
    char *text = good_text();
    struct facts f;
    int fd;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        fd = memory(text, strlen(text), SEALS & ~each[i]);
        assert_int_equal(facts_load(fd, false, &f, NULL), -1);
        assert_int_equal(errno, EPERM);
        io_close(&fd);
    }
    fd = memory(text, strlen(text), SEALS);
    assert_int_equal(facts_load(fd, false, &f, NULL), 0);
    io_close(&fd);
    free(text);
}

static void every_field_comes_back(void **state)
{
    struct facts f = good(), g;
    int fd;

    (void)state;
    f.array_job = 40;
    f.array_task = 2;
    f.threads = 4;
    snprintf(f.munge_socket, sizeof f.munge_socket, "/run/m.sock");
    snprintf(f.log_dir, sizeof f.log_dir, "/var/log/x");
    fd = facts_store(&f, NULL);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    memset(&g, 0xee, sizeof g);
    assert_int_equal(facts_load(fd, geteuid() == 0, &g, NULL), 0);
    assert_memory_equal(&f, &g, sizeof f); /* both were cleared before */
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    io_close(&fd);
}

static int load_as_root_only(void *arg)
{
    struct facts f;
    int fd = facts_store(arg, NULL), rc;

    if (fd < 0)
        return 90;
    rc = facts_load(fd, true, &f, NULL);
    return rc == 0 ? 0 : errno == EPERM ? 1 : 2;
}

static void a_user_cannot_imitate_root(void **state)
{
    struct facts f = good();

    (void)state;
    if (geteuid() != 0)
        assert_int_equal(load_as_root_only(&f), 1);
    else
        assert_int_equal(scratch_as(SCRATCH_UID, load_as_root_only, &f), 1);
}

static void lines_added_or_missing(void **state)
{
    char *text = good_text(), *line, *end;
    size_t len = strlen(text);
    char *more = calloc(1, len + 64);

    (void)state;
    assert_non_null(more);
    assert_int_equal(load_text(text, len), 0);
    snprintf(more, len + 64, "%sunknown=1\n", text);
    assert_int_equal(load_text(more, strlen(more)), -1);
    snprintf(more, len + 64, "%suid=0\n", text);
    assert_int_equal(load_text(more, strlen(more)), -1);
    snprintf(more, len + 64, "%suid\n", text);
    assert_int_equal(load_text(more, strlen(more)), -1);
    memcpy(more, text, len + 1);
    more[len / 2] = '\0';
    assert_int_equal(load_text(more, len), -1);
    /* each line taken out alone */
    for (line = text; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        memcpy(more, text, (size_t)(line - text));
        memcpy(more + (line - text), end + 1, len - (size_t)(end + 1 - text) + 1);
        assert_int_equal(load_text(more, strlen(more)), -1);
    }
    assert_int_equal(load_text("", 0), -1);
    free(more);
    free(text);
}

static void values_out_of_range(void **state)
{
    static const char *const bad[] = {
        "uid=0",
        "uid=4294967295",
        "uid=-1",
        "uid= 1000",
        "uid=1000x",
        "uid=",
        "uid=18446744073709552616",
        "job=0",
        "epoch=10000",
        "task=..",
        "task=a/b",
        "task=.x",
        "task=-x",
        "task=",
        "nonce=0123",
        "nonce=0123456789ABCDEF",
        "dir=relative",
        "dir=/a/../b",
        "dir=",
        "isolation=2",
        "hooks.before=before.sh",
        "site_hooks.after=/a/../b",
        "hook_timeout=0",
        "hook_timeout=3601",
        "keep=0",
        "compress=3",
        "compress_level=0",
        "compress_level=20",
        "incremental=65",
        "cluster=a b",
        "cluster=a\033",
        "max_size=0x10",
        "user=",
        "dump_timeout=0",
        "task_pid=0",
    };
    char *text = good_text();
    size_t len = strlen(text);
    char *other = calloc(1, len + 128);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t key = (size_t)(strchr(bad[i], '=') - bad[i]) + 1;
        char *line, *end, find[40];

        snprintf(find, sizeof find, "\n%.*s", (int)key, bad[i]);
        line = strncmp(text, bad[i], key) == 0 ? text : strstr(text, find) + 1;
        assert_non_null(line);
        end = strchr(line, '\n');
        snprintf(other, len + 128, "%.*s%s%s", (int)(line - text), text, bad[i], end);
        if (load_text(other, strlen(other)) != -1)
            fail_msg("accepted: %s", bad[i]);
    }
    free(other);
    free(text);
}

static void store_refuses_what_load_would(void **state)
{
    struct facts f = good();

    (void)state;
    f.uid = 0;
    assert_int_equal(facts_store(&f, NULL), -1);
    f = good();
    f.dir[0] = 'x';
    assert_int_equal(facts_store(&f, NULL), -1);
    f = good();
    f.node[0] = '\n';
    assert_int_equal(facts_store(&f, NULL), -1);
    f = good();
    f.keep = 0;
    assert_int_equal(facts_store(&f, NULL), -1);
}

static void output_untouched_on_failure(void **state)
{
    struct facts f, before;
    int fd = memory("x=1\n", 4, SEALS);

    (void)state;
    memset(&f, 0x5a, sizeof f);
    before = f;
    assert_int_equal(facts_load(fd, false, &f, NULL), -1);
    assert_memory_equal(&f, &before, sizeof f);
    io_close(&fd);
}

static void names(void **state)
{
    char longest[65];

    (void)state;
    assert_false(facts_name_ok(""));
    assert_false(facts_name_ok("."));
    assert_false(facts_name_ok(".."));
    assert_false(facts_name_ok("-a"));
    assert_false(facts_name_ok("a/b"));
    assert_false(facts_name_ok("a b"));
    assert_false(facts_name_ok("a\n"));
    assert_true(facts_name_ok("batch"));
    assert_true(facts_name_ok("a.b-c_D9"));
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_false(facts_name_ok(longest));
    longest[63] = '\0';
    assert_true(facts_name_ok(longest));
    assert_false(facts_nonce_ok(""));
    assert_false(facts_nonce_ok("0123456789abcde"));
    assert_false(facts_nonce_ok("0123456789abcdeg"));
    assert_false(facts_nonce_ok("0123456789abcdef0"));
    assert_true(facts_nonce_ok("0123456789abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_a_memfd),
        cmocka_unit_test(each_seal_is_needed),
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(a_user_cannot_imitate_root),
        cmocka_unit_test(lines_added_or_missing),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(store_refuses_what_load_would),
        cmocka_unit_test(output_untouched_on_failure),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
