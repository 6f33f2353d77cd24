/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/target.h"

#include "cmd/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void what_is_no_generation(void **state)
{
    static const char *const bad[] = {"",           ".",
                                      "12.",        "12.x",
                                      "12.0/",      "12.0.0",
                                      "12./1",      "12.0.1x",
                                      "12.0/1.",    "12.0/1.x",
                                      "12.0/1/2",   "12.0/1.0.0",
                                      "12.0/x",     "12.4294967295/0",
                                      "12/0",       "12.0/-1",
                                      "12.-1.2",    "12. 0.1",
                                      "12.10000.1", "12.0.4294967296",
                                      "12.gen-1-1", "12.gen-0000-000001.partial",
                                      "12.../x",    "0.1.2",
                                      "x.0.1",      "12_.0.1",
                                      "12.LAST",    "99999999999999999999999999999.0.1"};
    struct target_name n = {.which = TARGET_LAST, .id = {5, 6}};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(target_parse(bad[i], &n));
    assert_int_equal(n.which, TARGET_LAST);
    assert_int_equal(n.id.sequence, 6);
}

static void the_forms_of_a_generation(void **state)
{
    struct target_name n;

    (void)state;
    assert_true(target_parse("12", &n));
    assert_string_equal(n.job, "12");
    assert_int_equal(n.which, TARGET_ANY);
    assert_true(target_parse("12_3.last", &n));
    assert_string_equal(n.job, "12_3");
    assert_int_equal(n.which, TARGET_LAST);
    assert_true(target_parse("12.gen-0002-000017", &n));
    assert_int_equal(n.which, TARGET_EXACT);
    assert_int_equal(n.id.epoch, 2);
    assert_int_equal(n.id.sequence, 17);
    assert_true(target_parse("12.0.3", &n));
    assert_int_equal(n.id.epoch, 0);
    assert_int_equal(n.id.sequence, 3);
    assert_false(n.has_step);
    assert_true(target_parse("12.0", &n));
    assert_true(n.has_step && n.step == 0 && !n.has_task);
    assert_int_equal(n.which, TARGET_ANY);
    assert_true(target_parse("12_3.7/15", &n));
    assert_string_equal(n.job, "12_3");
    assert_true(n.has_step && n.step == 7 && n.has_task && n.taskid == 15);
    assert_int_equal(n.which, TARGET_ANY);
    assert_true(target_parse("12.0/1.0.3", &n));
    assert_true(n.has_task && n.taskid == 1);
    assert_int_equal(n.which, TARGET_EXACT);
    assert_int_equal(n.id.sequence, 3);
    assert_true(target_parse("12.5.last", &n));
    assert_true(n.has_step && n.step == 5 && !n.has_task);
    assert_int_equal(n.which, TARGET_LAST);
    assert_true(target_parse_generation("9999.4294967295", &n));
    assert_true(n.id.sequence == UINT32_MAX);
}

static void ages(void **state)
{
    static const char *const bad[] = {"",    "d", "1y",     "-1d",  "1 d",
                                      "1dd", "x", "99999w", "1.5d", " 1d"};
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {{"90s", 90}, {"15m", 900}, {"36h", 129600},  {"14d", 1209600}, {"2w", 1209600},
                {"0d", 0},   {"15", 900},  {"1-12", 129600}, {"1:30:00", 5400}};
    uint32_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_parse_age(bad[i], &v));
    assert_int_equal(v, 7);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_parse_age(good[i].text, &v));
        assert_int_equal(v, good[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_generation),
        cmocka_unit_test(the_forms_of_a_generation),
        cmocka_unit_test(ages),
    };

    return cmocka_run_group_tests_name("cmd/target", tests, NULL, NULL);
}
