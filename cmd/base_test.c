/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/base.h"

#include "cmd/job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define NONCE "0123456789abcdef"

/* In place of libslurm's. */
const char *job_cluster(void)
{
    return "test";
}

static char top[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "%s/base-test.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    unsetenv("SLURM_CHECKPOINT_DIR");
    unsetenv("SBATCH_CHECKPOINT_DIR");
    return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(top);
}

static void make(const char *name)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* A directory's time changes with what is made in it: to be set last. */
static void stamp(const char *name, time_t when)
{
    char path[2 * PATH_MAX];
    struct timespec t[2] = {{when, 0}, {when, 0}};

    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void drop(const char *name)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(remove(path), 0);
}

static void names_that_are_not_ours_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "test",
        "test.12",
        "test.12.",
        "12." NONCE,
        ".12." NONCE,
        "test.0." NONCE,
        "test.012." NONCE,
        "test.+1." NONCE,
        "test.-1." NONCE,
        "test. 1." NONCE,
        "test.x." NONCE,
        "test.4294967296." NONCE,
        "test.99999999999999999999999." NONCE,
        "test.12.0123456789ABCDEF",
        "test.12.0123456789abcde",
        "test.12." NONCE "0",
        "te st.12." NONCE,
        "-test.12." NONCE,
        "t\033.12." NONCE,
    };
    struct base_job j = {.job = 77};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base_parse_name(bad[i], &j));
    assert_int_equal(j.job, 77);
}

static void names_of_jobs_are_taken_apart(void **state)
{
    struct base_job j;

    (void)state;
    assert_true(base_parse_name("test.12." NONCE, &j));
    assert_string_equal(j.cluster, "test");
    assert_int_equal(j.job, 12);
    assert_string_equal(j.nonce, NONCE);
    assert_true(base_parse_name("a.b-c.7.4294967295." NONCE, &j));
    assert_string_equal(j.cluster, "a.b-c.7");
    assert_true(j.job == UINT32_MAX);
}

static void job_names(void **state)
{
    static const char *const bad[] = {"",           "0",   "-1",  "x",     "1x",  " 1",
                                      "1_",         "_1",  "1_x", "1_2_3", "1.0", "1_-2",
                                      "4294967295", "1e3", "0_1", NULL};
    struct job_name n;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(job_parse_name(bad[i], &n));
    assert_true(job_parse_name("12", &n));
    assert_int_equal(n.id, 12);
    assert_false(n.is_task);
    assert_false(job_parse_step("1.0/", &n));
    assert_false(job_parse_step("1.0/x", &n));
    assert_false(job_parse_step("1.0.1", &n));
    assert_true(job_parse_step("12_3.4", &n));
    assert_true(n.is_task && n.has_step && n.step == 4 && !n.has_taskid);
    assert_true(job_parse_step("12.4/5", &n));
    assert_true(n.has_taskid && n.taskid == 5);
    assert_true(job_parse_name("12_0", &n));
    assert_true(n.is_task);
    assert_int_equal(n.task, 0);
}

