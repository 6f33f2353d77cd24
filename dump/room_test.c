/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/room.h"

#include "common/gendir.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/manifest_sample.h"
#include "common/scratch.h"
#include "common/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define HUGE_LIMIT (UINT64_C(1) << 60)

static char base[256];
static struct facts facts;
static int basefd = -1, task = -1;

/* A generation of one file of so many bytes (a hole), and a manifest that says raw and stored. */
static void put_generation(uint32_t sequence, off_t bytes, uint64_t raw, uint64_t stored)
{
    struct gendir_id id = {0, sequence};
    struct manifest m = manifest_sample();
    char name[40], *text;
    int dirfd, fd;

    gendir_format_name(id, false, name);
    assert_int_equal(mkdirat(task, name, 0700), 0);
    dirfd = gendir_open_dir(task, name, NULL);
    fd = gendir_open_file(dirfd, MANIFEST_PAGES, O_WRONLY | O_CREAT, 0600, NULL);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    m.raw_bytes = raw;
    m.stored_bytes = stored;
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    scratch_write(dirfd, MANIFEST_FILE, text, 0, 0600);
    free(text);
    io_close(&fd);
    io_close(&dirfd);
}

static int set_up(void **state)
{
    (void)state;
    umask(022);
    scratch_make(base);
    scratch_facts(&facts, base);
    facts.keep = 2;
    facts.compress = COMPRESS_ZSTD;
    task = gendir_open_task(&facts, true, NULL);
    basefd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(task >= 0 && basefd >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    io_close(&task);
    io_close(&basefd);
    scratch_remove(base);
    return 0;
}

#define NOTHING_TO_PRUNE "" /* for check(): and prune is not to be named */

/* errno (0: there is room), and whether the text has it.  last: the job ends with it. */
static int check_as(bool last, uint64_t memory, const char *text)
{
    struct err err = {""};
    uint64_t reserve = 1;
    int rc;

    rc = room_check(task, &facts, memory, last, &reserve, &err);
    if (rc < 0 && !strstr(err.text, text))
        fail_msg("wanted '%s' in: %s", text, err.text);
    if (rc < 0)
        assert_int_equal(reserve, 1);
    if (rc < 0 && !strcmp(text, NOTHING_TO_PRUNE) && strstr(err.text, "prune"))
        fail_msg("there is nothing to prune: %s", err.text);
    return rc < 0 ? errno : 0;
}

static int check(uint64_t memory, const char *text)
{
    return check_as(false, memory, text);
}

static void what_cannot_fit(void **state)
{
    (void)state;
    facts.compress = COMPRESS_NONE;
    assert_int_equal(check(HUGE_LIMIT, " needed at least, and 16.0 MiB to be left over"), ENOSPC);
    assert_int_equal(check(HUGE_LIMIT, NOTHING_TO_PRUNE), ENOSPC);
    assert_int_equal(check(MIB, ""), 0);
    put_generation(1, MIB, 1, 1); /* the newest stays */
    assert_int_equal(check(HUGE_LIMIT, NOTHING_TO_PRUNE), ENOSPC);
    put_generation(2, MIB, 1, 1);
    assert_int_equal(check(HUGE_LIMIT, ": remove some: scheckpoint prune"), ENOSPC);
}

static uint64_t free_bytes(void)
{
    struct statvfs st;

    assert_int_equal(fstatvfs(task, &st), 0);
    return (uint64_t)st.f_bavail * st.f_frsize;
}

/* check_as() of all that is free but 8 MiB, while nobody else takes or gives much of it. */
static int check_nearly_full(bool last, const char *text)
{
    uint64_t before, after;
    int rc;

    do {
        before = free_bytes();
        assert_true(before > 32 * MIB);
        rc = check_as(last, before - 8 * MIB, "");
        after = free_bytes();
    } while (after + 4 * MIB < before || after > before + 4 * MIB);
    if (rc)
        assert_int_equal(check_as(last, HUGE_LIMIT, text), rc);
    return rc;
}

/* What the job itself may still need, it does not need when it ends; all free space will do. */
static void the_last_one(void **state)
{
    (void)state;
    facts.compress = COMPRESS_NONE;
    assert_int_equal(check_nearly_full(false, "16.0 MiB to be left over"), ENOSPC);
    assert_int_equal(check_nearly_full(true, ""), 0);
    assert_int_equal(check_as(true, HUGE_LIMIT, " needed at least"), ENOSPC);
    facts.min_free = 16 * MIB; /* the site's holds for it, too */
    assert_int_equal(check_nearly_full(true, ""), ENOSPC);
}

static void one_generation(void **state)
{
    (void)state;
    facts.max_size = 10 * MIB;
    facts.compress = COMPRESS_NONE;
    assert_int_equal(check(10 * MIB + 1, "MaxSize"), EFBIG);
    assert_int_equal(check(10 * MIB, ""), 0);
}

static void the_filesystem(void **state)
{
    (void)state;
    facts.min_free = HUGE_LIMIT;
    assert_int_equal(check(MIB, "MinFree"), ENOSPC);
    facts.min_free = 1;
    assert_int_equal(check(MIB, ""), 0);
    facts.max_site_size = 1;
    assert_int_equal(check(MIB, "MaxSiteSize"), ENOSPC);
    assert_int_equal(check(MIB, NOTHING_TO_PRUNE), ENOSPC);
    facts.max_site_size = HUGE_LIMIT;
    assert_int_equal(check(MIB, ""), 0);
}

static void the_users(void **state)
{
    (void)state;
    facts.max_user_size = 100 * MIB;
    facts.compress = COMPRESS_NONE;
    put_generation(1, 40 * MIB, 1, 1);
    assert_int_equal(check(50 * MIB, ""), 0);
    assert_int_equal(check(60 * MIB, "MaxUserSize"), EDQUOT); /* the manifest takes a little, too */
    assert_int_equal(check(60 * MIB, "40.0 MiB"), EDQUOT);
    put_generation(2, 40 * MIB, 1, 1);
    /* keep=2: the first goes when the third is there */
    assert_int_equal(check(50 * MIB, ""), 0);
    facts.keep = 3;
    assert_int_equal(check(50 * MIB, "80.0 MiB"), EDQUOT);
    assert_int_equal(check(10 * MIB, ""), 0);
    /* Another job's count as well. */
    io_close(&task);
    facts.job = 43;
    task = gendir_open_task(&facts, true, NULL);
    assert_int_equal(check(50 * MIB, "80.0 MiB"), EDQUOT);
}

static void what_the_last_one_needed(void **state)
{
    (void)state;
    assert_int_equal(room_estimate(task, &facts, 100 * MIB), 100 * MIB / 20);
    put_generation(1, 0, 200 * MIB, 100 * MIB);
    put_generation(2, 0, 400 * MIB, 100 * MIB);
    assert_int_equal(room_estimate(task, &facts, 100 * MIB), 25 * MIB);
    facts.compress = COMPRESS_LZ4; /* the sample is zstd's */
    assert_int_equal(room_estimate(task, &facts, 100 * MIB), 100 * MIB / 20);
    facts.compress = COMPRESS_NONE;
    assert_int_equal(room_estimate(task, &facts, 100 * MIB), 100 * MIB);
    facts.compress = COMPRESS_ZSTD;
    facts.max_size = 20 * MIB;
    assert_int_equal(check(100 * MIB, "25.0 MiB"), EFBIG);
}

/* Only what is ours counts; a half-written generation does. */
static void usage(void **state)
{
    uint64_t bytes = 7;
    int fd;

    (void)state;
    assert_int_equal(usage_base(-1, &bytes, NULL), -1);
    assert_int_equal(bytes, 7);
    assert_int_equal(usage_base(basefd, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(mkdirat(task, "gen-0000-000009.partial", 0700), 0);
    fd = openat(task, "gen-0000-000009.partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scratch_write(fd, MANIFEST_PAGES, "12345", 0, 0600);
    assert_int_equal(mkdirat(fd, "more", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", fd, "link"), 0);
    assert_int_equal(usage_dir(fd), 5);
    io_close(&fd);
    scratch_write(task, "script", "not counted", 0, 0600);
    scratch_write(basefd, "test.1.0123456789abcdef", "a file", 0, 0600);
    assert_int_equal(mkdirat(basefd, "other", 0700), 0);
    assert_int_equal(usage_base(basefd, &bytes, NULL), 0);
    assert_int_equal(bytes, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_cannot_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_generation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_filesystem, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_last_one_needed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(usage, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("dump/room", tests, NULL, NULL);
}
