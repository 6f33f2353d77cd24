/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/environ.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void check(char *const *env, const char *want)
{
    char *text = environ_text(env, "n1");

    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void left_out(void **state)
{
    char *const none[] = {NULL};
    char *const bad[] = {(char[]){"PATH=/bin"},    (char[]){"SLURM"},
                         (char[]){"SLURM;rm=1"},   (char[]){"SLURM X=1"},
                         (char[]){"SLURM$(id)=1"}, (char[]){"=SLURM"},
                         (char[]){"xSLURM_JOB=1"}, (char[]){"SLURM\n=1"},
                         (char[]){"SLURM_\xc3=1"}, NULL};

    (void)state;
    check(none, "export HOSTNAME='n1'\n");
    check(bad, "export HOSTNAME='n1'\n");
}

static void quoted(void **state)
{
    char *const env[] = {(char[]){"SLURM_JOB_ID=7"}, (char[]){"SLURMD_NODENAME="},
                         (char[]){"SLURM_JOB_NAME=it's $(x) `y` \"z\"\nline=2"}, NULL};

    (void)state;
    check(env, "export SLURM_JOB_ID='7'\nexport SLURMD_NODENAME=''\n"
               "export SLURM_JOB_NAME='it'\\''s $(x) `y` \"z\"\nline=2'\nexport HOSTNAME='n1'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(left_out), cmocka_unit_test(quoted)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