static void a_missing_directory_is_told_apart(void **state)
{
    char path[2 * PATH_MAX];
    struct base_job *jobs = NULL, j;
    struct err err;

    (void)state;
    snprintf(path, sizeof path, "%s/none", top);
    errno = 0;
    assert_int_equal(base_scan(path, 0, NULL, &jobs, &err), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(base_find(path, 12, NULL, &j, &err), -1);
    assert_int_equal(errno, ESRCH);
    assert_non_null(strstr(err.text, "job 12"));
}

static void a_directory_of_others_is_refused(void **state)
{
    struct base_job *jobs = NULL;
    struct err err;

    (void)state;
    assert_int_equal(chmod(top, 0770), 0);
    assert_int_equal(base_scan(top, 0, NULL, &jobs, &err), -1);
    assert_int_equal(chmod(top, 0700), 0);
    if (geteuid() != 0)
        assert_int_equal(base_scan("/", 0, NULL, &jobs, &err), -1);
}

static void the_last_changed_comes_first(void **state)
{
    static const struct {
        const char *name;
        time_t when;
    } dirs[] = {
        {"test.12.00000000000000aa", 1000},
        {"test.12.00000000000000aa/batch", 1000},
        {"test.12.00000000000000bb", 500},
        {"test.12.00000000000000bb/batch", 2000},
        {"other.12.00000000000000cc", 3000},
        {"test.13.00000000000000dd", 1500},
        {"lost+found", 9000},
    };
    struct base_job *jobs = NULL, j;
    struct err err;
    char link[2 * PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        make(dirs[i].name);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        stamp(dirs[i].name, dirs[i].when);
    snprintf(link, sizeof link, "%s/test.12.00000000000000ee", top);
    assert_int_equal(symlink(top, link), 0);

    assert_int_equal(base_scan(top, 0, NULL, &jobs, &err), 4);
    assert_string_equal(jobs[0].nonce, "00000000000000cc");
    assert_string_equal(jobs[1].nonce, "00000000000000bb");
    assert_string_equal(jobs[2].nonce, "00000000000000dd");
    assert_string_equal(jobs[3].nonce, "00000000000000aa");
    free(jobs);
    assert_int_equal(base_find(top, 12, "test", &j, &err), 0);
    assert_string_equal(j.nonce, "00000000000000bb");
    assert_int_equal(j.changed.tv_sec, 2000);
    assert_int_equal(base_find(top, 12, NULL, &j, &err), 0);
    assert_string_equal(j.cluster, "other");
    assert_int_equal(base_find(top, 13, "other", &j, &err), -1);
    assert_int_equal(errno, ESRCH);

    drop("test.12.00000000000000ee");
    for (size_t i = sizeof dirs / sizeof dirs[0]; i-- > 0;)
        drop(dirs[i].name);
}

static void write_file(const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", top, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void remove_file(const char *name)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(unlink(path), 0);
}

static void the_tasks_of_a_job(void **state)
{
#define JOB_DIR "test.14.00000000000000aa"
    static const char *const dirs[] = {
        JOB_DIR,           JOB_DIR "/step-b-0.1", JOB_DIR "/step-b-0.0", JOB_DIR "/step-a-0.0",
        JOB_DIR "/batch",  JOB_DIR "/step-c-0.0", JOB_DIR "/steps",      JOB_DIR "/step-x",
        JOB_DIR "/step-.", JOB_DIR "/step-d-0.x", JOB_DIR "/step-e-0.9"};
    static const char *const labels[] = {"14", "14.0/0", "14.0/0", "14.1/0", "14.1/1", "14.?/9"};
    static const char *const tasks[] = {"batch",      "step-c-0.0", "step-a-0.0",
                                        "step-b-0.0", "step-b-0.1", "step-e-0.9"};
    struct base_job job, *found = NULL;
    char label[BASE_LABEL_MAX];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        make(dirs[i]);
    write_file(JOB_DIR "/step-a-0.0/last", "0 0 n1\n");
    write_file(JOB_DIR "/step-b-0.0/live", "1 1 n1\n");
    write_file(JOB_DIR "/step-b-0.1/live", "1 1 n2\n");
    write_file(JOB_DIR "/step-c-0.0/live", "1 0 n1\n");
    write_file(JOB_DIR "/step-e-0.9/live", "damaged\n");
    assert_int_equal(base_find(top, 14, NULL, &job, &err), 0);
    assert_int_equal(base_tasks(top, &job, &found, &err), 6);
    for (size_t i = 0; i < 6; i++) {
        base_label(&found[i], label);
        assert_string_equal(label, labels[i]);
        assert_string_equal(found[i].task, tasks[i]);
        assert_int_equal(found[i].job, 14);
    }
    free(found);
    remove_file(JOB_DIR "/step-a-0.0/last");
    remove_file(JOB_DIR "/step-b-0.0/live");
    remove_file(JOB_DIR "/step-b-0.1/live");
    remove_file(JOB_DIR "/step-c-0.0/live");
    remove_file(JOB_DIR "/step-e-0.9/live");
    for (size_t i = sizeof dirs / sizeof dirs[0]; i-- > 0;)
        drop(dirs[i]);
    assert_int_equal(base_tasks(top, &job, &found, &err), -1);
    assert_int_equal(errno, ENOENT);
}

static void where_the_directory_comes_from(void **state)
{
    struct cmd c = {.dir = NULL, .conf = "/nonexistent/checkpoint.conf"};
    char path[PATH_MAX], wanted[PATH_MAX];
    struct err err;

    (void)state;
    assert_int_equal(base_path(&c, path, &err), -1);
    setenv("SBATCH_CHECKPOINT_DIR", "/b/%c", 1);
    assert_int_equal(base_path(&c, path, &err), 0);
    assert_string_equal(path, "/b/test");
    setenv("SLURM_CHECKPOINT_DIR", "/a/%U", 1);
    assert_int_equal(base_path(&c, path, &err), 0);
    snprintf(wanted, sizeof wanted, "/a/%u", geteuid());
    assert_string_equal(path, wanted);
    setenv("SLURM_CHECKPOINT_DIR", "relative", 1);
    assert_int_equal(base_path(&c, path, &err), -1);
    c.dir = "/c";
    assert_int_equal(base_path(&c, path, &err), 0);
    assert_string_equal(path, "/c");
    c.dir = "/c/../d";
    assert_int_equal(base_path(&c, path, &err), -1);
    assert_int_equal(chdir(top), 0);
    c.dir = ".";
    assert_int_equal(base_path(&c, path, &err), 0);
    assert_non_null(realpath(top, wanted));
    assert_string_equal(path, wanted);
    assert_int_equal(chdir("/"), 0);
    unsetenv("SLURM_CHECKPOINT_DIR");
    unsetenv("SBATCH_CHECKPOINT_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_not_ours_are_refused),
        cmocka_unit_test(names_of_jobs_are_taken_apart),
        cmocka_unit_test(job_names),
        cmocka_unit_test(a_missing_directory_is_told_apart),
        cmocka_unit_test(a_directory_of_others_is_refused),
        cmocka_unit_test(the_last_changed_comes_first),
        cmocka_unit_test(the_tasks_of_a_job),
        cmocka_unit_test(where_the_directory_comes_from),
    };

    return cmocka_run_group_tests_name("cmd/base", tests, set_up, tear_down);
}
