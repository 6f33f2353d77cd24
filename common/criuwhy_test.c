/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/criurun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static void no_error_line(void **state)
{
    char text[512] = "kept";

    (void)state;
    assert_false(criurun_explain_log("", text, sizeof text));
    assert_false(criurun_explain_log("Warn  (criu/kerndat.c:1): x\nno newline at the end", text,
                                     sizeof text));
    assert_false(criurun_explain_log("(00.1) Error (criu/cr-dump.c:1975): Dumping FAILED.\n", text,
                                     sizeof text));
    assert_string_equal(text, "kept");
}

static void known_line(void **state)
{
    static const char log[] =
        "(00.000001) Warn  (compel/src/lib/infect.c:132): something\n"
        "(00.011111) Error (criu/files.c:1): Can't open /proc/1\n"
        "(00.012345)   4711: Error (criu/sk-inet.c:200): inet: Connected TCP socket, consider "
        "using "
        "--tcp-established option.\n"
        "(00.012346) Error (criu/cr-dump.c:1698): Dump files (pid: 1) failed with -1\n"
        "(00.012347) Error (criu/cr-dump.c:1975): Dumping FAILED.\n";
    char text[512];

    (void)state;
    assert_true(criurun_explain_log(log, text, sizeof text));
    assert_int_equal(strncmp(text, "an open TCP connection", 22), 0);
    assert_non_null(strstr(text, "(CRIU: inet: Connected TCP socket"));
    assert_null(strchr(text, '\n'));
}

/* What CRIU could not find out about the kernel says more than that it could not. */
static void which_feature(void **state)
{
    char text[512];

    (void)state;
    assert_true(criurun_explain_log(
        "(00.1) Error (criu/kerndat.c:1986): kerndat_fdinfo_has_lock failed when "
        "initializing kerndat.\n(00.1) Error (criu/crtools.c:280): Could not "
        "initialize kernel features detection.\n",
        text, sizeof text));
    assert_non_null(strstr(text, "(CRIU: kerndat_fdinfo_has_lock failed"));
}

static void first_unknown_line(void **state)
{
    char text[512];

    (void)state;
    assert_true(
        criurun_explain_log("Error (a.c:1): first\nError (b.c:2): second\n", text, sizeof text));
    assert_string_equal(text, "CRIU: first");
    assert_true(criurun_explain_log(
        "Error (a.c:1): failed removing policy dir x\nError (b.c:2): second\n", text,
        sizeof text));
    assert_string_equal(text, "CRIU: second");
    assert_true(
        criurun_explain_log("Error (launcher): cannot run /x: No such file", text, sizeof text));
    assert_string_equal(text, "CRIU: cannot run /x: No such file");
}

static void hostile_text(void **state)
{
    char log[5000] = "Error (a.c:1): \033]0;x\007", text[512], tiny[8];

    (void)state;
    memset(log + 22, 'y', sizeof log - 23);
    assert_true(criurun_explain_log(log, text, sizeof text));
    assert_null(strchr(text, '\033'));
    assert_true(strlen(text) < sizeof text);
    assert_true(criurun_explain_log(log, tiny, sizeof tiny));
    assert_int_equal(strlen(tiny), sizeof tiny - 1);
    /* pieces of what is looked for, in odd places */
    assert_false(criurun_explain_log("Error", text, sizeof text));
    assert_true(criurun_explain_log("x Error (", text, sizeof text));
    assert_true(criurun_explain_log("Error (no end\n): far\n", text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_error_line), cmocka_unit_test(known_line),
        cmocka_unit_test(which_feature), cmocka_unit_test(first_unknown_line),
        cmocka_unit_test(hostile_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
