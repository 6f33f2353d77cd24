/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void times_that_are_none_become_a_question_mark(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "2026-01-31",
        "2026-01-31T23:59:59",
        "2026-01-31T23:59:59Zx",
        "2026-13-31T23:59:59Z",
        "\033[2J2026-01-31T23:59:59Z",
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        text_local_time(bad[i], out);
        assert_string_equal(out, "?");
    }
}

static void times_are_local(void **state)
{
    char out[32];

    (void)state;
    setenv("TZ", "UTC-2", 1); /* two hours east, in POSIX' way of counting */
    tzset();
    text_local_time("2026-01-31T23:59:59Z", out);
    assert_string_equal(out, "2026-02-01 01:59:59");
}

static void bytes_have_three_figures(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {999, "999 B"},
        {1000, "1.0 KiB"},
        {1024, "1.0 KiB"},
        {10189, "10 KiB"},
        {1048576, "1.0 MiB"},
        {1023u * 1024, "1.0 MiB"},
        {12345678, "12 MiB"},
        {1ull << 40, "1.0 TiB"},
        {UINT64_MAX, "16 EiB"},
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text_bytes(cases[i].bytes, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void durations_change_their_unit(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "0.0 ms"},      {340, "0.3 ms"},        {9949, "9.9 ms"},  {9950, "10 ms"},
        {45000, "45 ms"},   {999499, "999 ms"},     {999500, "1.0 s"}, {9949999, "9.9 s"},
        {75000000, "75 s"}, {UINT32_MAX, "4295 s"},
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text_microseconds(cases[i].us, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    text_table_destroy(NULL);
}

static char *printed(const struct text_table *t, unsigned right)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    text_table_print(t, right, f);
    fclose(f);
    return text;
}

static void columns_are_as_wide_as_their_cells(void **state)
{
    static const char *const cells[] = {"ID", "NAME", "N", "7", "longer", "1", "12345", "x", "100"};
    struct text_table *t = text_table_create(3);
    char *text;

    (void)state;
    assert_non_null(t);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        assert_int_equal(text_table_add(t, cells[i]), 0);
    text = printed(t, 1u << 0 | 1u << 2);
    assert_string_equal(text, "   ID  NAME      N\n"
                              "    7  longer    1\n"
                              "12345  x       100\n");
    free(text);
    text = printed(t, 0);
    assert_string_equal(text, "ID     NAME    N\n"
                              "7      longer  1\n"
                              "12345  x       100\n");
    free(text);
    text_table_destroy(t);
}

static void cells_are_safe_for_a_terminal(void **state)
{
    struct text_table *t = text_table_create(1);
    char *text;

    (void)state;
    assert_int_equal(text_table_add(t, "a\033]0;x\a\nb"), 0);
    text = printed(t, 0);
    assert_string_equal(text, "a?]0;x??b\n");
    free(text);
    text_table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_that_are_none_become_a_question_mark),
        cmocka_unit_test(times_are_local),
        cmocka_unit_test(bytes_have_three_figures),
        cmocka_unit_test(durations_change_their_unit),
        cmocka_unit_test(destroying_nothing_is_fine),
        cmocka_unit_test(columns_are_as_wide_as_their_cells),
        cmocka_unit_test(cells_are_safe_for_a_terminal),
    };

    return cmocka_run_group_tests_name("cmd/text", tests, NULL, NULL);
}
