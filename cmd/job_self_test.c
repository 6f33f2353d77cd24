/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static uint64_t asked_for;
static unsigned asked;
static uint32_t answer;

/* In place of the one that asks slurmctld. */
uint32_t job_of_sluid(uint64_t sluid)
{
    asked_for = sluid;
    asked++;
    return answer;
}

/* job_self_at() of a process in that group */
static uint32_t self(const char *group)
{
    char path[] = "/tmp/job-self-test.XXXXXX";
    int fd = mkstemp(path);
    uint32_t id;

    assert_true(fd >= 0);
    assert_true(dprintf(fd, "%s", group) >= 0);
    close(fd);
    id = job_self_at(path);
    assert_int_equal(unlink(path), 0);
    return id;
}

static void what_is_no_sluid(void **state)
{
    static const char *const bad[] = {
        "",
        "s",
        "sEKNKTV3WPV50",   /* too short */
        "sEKNKTV3WPV5000", /* too long */
        "SEKNKTV3WPV500",  /* Slurm writes a small s */
        "xEKNKTV3WPV500",
        "sEKNKTV3WPV50I", /* no digits: I L O U */
        "sEKNKTV3WPV50u",
        "sEKNKTV3WPV50/",
        "sG0000000000000", /* more than 64 bits */
        "s0000000000000",
    };
    uint64_t v = 77;

    (void)state;
    assert_false(job_parse_sluid(NULL, &v));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(job_parse_sluid(bad[i], &v));
    assert_false(job_parse_sluid("sG000000000000", &v));
    assert_true(v == 77);
}

static void sluids(void **state)
{
    uint64_t v = 0;

    (void)state;
    assert_true(job_parse_sluid("s0000000000001", &v));
    assert_true(v == 1);
    assert_true(job_parse_sluid("s0000000000010", &v));
    assert_true(v == 32);
    assert_true(job_parse_sluid("sFZZZZZZZZZZZZ", &v));
    assert_true(v == UINT64_MAX);
    assert_true(job_parse_sluid("sEKNKTV3WPV500", &v));
    assert_true(v == UINT64_C(0xe9d67ad8f96d9400));
}

static void control_groups_of_no_job(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "0::/\n",
        "0::/init.scope\n",
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        "0::/system.slice/slurmstepd.scope/system\n",
        "0::/job_\n",
        "0::/job_x/step_0\n",
        "0::/job_0/step_0\n",
        "0::/job_12\n", /* no step */
        "0::/job_99999999999999999999/step_0\n",
        "0::/step_0/user\n",
        "/step_0\n",
        "0::/system.slice/xEKNKTV3WPV500/step_0/user\n",
        "0::/system.slice/asEKNKTV3WPV500/step_0/user\n",
        "0::/system.slice/sEKNKTV3WPV500\n",
    };
    uint64_t sluid = 77;
    uint32_t id = 77;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(job_in_cgroup(bad[i], &id, &sluid));
    assert_true(id == 77 && sluid == 77);
}

static void control_groups_of_jobs(void **state)
{
    uint64_t sluid = 77;
    uint32_t id = 0;

    (void)state;
    assert_true(job_in_cgroup("9:freezer:/slurm_n1/uid_1000/job_12/step_batch\n", &id, &sluid));
    assert_true(id == 12 && sluid == 0);
    assert_true(job_in_cgroup("0::/system.slice/slurmstepd.scope/job_4000000000/step_0/user/task_1",
                              &id, &sluid));
    assert_true(id == 4000000000U && sluid == 0);
    assert_true(job_in_cgroup("0::/system.slice/n1_slurmstepd.scope/s000000000000Z/step_batch/user",
                              &id, &sluid));
    assert_true(id == 0 && sluid == 31);
}

static void without_a_group_the_environment_counts(void **state)
{
    static const char *const bad[] = {"", "0", "12x", "12_1", "-1", " 12"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(setenv("SLURM_JOB_ID", bad[i], 1), 0);
        assert_int_equal(self("0::/user.slice\n"), 0);
    }
    unsetenv("SLURM_JOB_ID");
    assert_int_equal(self("0::/user.slice\n"), 0);
    assert_int_equal(setenv("SLURM_JOB_ID", "12", 1), 0);
    assert_int_equal(self("0::/user.slice\n"), 12);
    assert_int_equal(job_self_at("/nonexistent"), 12);
    assert_int_equal(asked, 0);
}

static void a_group_with_the_number_counts(void **state)
{
    (void)state;
    assert_int_equal(setenv("SLURM_JOB_ID", "12", 1), 0);
    assert_int_equal(self("8:cpuset:/\n9:freezer:/slurm/uid_1/job_13/step_batch\n"), 13);
    assert_int_equal(asked, 0);
}

/* The environment of a restored process may be that of another job. */
static void slurm_tells_whose_sluid_it_is(void **state)
{
    static const char group[] =
        "0::/system.slice/slurmstepd.scope/s000000000000Z/step_batch/user\n";

    (void)state;
    assert_int_equal(setenv("SLURM_JOB_ID", "12", 1), 0);
    answer = 0;
    assert_int_equal(self(group), 0);
    assert_int_equal(asked, 1);
    assert_true(asked_for == 31);
    answer = 14;
    assert_int_equal(self(group), 14);
    assert_int_equal(asked, 2);
    assert_int_equal(self(group), 14);
    assert_int_equal(asked, 2); /* it is known by now */
    answer = 15;
    assert_int_equal(self("0::/slurmstepd.scope/s0000000000010/step_0/user/task_0\n"), 15);
    assert_true(asked_for == 32);
    unsetenv("SLURM_JOB_ID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_sluid),
        cmocka_unit_test(sluids),
        cmocka_unit_test(control_groups_of_no_job),
        cmocka_unit_test(control_groups_of_jobs),
        cmocka_unit_test(without_a_group_the_environment_counts),
        cmocka_unit_test(a_group_with_the_number_counts),
        cmocka_unit_test(slurm_tells_whose_sluid_it_is),
    };

    return cmocka_run_group_tests_name("cmd/job_self", tests, NULL, NULL);
}
