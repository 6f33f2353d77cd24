/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/capture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void not_run(void **state)
{
    const char *const nothing[] = {"/nonexistent/program", NULL};
    const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
    const char *const slow[] = {"sleep", "600", NULL};
    struct err err = {""};
    char text[64];

    (void)state;
    assert_int_equal(capture_run(nothing, 60, text, sizeof text, &err), 127);
    assert_non_null(strstr(text, "/nonexistent/program: No such file"));
    assert_int_equal(capture_run(killed, 60, text, sizeof text, &err), -1);
    assert_string_equal(err.text, "sh was killed by signal 9");
    assert_int_equal(capture_run(slow, 1, text, sizeof text, &err), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_string_equal(err.text, "sleep did not answer within 1 s");
}

static void run(void **state)
{
    const char *const both[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
    const char *const reads[] = {"cat", NULL};
    const char *const much[] = {"sh", "-c",
                                "i=0; while [ $i -lt 9999 ]; do echo $i; i=$((i+1)); done", NULL};
    char text[64], small[8];

    (void)state;
    assert_int_equal(capture_run(both, 600, text, sizeof text, NULL), 3);
    assert_string_equal(text, "out\nerr\n");
    assert_int_equal(capture_run(reads, 600, text, sizeof text, NULL), 0);
    assert_string_equal(text, "");
    /* What is too much is dropped, and the program does not wait for it. */
    assert_int_equal(capture_run(much, 600, small, sizeof small, NULL), 0);
    assert_string_equal(small, "0\n1\n2\n3");
}

static void value(void **state)
{
    const char *text = "Configuration data\nKillWait                = 30 sec\n"
                       "KillWaitX = 1\nEmpty =\n  PluginDir = /a:/b  \nLast=x";
    char v[32] = "as before", tiny[4];

    (void)state;
    assert_false(capture_value("", "KillWait", v, sizeof v));
    assert_false(capture_value(text, "Kill", v, sizeof v));
    assert_false(capture_value(text, "NoSuchKey", v, sizeof v));
    assert_string_equal(v, "as before");
    assert_true(capture_value(text, "KillWait", v, sizeof v));
    assert_string_equal(v, "30 sec");
    assert_true(capture_value(text, "Empty", v, sizeof v));
    assert_string_equal(v, "");
    assert_true(capture_value(text, "PluginDir", v, sizeof v));
    assert_string_equal(v, "/a:/b");
    assert_true(capture_value(text, "Last", v, sizeof v));
    assert_string_equal(v, "x");
    assert_true(capture_value(text, "PluginDir", tiny, sizeof tiny));
    assert_string_equal(tiny, "/a:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_run),
        cmocka_unit_test(run),
        cmocka_unit_test(value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
