/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/history.h"
#include "spank/interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define DAY 86400u

static void costs(void **state)
{
    (void)state;
    assert_int_equal(interval_cost(0, 0, 1, 1), 1);
    assert_int_equal(interval_cost(50000, 10000, 8, 8), 10000);
    assert_int_equal(interval_cost(50000, 10050, 1, 10), 1050);
    assert_int_equal(interval_cost(5000000, 10, 1, 0), 5000);
}

static void young_and_daly(void **state)
{
    (void)state;
    /* Young: sqrt(2 * 10 * 86400) = 1314.5; Daly's terms bring 1307.8 */
    assert_in_range(interval_next(10000, 10000, DAY, 0), 1306, 1309);
    /* ten times the cost, about sqrt(10) times the interval */
    assert_in_range(interval_next(100000, 100000, DAY, 0), 4080, 4110);
    assert_int_equal(interval_next(1, 1, 60, 0), INTERVAL_LEAST_S);
    /* a checkpoint that takes longer than the nodes live */
    assert_int_equal(interval_next(200000, 1, 60, 0), 60);
    assert_int_equal(interval_next(UINT32_MAX, UINT32_MAX, UINT32_MAX, 0), INTERVAL_MOST_S);
    assert_int_equal(interval_next(1000, 100000, DAY, 0), 415);
}

static void overheads(void **state)
{
    (void)state;
    assert_int_equal(interval_next(1000, 1000, DAY, 10), 99); /* 1 s in 100 */
    assert_int_equal(interval_next(10000, 10000, DAY, 500), 30);
    assert_int_equal(interval_next(60000, 60000, DAY, 1), 59940);
}

static void event(struct history *h, uint32_t epoch, const char *time, const char *name,
                  const char *generation)
{
    struct event e = {.epoch = epoch};

    snprintf(e.time, sizeof e.time, "%s", time);
    snprintf(e.event, sizeof e.event, "%s", name);
    snprintf(e.generation, sizeof e.generation, "%s", generation);
    snprintf(e.node, sizeof e.node, "n%u", epoch);
    assert_int_equal(history_add(&e, h), 0);
}

static void histories(void **state)
{
    struct history h = {0};

    (void)state;
    assert_int_equal(history_time("2026-01-31"), 0);
    event(&h, 0, "nonsense", "started", "");
    assert_int_equal(h.n, 0);
    event(&h, 0, "2026-01-31T10:00:00Z", "started", "");
    event(&h, 0, "2026-01-31T10:10:00Z", "checkpoint", "gen-0000-000001");
    event(&h, 0, "2026-01-31T10:20:00Z", "checkpoint", "gen-0000-000002");
    event(&h, 0, "2026-01-31T10:25:00Z", "checkpoint-failed", "");
    event(&h, 1, "2026-01-31T11:00:00Z", "restore-failed", "gen-0000-000002");
    event(&h, 1, "2026-01-31T11:00:05Z", "restored", "gen-0000-000001");
    event(&h, 1, "2026-01-31T11:00:35Z", "checkpoint-failed", "");
    event(&h, 2, "2026-01-31T12:00:00Z", "restored", "gen-0000-000001");
    event(&h, 2, "2026-01-31T12:01:00Z", "ended", "");
    assert_int_equal(h.n, 3);
    assert_int_equal(h.runs[0].saved, 2);
    assert_int_equal(h.runs[0].lost, 15 * 60); /* since the first checkpoint */
    assert_int_equal(h.runs[1].lost, 30);      /* all of it */
    assert_int_equal(h.runs[2].lost, 0);
    assert_string_equal(h.runs[1].generation, "gen-0000-000001");
    assert_string_equal(h.runs[2].node, "n2");
    assert_int_equal(history_ran(&h, 1), 25 * 60);
    assert_int_equal(history_ran(&h, 9), 25 * 60 + 30 + 60);
    assert_int_equal(history_lost(&h), 15 * 60 + 30);
    event(&h, 3, "2026-01-31T13:00:00Z", "scratch", "");
    assert_int_equal(h.runs[0].lost, 25 * 60);
    assert_int_equal(h.runs[2].lost, 60);
    history_free(&h);
    assert_int_equal(h.n, 0);
}

static void ends(void **state)
{
    struct history h = {0};

    (void)state;
    event(&h, 0, "2026-01-31T10:00:00Z", "started", "");
    assert_false(h.runs[0].ended);
    event(&h, 0, "2026-01-31T10:10:00Z", "checkpoint", "gen-0000-000001");
    assert_false(h.runs[0].ended); /* killed some time after it, for all that is known */
    event(&h, 1, "2026-01-31T11:00:00Z", "restored", "gen-0000-000001");
    event(&h, 1, "2026-01-31T11:10:00Z", "last-begun", "");
    assert_false(h.runs[1].ended);
    event(&h, 1, "2026-01-31T11:10:02Z", "checkpoint", "gen-0001-000002");
    assert_true(h.runs[1].ended);
    event(&h, 1, "2026-01-31T11:10:03Z", "note", "");
    assert_true(h.runs[1].ended);
    event(&h, 1, "2026-01-31T11:20:00Z", "checkpoint", "gen-0001-000003"); /* it went on */
    assert_false(h.runs[1].ended);
    event(&h, 1, "2026-01-31T11:20:01Z", "requeue", "");
    assert_true(h.runs[1].ended);
    event(&h, 2, "2026-01-31T12:00:00Z", "restored", "gen-0001-000003");
    event(&h, 2, "2026-01-31T12:01:00Z", "ended", "");
    assert_true(h.runs[2].ended);
    assert_false(h.runs[0].ended);
    assert_int_equal(h.runs[1].end - h.runs[1].start, 20 * 60 + 1);
    history_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs),     cmocka_unit_test(young_and_daly), cmocka_unit_test(overheads),
        cmocka_unit_test(histories), cmocka_unit_test(ends),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
