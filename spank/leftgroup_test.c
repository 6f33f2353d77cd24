/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/leftgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static char path[200];

static void is_left(const char *text, const char *wanted)
{
    assert_int_equal(leftgroup_path(text, path, sizeof path), 0);
    assert_string_equal(path, wanted);
}

static void is_none(const char *text)
{
    errno = 0;
    assert_int_equal(leftgroup_path(text, path, sizeof path), -1);
    assert_int_equal(errno, ENOENT);
}

static void test_steps(void **state)
{
    (void)state;
    is_left("0::/system.slice/slurmstepd.scope/job_7/step_batch/slurm\n",
            "/system.slice/slurmstepd.scope/job_7/step_batch/user/task_special");
    is_left("0::/system.slice/node1_slurmstepd.scope/s1X2/step_0/slurm",
            "/system.slice/node1_slurmstepd.scope/s1X2/step_0/user/task_special");
    is_left("12:cpuset:/slurm/uid_1/job_7/step_0/slurm\n0::/x/job_7/step_1/slurm\n1:name=x:/\n",
            "/x/job_7/step_1/user/task_special");
}

static void test_others(void **state)
{
    (void)state;
    is_none("");
    is_none("\n");
    is_none("0::/");
    is_none("0::/\n");
    is_none("0::/slurm\n");
    is_none("0::/system.slice/slurmd.service\n");
    is_none("0::/x/job_7/slurm\n");
    is_none("0::/x/step_0/other/slurm\n");
    is_none("0::/x/job_7/step_0/user/task_0\n");
    is_none("5:memory:/slurm/job_7/step_0/slurm\n");
    is_none("10::/x/job_7/step_0/slurm\n"); /* no such line is written, but it is not ours */
}

static void test_room(void **state)
{
    char small[8];

    (void)state;
    errno = 0;
    assert_int_equal(leftgroup_path("0::/x/step_0/slurm\n", small, sizeof small), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
