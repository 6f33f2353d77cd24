/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/elsewhere.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static unsigned tries(const char *const *events, size_t n)
{
    struct elsewhere e = {0};

    for (size_t i = 0; i < n; i++) {
        struct event event = {.epoch = 0};

        snprintf(event.event, sizeof event.event, "%s", events[i]);
        elsewhere_count(&e, &event);
    }
    return e.tries;
}

static void counts(void **state)
{
    static const char *const never[] = {"started", "checkpoint", "restored", "note", ""};
    static const char *const twice[] = {"started",        "elsewhere", "checkpoint", "elsewhere",
                                        "restore-failed", "note",      "elsewhere"};
    static const char *const released[] = {"elsewhere", "elsewhere", "held"};

    (void)state;
    assert_int_equal(tries(never, 5), 0);
    assert_int_equal(tries(twice, 7), 2);
    assert_int_equal(tries(released, 3), 0);
}

static void delays(void **state)
{
    (void)state;
    assert_int_equal(elsewhere_delay(0), 30);
    assert_int_equal(elsewhere_delay(1), 60);
    assert_int_equal(elsewhere_delay(4), 480);
    assert_int_equal(elsewhere_delay(5), 600);
    assert_int_equal(elsewhere_delay(UINT32_MAX), 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts), cmocka_unit_test(delays)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
