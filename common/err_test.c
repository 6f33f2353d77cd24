/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void null_is_allowed(void **state)
{
    (void)state;
    errno = ENOENT;
    assert_int_equal(err_set(NULL, "x"), -1);
    assert_int_equal(err_sys(NULL, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(errno, ENOENT);
}

static void errno_is_never_zero_after_a_failure(void **state)
{
    struct err e;

    (void)state;
    errno = 0;
    assert_int_equal(err_set(&e, "no cause"), -1);
    assert_int_equal(errno, EINVAL);
    assert_string_equal(e.text, "no cause");
}

static void sys_appends_the_reason(void **state)
{
    struct err e;

    (void)state;
    errno = ENOENT;
    err_sys(&e, "open %s", "/x");
    assert_string_equal(e.text, "open /x: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void prefix_goes_before(void **state)
{
    struct err e;

    (void)state;
    errno = EPERM;
    err_set(&e, "inner");
    assert_int_equal(err_prefix(&e, "outer %d", 7), -1);
    assert_string_equal(e.text, "outer 7: inner");
    assert_int_equal(errno, EPERM);
}

static void long_text_is_cut_not_overrun(void **state)
{
    struct {
        struct err e;
        char guard[8];
    } s;
    char big[2000];

    (void)state;
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    memset(s.guard, 'G', sizeof s.guard);
    errno = EIO;
    err_set(&s.e, "%s", big);
    assert_int_equal(strlen(s.e.text), sizeof s.e.text - 1);
    err_sys(&s.e, "%s", big);
    assert_int_equal(strlen(s.e.text), sizeof s.e.text - 1);
    err_prefix(&s.e, "%s", big);
    assert_int_equal(strlen(s.e.text), sizeof s.e.text - 1);
    assert_memory_equal(s.guard, "GGGGGGGG", 8);
}

static void a_directory_that_cannot_be_written(void **state)
{
    struct err e = {"pages.zst: why"};

    (void)state;
    errno = ENOSPC;
    assert_int_equal((err_dir)(NULL, "/d"), -1);
    errno = ENOENT; /* not of that kind */
    assert_int_equal((err_dir)(&e, "/d"), -1);
    assert_string_equal(e.text, "pages.zst: why");
    errno = EACCES;
    assert_int_equal((err_dir)(&e, "/d"), -1);
    assert_int_equal(errno, EACCES);
    assert_string_equal(e.text, "/d: pages.zst: why");
    errno = EROFS; /* once only */
    (err_dir)(&e, "/d");
    assert_string_equal(e.text, "/d: pages.zst: why");
    err_set(&e, "x: no room");
    errno = EDQUOT;
    (err_dir)(&e, "/d");
    assert_int_equal(errno, EDQUOT);
    assert_string_equal(e.text,
                        "/d: x: no room; make room there: scheckpoint prune removes checkpoints");
    memset(e.text, 'a', sizeof e.text - 1);
    e.text[sizeof e.text - 1] = '\0';
    (err_dir)(&e, "/d");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void no_control_character_gets_through(void **state)
{
    struct err e;
    char text[] = "a\033[2J\nb\177\303\251";

    (void)state;
    err_clean(text);
    assert_string_equal(text, "a?[2J?b???");
    err_set(&e, "file '%s'", "x\n\033]0;owned\a");
    assert_string_equal(e.text, "file 'x??]0;owned?'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_allowed),
        cmocka_unit_test(errno_is_never_zero_after_a_failure),
        cmocka_unit_test(sys_appends_the_reason),
        cmocka_unit_test(prefix_goes_before),
        cmocka_unit_test(long_text_is_cut_not_overrun),
        cmocka_unit_test(a_directory_that_cannot_be_written),
        cmocka_unit_test(no_control_character_gets_through),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
