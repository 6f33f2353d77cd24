/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor_release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static const struct {
    const char *slurmctld, *slurmd;
    enum preflight_verdict verdict;
    const char *text; /* how it begins */
} rows[] = {
    {NULL, NULL, PREFLIGHT_GOOD, "?"},
    {"?", "N/A", PREFLIGHT_GOOD, "?"},
    {"", "", PREFLIGHT_GOOD, ""},
    {"25.05.1", NULL, PREFLIGHT_FAIL, "slurmctld is 25.05.1, this was built for 24.11"},
    {"22.05.8", "", PREFLIGHT_FAIL, "slurmctld is 22.05.8, this was built for 24.11"},
    {"24.11.5", "24.05.0", PREFLIGHT_FAIL, "slurmd is 24.05.0, this was built for 24.11"},
    {"26.05.5", "26.05.5", PREFLIGHT_FAIL, "slurmd is 26.05.5, this was built for 24.11"},
    {NULL, "23.11.1", PREFLIGHT_FAIL, "slurmd is 23.11.1"},
    {"24.11.5", NULL, PREFLIGHT_GOOD, "24.11.5"},
    {"24.11.5", "24.11.0-rc1", PREFLIGHT_GOOD, "24.11.0-rc1"},
    {"26.05.5", "24.11.5", PREFLIGHT_GOOD, "24.11.5 (slurmctld is 26.05.5)"},
};

static void what_slurmd_is_counts(void **state)
{
    const struct doctor_release built = {24, 11};
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(
            doctor_release_judge(rows[i].slurmctld, rows[i].slurmd, built, text, sizeof text),
            rows[i].verdict);
        assert_memory_equal(text, rows[i].text, strlen(rows[i].text));
    }
}

static void a_month_has_two_digits(void **state)
{
    const struct doctor_release built = {26, 5};
    char text[400];

    (void)state;
    assert_int_equal(doctor_release_judge("26.05.5", "26.05.5", built, text, sizeof text),
                     PREFLIGHT_GOOD);
    assert_int_equal(doctor_release_judge("26.05.5", "25.11.1", built, text, sizeof text),
                     PREFLIGHT_FAIL);
    assert_non_null(strstr(text, "built for 26.05:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_slurmd_is_counts),
        cmocka_unit_test(a_month_has_two_digits),
    };

    return cmocka_run_group_tests_name("cmd/doctor_release", tests, NULL, NULL);
}
