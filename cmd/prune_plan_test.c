/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/prune_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define ANY INT64_MAX

/* what: newest first, g good, d damaged, p half written; the newest is 100 s old in time 1000, the next
 * 200 ... Returns the same with '-' for what goes. */
static const char *plan(const char *what, bool ended, uint32_t keep, int64_t before)
{
    static char out[16];
    const struct prune_rules r = {ended, keep, before};
    struct prune_item items[15];
    const size_t n = strlen(what);
    size_t removed, seen = 0;

    memset(items, 0, sizeof items);
    for (size_t i = 0; i < n; i++) {
        items[i].id = (struct gendir_id){0, (uint32_t)(n - i)};
        items[i].good = what[i] == 'g';
        items[i].partial = what[i] == 'p';
        items[i].created = 1000 - 100 * (int64_t)(i + 1);
        items[i].remove = true; /* what was there is no answer */
    }
    removed = prune_plan(&r, items, n);
    snprintf(out, sizeof out, "%s", what);
    for (size_t i = 0; i < n; i++)
        if (items[i].remove) {
            out[i] = '-';
            seen++;
        }
    assert_int_equal(removed, seen);
    return out;
}

static void the_last_good_one_of_a_job_that_goes_on_stays(void **state)
{
    (void)state;
    assert_string_equal(plan("g", false, 0, ANY), "g");
    assert_string_equal(plan("ggg", false, 0, ANY), "g--");
    assert_string_equal(plan("dggd", false, 0, ANY), "dg--");
    assert_string_equal(plan("ddd", false, 0, ANY), "ddd");
    assert_string_equal(plan("pg", false, 0, ANY), "pg");
    assert_string_equal(plan("", false, 0, ANY), "");
}

static void as_many_as_wanted_stay(void **state)
{
    (void)state;
    assert_string_equal(plan("gggg", false, 2, ANY), "gg--");
    assert_string_equal(plan("gdgg", false, 2, ANY), "gdg-");
    assert_string_equal(plan("gg", false, 3, ANY), "gg");
    assert_string_equal(plan("gggg", true, 1, ANY), "g---");
    assert_string_equal(plan("dd", true, 1, ANY), "dd");
    assert_string_equal(plan("pgg", true, 1, ANY), "-g-");
}

static void all_of_a_job_that_has_ended_may_go(void **state)
{
    (void)state;
    assert_string_equal(plan("pgdg", true, 0, ANY), "----");
}

static void what_is_young_stays(void **state)
{
    (void)state;
    assert_string_equal(plan("gggg", true, 0, 700), "ggg-"); /* the third was made at 700 */
    assert_string_equal(plan("gggg", true, 0, 701), "gg--");
    assert_string_equal(plan("gggg", true, 3, 900), "ggg-");
    assert_string_equal(plan("gggg", false, 0, 1001), "g---");
    assert_string_equal(plan("gggg", true, 0, 0), "gggg");
}

static void an_unknown_age_is_not_old(void **state)
{
    const struct prune_rules r = {true, 0, 1000};
    struct prune_item it = {.created = INT64_MAX};

    (void)state;
    assert_int_equal(prune_plan(&r, &it, 1), 0);
}

static void sorts_by_epoch_then_sequence(void **state)
{
    struct prune_item items[] = {{.id = {0, 9}}, {.id = {2, 10}}, {.id = {2, 11}}, {.id = {1, 10}}};

    (void)state;
    prune_plan_sort(items, 4);
    assert_int_equal(items[0].id.sequence, 11);
    assert_int_equal(items[1].id.epoch, 2);
    assert_int_equal(items[2].id.epoch, 1);
    assert_int_equal(items[3].id.sequence, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_good_one_of_a_job_that_goes_on_stays),
        cmocka_unit_test(as_many_as_wanted_stay),
        cmocka_unit_test(all_of_a_job_that_has_ended_may_go),
        cmocka_unit_test(what_is_young_stays),
        cmocka_unit_test(an_unknown_age_is_not_old),
        cmocka_unit_test(sorts_by_epoch_then_sequence),
    };

    return cmocka_run_group_tests_name("cmd/prune_plan", tests, NULL, NULL);
}
