/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slots.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define FILES 5

static int fd[FILES];

static bool take(int i, uint32_t most, uid_t uid)
{
    const struct slots_claim c = {.most = most, .seconds = 60, .uid = uid};

    return slots_take(fd[i], &c);
}

static int set_up(void **state)
{
    char path[] = "/tmp/ckpt-slots.XXXXXX";

    (void)state;
    fd[0] = mkstemp(path);
    for (int i = 1; i < FILES; i++)
        fd[i] = open(path, O_RDWR | O_CLOEXEC);
    unlink(path);
    return fd[0] < 0 || fd[FILES - 1] < 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < FILES; i++)
        close(fd[i]);
    return 0;
}

static void without_a_file_there_is_no_limit(void **state)
{
    const struct slots_claim c = {.most = 1, .seconds = 60, .uid = 1000};

    (void)state;
    assert_true(slots_take(-1, &c));
    slots_give_back(-1);
}

static void no_more_than_most(void **state)
{
    (void)state;
    assert_true(take(0, 2, 1));
    assert_true(take(1, 2, 2));
    assert_false(take(2, 2, 3));
    assert_true(take(2, 0, 3)); /* no limit */
    slots_give_back(fd[0]);
    assert_true(take(2, 2, 3));
    assert_false(take(3, 2, 4));
    close(fd[1]); /* as when a keeper is killed */
    fd[1] = -1;
    assert_true(take(3, 2, 4));
}

static void one_user_never_has_all(void **state)
{
    (void)state;
    assert_int_equal(slots_share(1), 1);
    assert_int_equal(slots_share(2), 1);
    assert_int_equal(slots_share(4), 3);
    assert_true(take(0, 3, 1));
    assert_true(take(1, 3, 1));
    assert_false(take(2, 3, 1));
    assert_true(take(2, 3, 2));
    assert_false(take(3, 3, 1));
    slots_give_back(fd[0]);
    assert_true(take(3, 3, 1));
}

/* A record with that time for slot i, which somebody has */
static void date(off_t i, int64_t since_ns)
{
    assert_int_equal(pwrite(fd[0], &since_ns, sizeof since_ns, (off_t)SLOTS_FILE_MAX + i * 16 + 8),
                     sizeof since_ns);
}

static void one_that_is_too_old_does_not_count(void **state)
{
    (void)state;
    assert_true(take(0, 1, 1));
    assert_false(take(1, 1, 2));
    date(0, 1); /* boot */
    assert_true(take(1, 1, 2));
    assert_false(take(2, 1, 3));
    /* It is still there, so another slot is used: and when it is given back, that one too. */
    slots_give_back(fd[0]);
    assert_false(take(2, 1, 3));
    slots_give_back(fd[1]);
    assert_true(take(2, 1, 3));
}

static void one_without_a_date_counts_from_now(void **state)
{
    int64_t since;

    (void)state;
    assert_true(take(0, 1, 1));
    date(0, 0);
    assert_false(take(1, 1, 2));
    assert_int_equal(pread(fd[0], &since, sizeof since, SLOTS_FILE_MAX + 8), sizeof since);
    assert_true(since > 0);
    date(0, INT64_MAX); /* of another boot */
    assert_false(take(1, 1, 2));
    assert_int_equal(pread(fd[0], &since, sizeof since, SLOTS_FILE_MAX + 8), sizeof since);
    assert_true(since < INT64_MAX);
}

static void where_no_record_can_be_written_there_is_none(void **state)
{
    struct rlimit none = {0, 0}, before;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_false(take(0, 1, 1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(take(1, 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_file_there_is_no_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_than_most, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_user_never_has_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_too_old_does_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_without_a_date_counts_from_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_no_record_can_be_written_there_is_none, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
