/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir.h"

#include "common/event.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/request.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define JOB "test.42.0123456789abcdef"

static char base[256];
static struct facts facts;
static int basefd = -1, task = -1;

static bool there(const char *name)
{
    struct stat st;

    return fstatat(basefd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put_generation(const char *name)
{
    char path[80];

    assert_int_equal(mkdirat(task, name, 0700), 0);
    snprintf(path, sizeof path, "%s/%s", name, MANIFEST_FILE);
    scratch_write(task, path, "{}", 0, 0600);
}

/* A job's directory with everything in it that there may be. */
static int setup(void **state)
{
    struct request r = {.id = "0123456789abcdef", .verb = "create"};
    struct event e = {.event = "note", .node = "n1"};

    (void)state;
    umask(022);
    scratch_make(base);
    basefd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(&facts, 0, sizeof facts);
    snprintf(facts.cluster, sizeof facts.cluster, "test");
    snprintf(facts.task, sizeof facts.task, "batch");
    snprintf(facts.nonce, sizeof facts.nonce, "0123456789abcdef");
    snprintf(facts.dir, sizeof facts.dir, "%s", base);
    facts.job = 42;
    facts.uid = geteuid();
    task = gendir_open_task(&facts, true, NULL);
    if (task < 0)
        return -1;
    put_generation("gen-0000-000001");
    put_generation("gen-0001-000002");
    put_generation("gen-0001-000003.partial");
    scratch_write(task, "script", "x", 0, 0700);
    scratch_write(task, "ckpt-init", "x", 0, 0700);
    if (request_put(task, &r, NULL) < 0 || event_add(task, &e, NULL) < 0 ||
        mkdirat(task, "log", 0700) < 0)
        return -1;
    scratch_write(task, "log/dump.log", "x", 0, 0600);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&task);
    io_close(&basefd);
    scratch_remove(base);
    return 0;
}

static void bad_names(void **state)
{
    struct err e = {""};

    (void)state;
    snprintf(facts.task, sizeof facts.task, "..");
    assert_int_equal(gendir_remove_job(&facts, &e), -1);
    assert_int_equal(errno, EINVAL);
    snprintf(facts.task, sizeof facts.task, "batch");
    facts.nonce[0] = '\0';
    assert_int_equal(gendir_remove_job(&facts, &e), -1);
    assert_true(there(JOB "/batch/gen-0000-000001/" MANIFEST_FILE));
}

static void everything_goes(void **state)
{
    struct err e = {""};

    (void)state;
    if (gendir_remove_job(&facts, &e) < 0)
        fail_msg("%s", e.text);
    assert_false(there(JOB));
    assert_true(access(base, F_OK) == 0);
}

static void another_job_stays(void **state)
{
    (void)state;
    facts.nonce[0] = 'f';
    assert_int_equal(gendir_remove_job(&facts, NULL), -1);
    assert_int_equal(errno, ENOENT);
    facts.nonce[0] = '0';
    facts.job = 43;
    assert_int_equal(gendir_remove_job(&facts, NULL), -1);
    assert_true(there(JOB "/batch/gen-0001-000002/" MANIFEST_FILE));
}

static void strangers_stay(void **state)
{
    static const char *const names[] = {JOB "/batch/gen-0001-000002/thesis.tex",
                                        JOB "/batch/thesis.tex"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct err e = {""};

        scratch_write(basefd, names[i], "x", 0, 0600);
        assert_int_equal(gendir_remove_job(&facts, &e), -1);
        assert_true(strlen(e.text) > 0);
        assert_true(there(names[i]));
    }
    assert_false(there(JOB "/batch/gen-0000-000001"));
}

static void links_are_not_followed(void **state)
{
    (void)state;
    assert_int_equal(mkdirat(basefd, "elsewhere", 0700), 0);
    scratch_write(basefd, "elsewhere/thesis.tex", "x", 0, 0600);
    scratch_write(basefd, "elsewhere/" MANIFEST_FILE, "x", 0, 0600);
    assert_int_equal(unlinkat(task, "log/dump.log", 0), 0);
    assert_int_equal(unlinkat(task, "log", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("../../elsewhere", task, "log"), 0);
    assert_int_equal(symlinkat("../../elsewhere", task, "gen-0002-000004"), 0);
    assert_int_equal(gendir_remove_job(&facts, NULL), -1);
    assert_true(there("elsewhere/thesis.tex"));
    assert_true(there("elsewhere/" MANIFEST_FILE));
    /* the whole job */
    assert_int_equal(renameat(basefd, JOB, basefd, "moved"), 0);
    assert_int_equal(symlinkat("moved", basefd, JOB), 0);
    assert_int_equal(gendir_remove_job(&facts, NULL), -1);
    assert_true(there("moved/batch"));
}

static void other_tasks_of_the_job(void **state)
{
    (void)state;
    assert_int_equal(mkdirat(basefd, JOB "/step0.0", 0700), 0);
    assert_int_equal(gendir_remove_job(&facts, NULL), 0);
    assert_false(there(JOB "/batch"));
    assert_true(there(JOB "/step0.0"));
}

static void found_by_its_id(void **state)
{
    char nonce[17] = "";
    uint32_t id = 0;
    struct err e = {""};

    (void)state;
    assert_int_equal(gendir_find_job(&facts, 43, nonce, &e), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(gendir_find_job(&facts, facts.job, nonce, &e), 0);
    assert_string_equal(nonce, facts.nonce);
    /* links, other names and empty ones are not it; another user's neither (the system tests) */
    assert_int_equal(symlinkat(JOB, basefd, "test.43.0123456789abcdef"), 0);
    assert_int_equal(mkdirat(basefd, "test.44.0123456789ABCDEF", 0700), 0);
    assert_int_equal(mkdirat(basefd, "test.45.0123456789abcdef", 0700), 0);
    for (uint32_t job = 43; job < 46; job++)
        assert_int_equal(gendir_find_job(&facts, job, nonce, &e), -1);
    facts.source_job = facts.job;
    assert_int_equal(gendir_find_source(&facts, &id, nonce, &e), 0);
    assert_true(id == facts.job);
    facts.source_job = 40;
    facts.source_task = 4; /* 40_3 */
    assert_int_equal(gendir_find_source(&facts, &id, nonce, &e), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(symlinkat("40_3", basefd, JOB "/batch/" GENDIR_ARRAY), 0);
    id = 0;
    assert_int_equal(gendir_find_source(&facts, &id, nonce, &e), 0);
    assert_true(id == facts.job);
    assert_string_equal(nonce, facts.nonce);
    facts.source_task = 31; /* 40_30 */
    assert_int_equal(gendir_find_source(&facts, &id, nonce, &e), -1);
    snprintf(facts.dir + strlen(facts.dir), 4, "/no");
    assert_int_equal(gendir_find_job(&facts, facts.job, nonce, &e), -1);
    assert_int_equal(errno, ENXIO);
}

static void what_is_saved(void **state)
{
    struct err e = {""};
    char step[64];
    int batch = task;

    (void)state;
    assert_int_equal(gendir_saved(&facts, &e), 2);
    assert_int_equal(gendir_remove(task, (struct gendir_id){0, 1}, false, &e), 0);
    assert_int_equal(gendir_remove(task, (struct gendir_id){1, 2}, false, &e), 0);
    assert_int_equal(gendir_saved(&facts, &e), 0); /* a partial is nothing */
    snprintf(facts.task, sizeof facts.task, "step-key.0");
    assert_int_equal(gendir_saved(&facts, &e), 0); /* not there */
    task = gendir_open_task(&facts, true, &e);
    assert_true(task >= 0);
    put_generation("gen-0000-000007");
    io_close(&task);
    snprintf(facts.task, sizeof facts.task, "step-key.1");
    task = gendir_open_task(&facts, true, &e);
    assert_true(task >= 0);
    scratch_write(task, "exit", "0 0 2\n", 0, 0600);
    io_close(&task);
    assert_int_equal(gendir_saved(&facts, &e), 1); /* its own */
    snprintf(facts.task, sizeof facts.task, "batch");
    assert_int_equal(gendir_saved(&facts, &e), 2); /* all of the script's */
    snprintf(step, sizeof step, JOB "/step-key.0");
    assert_int_equal(fchmodat(basefd, step, 0777, 0), 0);
    assert_int_equal(gendir_saved(&facts, &e), -1); /* not to be known is not nothing */
    task = batch;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_names),       TEST(everything_goes),        TEST(another_job_stays),
        TEST(strangers_stay),  TEST(links_are_not_followed), TEST(other_tasks_of_the_job),
        TEST(found_by_its_id), TEST(what_is_saved),
    };

    return cmocka_run_group_tests_name("gendir_job", tests, NULL, NULL);
}
