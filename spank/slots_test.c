/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slots.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void without_a_file_there_is_no_limit(void **state)
{
    (void)state;
    assert_true(slots_take(-1, 1));
    assert_true(slots_take(-1, 0));
    slots_give_back(-1);
}

static void no_more_than_most(void **state)
{
    char path[] = "/tmp/ckpt-slots.XXXXXX";
    int fd[4];

    (void)state;
    fd[0] = mkstemp(path);
    assert_true(fd[0] >= 0);
    for (int i = 1; i < 4; i++)
        assert_true((fd[i] = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    assert_true(slots_take(fd[0], 2));
    assert_true(slots_take(fd[1], 2));
    assert_false(slots_take(fd[2], 2));
    assert_true(slots_take(fd[2], 0)); /* no limit */
    slots_give_back(fd[0]);
    assert_true(slots_take(fd[2], 2));
    assert_false(slots_take(fd[3], 2));
    close(fd[1]); /* as when a keeper is killed */
    assert_true(slots_take(fd[3], 2));
    close(fd[0]);
    close(fd[2]);
    close(fd[3]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_there_is_no_limit),
        cmocka_unit_test(no_more_than_most),
    };

    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
