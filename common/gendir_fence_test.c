/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir.h"

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
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define JOB "test.42.0123456789abcdef"
#define FENCE JOB "/steps/" GENDIR_FENCE

static char base[256];
static int basefd = -1, batch = -1, step = -1;

static int open_task(const char *name)
{
    struct facts f;

    scratch_facts(&f, base);
    snprintf(f.task, sizeof f.task, "%s", name);
    snprintf(f.nonce, sizeof f.nonce, "0123456789abcdef");
    return gendir_open_task(&f, true, NULL);
}

static int setup(void **state)
{
    (void)state;
    umask(022);
    scratch_make(base);
    basefd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    batch = open_task("batch");
    step = open_task("step-a-0.0");
    return batch < 0 || step < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&step);
    io_close(&batch);
    io_close(&basefd);
    scratch_remove(base);
    return 0;
}

static void assert_stale(int rc)
{
    assert_int_equal(rc, -1);
    assert_int_equal(errno, ESTALE);
}

static void write_fence(const char *text)
{
    (void)mkdirat(basefd, JOB "/steps", 0700);
    (void)unlinkat(basefd, FENCE, 0);
    scratch_write(basefd, FENCE, text, 0, 0600);
}

static void test_damaged(void **state)
{
    static const char *const texts[] = {"", "x\n", "-1\n", "1", "1 \n", "99999999999\n"};
    struct err err;
    uint32_t epoch = 7;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_fence(texts[i]);
        assert_int_equal(gendir_fence_check(batch, 5, &err), -1);
        assert_int_equal(errno, EBADMSG);
        assert_int_equal(gendir_fence_read(batch, &epoch, NULL), -1);
        assert_int_equal(epoch, 7);
    }
    /* Nothing is committed on its word, but the next start of the job mends it. */
    assert_int_equal(gendir_fence(batch, 2, NULL), 0);
    assert_int_equal(gendir_fence_check(batch, 2, NULL), 0);
    assert_stale(gendir_fence_check(batch, 1, NULL));
}

/* A directory that is in none of a job's has no fence: what is above it may be anybody's. */
static void test_not_a_job(void **state)
{
    uint32_t epoch = 7;

    int task;

    (void)state;
    assert_int_equal(fchmod(basefd, 0777), 0);
    assert_int_equal(mkdirat(basefd, "steps", 0700), 0);
    scratch_write(basefd, "steps/" GENDIR_FENCE, "9\n", 0, 0600);
    assert_int_equal(mkdirat(basefd, "task", 0700), 0);
    task = openat(basefd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(gendir_fence_read(task, &epoch, NULL), 0);
    assert_int_equal(epoch, 0);
    assert_int_equal(gendir_fence(task, 1, NULL), -1);
    assert_int_equal(fchmod(basefd, 0700), 0);
    assert_int_equal(gendir_fence_read(task, &epoch, NULL), 0);
    assert_int_equal(epoch, 9);
    io_close(&task);
}

static void test_none(void **state)
{
    uint32_t epoch = 7;

    (void)state;
    assert_int_equal(gendir_fence_check(batch, 0, NULL), 0);
    assert_int_equal(gendir_fence_read(batch, &epoch, NULL), 0);
    assert_int_equal(epoch, 0);
}

/* A dump of the first start has begun when the second starts: it is not committed, and none begins any more. */
static void test_successor(void **state)
{
    struct gendir_id first, second, late;
    int old = gendir_begin(batch, 0, &first, NULL), oldstep = gendir_begin(step, 0, &second, NULL),
        new;

    (void)state;
    assert_true(old >= 0 && oldstep >= 0);
    assert_int_equal(gendir_fence(batch, 1, NULL), 0);
    assert_stale(gendir_commit(batch, old, first, NULL));
    assert_stale(gendir_commit(step, oldstep, second, NULL));
    assert_stale(gendir_begin(batch, 0, &late, NULL));
    assert_stale(gendir_begin(step, 0, &late, NULL));
    /* The successor may. */
    new = gendir_begin(step, 1, &late, NULL);
    assert_true(new >= 0);
    assert_int_equal(gendir_commit(step, new, late, NULL), 0);
    assert_int_equal(late.epoch, 1);
    io_close(&new);
    io_close(&old);
    io_close(&oldstep);
}

/* Begun before, but seen by nobody when the successor sweeps: its commit looks at the fence. */
static void test_unseen(void **state)
{
    struct gendir_id id;
    int old = gendir_begin(batch, 0, &id, NULL);
    char name[40];

    (void)state;
    gendir_format_name(id, true, name);
    assert_int_equal(renameat(batch, name, basefd, "away"), 0);
    assert_int_equal(gendir_fence(batch, 1, NULL), 0);
    assert_int_equal(renameat(basefd, "away", batch, name), 0);
    assert_stale(gendir_commit(batch, old, id, NULL));
    io_close(&old);
}

static void test_committed_in_time(void **state)
{
    struct gendir_id id, *ids = NULL;
    int old = gendir_begin(batch, 0, &id, NULL);

    (void)state;
    assert_int_equal(gendir_commit(batch, old, id, NULL), 0);
    assert_int_equal(gendir_fence(batch, 1, NULL), 0);
    assert_int_equal(gendir_list(batch, &ids, NULL), 1);
    assert_int_equal(gendir_compare(ids[0], id), 0);
    free(ids);
    io_close(&old);
}

static void test_order(void **state)
{
    (void)state;
    assert_int_equal(gendir_fence(batch, 3, NULL), 0);
    assert_int_equal(gendir_fence(batch, 3, NULL), 0);
    assert_stale(gendir_fence(batch, 2, NULL));
    assert_int_equal(gendir_fence_check(step, 3, NULL), 0);
    assert_stale(gendir_fence_check(step, 2, NULL));
    assert_int_equal(gendir_fence(batch, 10, NULL), 0);
    assert_stale(gendir_fence_check(step, 9, NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_damaged),           TEST(test_not_a_job), TEST(test_none),
        TEST(test_successor),         TEST(test_unseen),    TEST(test_order),
        TEST(test_committed_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
