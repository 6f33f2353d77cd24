/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/jobnote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void becomes(const char *comment, const char *wanted)
{
    char *got = jobnote_put(comment, "2026-11-22T12:00:00.000Z", "saved: gen-0000-000001");

    assert_non_null(got);
    assert_string_equal(got, wanted);
    free(got);
}

#define NOTE "[checkpoint 2026-11-22T12:00:00.000Z: saved: gen-0000-000001]"
#define OLD "[checkpoint 2026-11-21T12:00:00.000Z: a checkpoint is being made]"

static void test_put(void **state)
{
    (void)state;
    becomes("", NOTE);
    becomes("my own words", "my own words " NOTE);
    becomes(OLD, NOTE);
    becomes("before " OLD, "before " NOTE);
    becomes(OLD " behind", "behind " NOTE);
    becomes("before " OLD " behind", "before behind " NOTE);
    becomes("before" OLD "behind", "beforebehind " NOTE);
    becomes("cut off [checkpoint 2026-11-21T12:00:00.000Z: not sa", "cut off " NOTE);
    becomes("[checkpoint by hand] " OLD, "[checkpoint by hand] " NOTE);
    becomes("[checkpoint by hand]", "[checkpoint by hand] " NOTE);
}

static void test_long(void **state)
{
    char comment[9000];
    char *got;

    (void)state;
    memset(comment, 'x', sizeof comment);
    comment[sizeof comment - 1] = '\0';
    got = jobnote_put(comment, "2026", "y");
    assert_int_equal(strlen(got), sizeof comment - 1 + strlen(" [checkpoint 2026: y]"));
    free(got);
}

static void test_brackets(void **state)
{
    char *got = jobnote_put("a [b] c", "2026", "/dir[1]/x: [2] full");
    char *again;

    (void)state;
    assert_string_equal(got, "a [b] c [checkpoint 2026: /dir[1)/x: [2) full]");
    again = jobnote_put(got, "2027", "saved");
    assert_string_equal(again, "a [b] c [checkpoint 2027: saved]");
    free(again);
    free(got);
}

static void holds(const char *comment, const char *wanted)
{
    char note[40];

    jobnote_get(comment, note, sizeof note);
    assert_string_equal(note, wanted);
}

static void test_get(void **state)
{
    (void)state;
    holds("", "");
    holds("words [checkpoint by hand]", "");
    holds("words [checkpoint 2026: saved] more [x]", "2026: saved");
    holds("[checkpoint 2026: cut o", "2026: cut o");
    holds("[checkpoint ", "");
    holds("[checkpoint 2026: which is much longer than there is room]",
          "2026: which is much longer than there i");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_brackets),
        cmocka_unit_test(test_get),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
