/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/steps.h"

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

#include <cmocka.h>

static struct facts facts;
static char dir[256];
static int fd = -1;

static int setup(void **state)
{
    struct err err = {{0}};

    (void)state;
    scratch_make(dir);
    memset(&facts, 0, sizeof facts);
    snprintf(facts.dir, sizeof facts.dir, "%s", dir);
    snprintf(facts.cluster, sizeof facts.cluster, "c");
    snprintf(facts.nonce, sizeof facts.nonce, "0123456789abcdef");
    facts.job = 1;
    facts.uid = geteuid();
    fd = steps_open(&facts, true, &err);
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&fd);
    scratch_remove(dir);
    return 0;
}

static const char *claim(const char *word, const char *command)
{
    static char key[STEPS_KEY_MAX];
    unsigned order;
    struct err err = {{0}};

    if (steps_claim(fd, word, command, 0, key, &order, &err) < 0)
        fail_msg("%s", err.text);
    return key;
}

static void names(void **state)
{
    (void)state;
    assert_true(steps_name_ok("main_2"));
    assert_false(steps_name_ok(""));
    assert_false(steps_name_ok("a-b"));
    assert_false(steps_name_ok("a.b"));
    assert_false(steps_name_ok("../x"));
    assert_false(steps_name_ok("a123456789012345678901234"));
}

static void damaged_files(void **state)
{
    static const char *const texts[] = {"", "x", "1", "1 maybe", "start 1"};
    struct steps_run r;
    struct steps_exit e;
    struct steps_live l;

    (void)state;
    assert_int_equal(steps_run_read(fd, &r, NULL), -1);
    assert_int_equal(errno, ENOENT);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        unlinkat(fd, "run", 0);
        scratch_write(fd, "run", texts[i], 0, 0600);
        assert_int_equal(steps_run_read(fd, &r, NULL), -1);
        assert_int_equal(errno, EBADMSG);
    }
    scratch_write(fd, STEPS_EXIT, "1 2", 0, 0600);
    assert_int_equal(steps_exit_read(fd, &e, NULL), -1);
    unlinkat(fd, STEPS_EXIT, 0);
    scratch_write(fd, STEPS_EXIT, "1 0 0", 0, 0600); /* of no tasks */
    assert_int_equal(steps_exit_read(fd, &e, NULL), -1);
    scratch_write(fd, STEPS_LIVE, "1 2 ../x", 0, 0600);
    assert_int_equal(steps_live_read(fd, &l, NULL), -1);
    scratch_write(fd, "rerun", "1 gen-x", 0, 0600);
    assert_false(steps_marked(fd, NULL));
}

static void equal_steps_are_counted(void **state)
{
    char key[STEPS_KEY_MAX];
    unsigned order = 9;

    (void)state;
    assert_int_equal(
        steps_claim(fd, "a1234567890123456789012345678901x", "x", 0, key, &order, NULL), -1);
    assert_string_equal(claim("aaaa", "srun a"), "aaaa-0");
    assert_string_equal(claim("bbbb", "srun b"), "bbbb-0");
    assert_string_equal(claim("aaaa", "srun a"), "aaaa-1");
    assert_int_equal(steps_claim(fd, "aaaa", "srun a", 0, key, &order, NULL), 0);
    assert_string_equal(key, "aaaa-2");
    assert_int_equal(order, 3);
}

static void held_steps_wait(void **state)
{
    char key[STEPS_KEY_MAX];
    unsigned order;

    (void)state;
    assert_int_equal(steps_hold(fd, true, NULL), 0);
    assert_int_equal(steps_claim(fd, "aaaa", "x", 100, key, &order, NULL), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(steps_hold(fd, false, NULL), 0);
    assert_int_equal(steps_hold(fd, false, NULL), 0);
    assert_string_equal(claim("aaaa", "x"), "aaaa-0");
}

/* A new start counts from 0 again, and knows what stood where. */
static void another_command_is_noticed(void **state)
{
    char was[64] = "";

    (void)state;
    claim("aaaa", "srun a");
    claim("bbbb", "srun b\nrm -rf");
    assert_int_equal(steps_reset(fd, NULL), 0);
    assert_string_equal(claim("aaaa", "srun a"), "aaaa-0");
    assert_int_equal(steps_changed(fd, "aaaa-0", 0, was, sizeof was), 0);
    assert_int_equal(steps_changed(fd, "cccc-0", 1, was, sizeof was), 1);
    assert_string_equal(was, "srun b?rm -rf");
    assert_int_equal(steps_changed(fd, "bbbb-0", 0, was, sizeof was), 0); /* only another order */
    assert_int_equal(steps_changed(fd, "cccc-0", 2, was, sizeof was),
                     0); /* it had not come so far */
}

static void snapshots(void **state)
{
    struct gendir_id g1 = {0, 1}, g2 = {0, 2}, g3 = {1, 3};

    (void)state;
    assert_int_equal(steps_rewind(fd, g1, NULL), 0); /* no steps at all */
    claim("aaaa", "a");
    assert_int_equal(steps_rewind(fd, g1, NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(steps_snapshot(fd, NULL, NULL), 0); /* the dump that makes g1 */
    claim("aaaa", "a");
    assert_int_equal(steps_snapshot(fd, &g1, NULL), 0); /* g2 */
    claim("aaaa", "a");
    assert_int_equal(steps_hold(fd, true, NULL), 0);
    assert_int_equal(steps_rewind(fd, g3, NULL), 0); /* an older snapshot than its own */
    assert_string_equal(claim("aaaa", "a"), "aaaa-2");
    assert_int_equal(steps_rewind(fd, g2, NULL), 0);
    assert_string_equal(claim("aaaa", "a"), "aaaa-2");
    assert_int_equal(steps_rewind(fd, g1, NULL), 0);
    assert_string_equal(claim("aaaa", "a"), "aaaa-1");
}

static void the_newer_of_mark_and_generation(void **state)
{
    struct gendir_id g1 = {0, 1}, g2 = {0, 2};

    (void)state;
    assert_false(steps_marked(fd, NULL));
    assert_int_equal(steps_mark(fd, 0, NULL, NULL), 0);
    assert_true(steps_marked(fd, NULL));
    assert_false(steps_marked(fd, &g1));
    assert_int_equal(steps_mark(fd, 0, &g1, NULL), 0);
    assert_true(steps_marked(fd, &g1));
    assert_false(steps_marked(fd, &g2));
}

static void end_task(unsigned task, unsigned epoch, int status, unsigned ntasks)
{
    struct steps_exit e = {epoch, status, ntasks};
    int taskfd;

    snprintf(facts.task, sizeof facts.task, "step-aaaa-0.%u", task);
    taskfd = gendir_open_task(&facts, true, NULL);
    assert_true(taskfd >= 0);
    assert_int_equal(steps_exit_write(taskfd, &e, NULL), 0);
    io_close(&taskfd);
}

static void exit_codes_as_srun_has_them(void **state)
{
    int code = -1;

    (void)state;
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 1, &code, NULL), -1);
    end_task(0, 0, 3 << 8, 2);
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 1, &code, NULL), -1); /* one still runs */
    end_task(1, 0, 5 << 8, 2);
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 1, &code, NULL), 0);
    assert_int_equal(code, 5);
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 0, &code, NULL), -1); /* of this very run */
    end_task(0, 0, 9, 2);                                                    /* killed */
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 1, &code, NULL), 0);
    assert_int_equal(code, 137);
    end_task(1, 0, 0, 3); /* of a step of three */
    assert_int_equal(steps_exit_code(&facts, "aaaa-0", 1, &code, NULL), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        TEST(damaged_files),
        TEST(equal_steps_are_counted),
        TEST(held_steps_wait),
        TEST(another_command_is_noticed),
        TEST(snapshots),
        TEST(the_newer_of_mark_and_generation),
        TEST(exit_codes_as_srun_has_them),
    };

    return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
