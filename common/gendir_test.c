/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir.h"

#include "common/io.h"
#include "common/manifest.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
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

#define JOB "test.42.0123456789abcdef"

static char base[256];
static struct facts facts;
static int task = -1;

static int setup(void **state)
{
    (void)state;
    umask(022);
    scratch_make(base);
    scratch_facts(&facts, base);
    return 0;
}

static int setup_task(void **state)
{
    setup(state);
    task = gendir_open_task(&facts, true, NULL);
    return task < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&task);
    scratch_remove(base);
    return 0;
}

static const char *below(const char *name)
{
    static char path[600];

    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static struct gendir_id make_id(uint32_t epoch, uint32_t sequence)
{
    struct gendir_id id = {epoch, sequence};

    return id;
}

static bool there(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A complete or partial generation with a part or two in it. */
static void put_generation(uint32_t epoch, uint32_t sequence, bool partial)
{
    char name[40];
    int fd;

    gendir_format_name(make_id(epoch, sequence), partial, name);
    assert_int_equal(mkdirat(task, name, 0700), 0);
    fd = openat(task, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    scratch_write(fd, MANIFEST_FILE, "{}", 0, 0600);
    scratch_write(fd, MANIFEST_PAGES ".tmp", "x", 0, 0600);
    io_close(&fd);
}

/* Succeeds or refuses with this errno and a text. */
static void expect_refusal(int fd, int wanted, const struct err *e)
{
    int got = errno;

    if (fd >= 0)
        close(fd);
    assert_int_equal(fd, -1);
    if (wanted)
        assert_int_equal(got, wanted);
    assert_true(strlen(e->text) > 0);
}

static void names_that_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        "gen",
        "gen-",
        "gen-1-1",
        "gen-0001-1",
        "gen-00001-000001",
        "gen-0001-0000001",
        "gen-0001-000000",
        "gen-0001-000001 ",
        "gen-0001-000001.partial.partial",
        "gen-0001-000001.tmp",
        "Gen-0001-000001",
        " gen-0001-000001",
        "gen--001-000001",
        "gen-0001--00001",
        "gen-+001-000001",
        "gen-0x01-000001",
        "gen-10000-000001",
        "gen-0001-4294967296",
        "gen-0001-000001/",
        "gen-0001-000001\n",
        "gen-99999999999999999999999-000001",
        "gen-0001-99999999999999999999999",
    };
    struct gendir_id id = {7, 7};
    bool partial = true;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (gendir_parse_name(bad[i], &id, &partial) || gendir_parse_name(bad[i], &id, NULL))
            fail_msg("accepted: '%s'", bad[i]);
    assert_int_equal(id.epoch, 7);
    assert_false(gendir_parse_name("gen-0001-000001.partial", &id, NULL));
}

static void names_and_order(void **state)
{
    static const struct gendir_id ids[] = {{0, 1},      {0, 2},       {1, 1},
                                           {1, 999999}, {1, 1000000}, {9999, 4294967295u}};
    char name[40];

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (int p = 0; p < 2; p++) {
            struct gendir_id id;
            bool partial;

            gendir_format_name(ids[i], p, name);
            assert_true(gendir_parse_name(name, &id, &partial));
            assert_int_equal(partial, p);
            assert_int_equal(gendir_compare(id, ids[i]), 0);
            if (i > 0) {
                assert_true(gendir_compare(ids[i - 1], id) < 0);
                assert_true(gendir_compare(id, ids[i - 1]) > 0);
            }
        }
    gendir_format_name(make_id(3, 12), true, name);
    assert_string_equal(name, "gen-0003-000012.partial");
}

static void listing(void **state)
{
    struct gendir_id *ids = NULL;
    struct err e = {""};

    (void)state;
    assert_int_equal(gendir_list(-1, &ids, &e), -1);
    assert_null(ids);
    assert_int_equal(gendir_list(task, &ids, &e), 0);
    free(ids);
    put_generation(1, 2, false);
    put_generation(0, 1, false);
    put_generation(2, 3, true);
    put_generation(0, 9, false);
    assert_int_equal(mkdirat(task, "log", 0700), 0);
    scratch_write(task, "gen-0008-000008", "a file", 0, 0600);
    assert_int_equal(symlinkat("gen-0001-000002", task, "gen-0009-000009"), 0);
    for (int i = 0; i < 2; i++) { /* twice: the descriptor has no position of its own */
        assert_int_equal(gendir_list(task, &ids, &e), 3);
        assert_int_equal(gendir_compare(ids[0], make_id(1, 2)), 0);
        assert_int_equal(gendir_compare(ids[1], make_id(0, 9)), 0);
        assert_int_equal(gendir_compare(ids[2], make_id(0, 1)), 0);
        free(ids);
    }
}

static void begin_counts_on(void **state)
{
    struct gendir_id id = {7, 7};
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(gendir_begin(task, 10000, &id, NULL), -1);
    assert_int_equal(id.epoch, 7);
    fd = gendir_begin(task, 1, &id, NULL);
    assert_true(fd >= 0);
    io_close(&fd);
    assert_int_equal(gendir_compare(id, make_id(1, 1)), 0);
    assert_int_equal(fstatat(task, "gen-0001-000001.partial", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* over epochs, and over a number that only a partial had */
    put_generation(0, 41, false);
    put_generation(0, 77, true);
    fd = gendir_begin(task, 1, &id, NULL);
    assert_true(fd >= 0);
    io_close(&fd);
    assert_int_equal(gendir_compare(id, make_id(1, 78)), 0);
    assert_false(there(task, "gen-0001-000001.partial"));
    assert_false(there(task, "gen-0000-000077.partial"));
    assert_true(there(task, "gen-0000-000041"));
}

static void begin_leaves_what_is_not_ours(void **state)
{
    struct gendir_id id;
    int fd, dir;

    (void)state;
    put_generation(0, 3, true);
    dir = gendir_open_dir(task, "gen-0000-000003.partial", NULL);
    scratch_write(dir, "thesis.tex", "x", 0, 0600);
    io_close(&dir);
    fd = gendir_begin(task, 1, &id, NULL);
    assert_true(fd >= 0);
    io_close(&fd);
    assert_int_equal(id.sequence, 4);
    assert_true(there(task, "gen-0000-000003.partial/thesis.tex"));
    assert_true(there(task, "gen-0000-000003.partial/" MANIFEST_FILE));
}

static void an_old_copy_of_the_job_writes_nothing(void **state)
{
    struct gendir_id id;
    struct err e = {""};

    (void)state;
    put_generation(1, 1, true);
    put_generation(2, 5, true);
    expect_refusal(gendir_begin(task, 1, &id, &e), ESTALE, &e);
    assert_true(there(task, "gen-0002-000005.partial"));
    assert_false(there(task, "gen-0001-000006.partial"));
}

static void commit(void **state)
{
    struct gendir_id id, *ids;
    int fd = gendir_begin(task, 3, &id, NULL);

    (void)state;
    assert_true(fd >= 0);
    scratch_write(fd, MANIFEST_FILE, "{}", 0, 0600);
    assert_int_equal(gendir_commit(task, fd, id, NULL), 0);
    io_close(&fd);
    assert_false(there(task, "gen-0003-000001.partial"));
    assert_true(there(task, "gen-0003-000001/" MANIFEST_FILE));
    assert_int_equal(gendir_list(task, &ids, NULL), 1);
    free(ids);
}

/* The old copy is in the midst of a dump when its successor begins. */
static void commit_beside_a_newer_start(void **state)
{
    struct gendir_id old, new;
    struct err e = {""};
    int fd = gendir_begin(task, 3, &old, NULL), newer;

    (void)state;
    assert_true(fd >= 0);
    scratch_write(fd, MANIFEST_FILE, "{}", 0, 0600);
    newer = gendir_begin(task, 4, &new, NULL);
    assert_true(newer >= 0);
    assert_int_equal(new.sequence, old.sequence + 1);
    expect_refusal(gendir_commit(task, fd, old, &e), ESTALE, &e);
    assert_false(there(task, "gen-0003-000001"));
    assert_false(there(task, "gen-0003-000001.partial"));
    assert_false(there(task, "gen-0004-000001.partial"));
    assert_true(there(task, "gen-0004-000002.partial"));
    /* Also where it could not be taken away. */
    assert_int_equal(mkdirat(task, "gen-0003-000009.partial", 0700), 0);
    io_close(&fd);
    fd = gendir_open_dir(task, "gen-0003-000009.partial", NULL);
    old.sequence = 9;
    expect_refusal(gendir_commit(task, fd, old, &e), ESTALE, &e);
    assert_false(there(task, "gen-0003-000009"));
    io_close(&fd);
    io_close(&newer);
}

static void commit_of_something_else(void **state)
{
    struct gendir_id id;
    struct err e = {""};
    int fd = gendir_begin(task, 3, &id, NULL);

    (void)state;
    assert_true(fd >= 0);
    /* the directory was swapped for another one */
    assert_int_equal(renameat(task, "gen-0003-000001.partial", task, "away"), 0);
    assert_int_equal(mkdirat(task, "gen-0003-000001.partial", 0700), 0);
    assert_int_equal(gendir_commit(task, fd, id, &e), -1);
    assert_int_equal(errno, ESTALE);
    assert_false(there(task, "gen-0003-000001"));
    /* gone altogether */
    assert_int_equal(unlinkat(task, "gen-0003-000001.partial", AT_REMOVEDIR), 0);
    assert_int_equal(gendir_commit(task, fd, id, &e), -1);
    /* the name is taken */
    assert_int_equal(renameat(task, "away", task, "gen-0003-000001.partial"), 0);
    put_generation(3, 1, false);
    assert_int_equal(gendir_commit(task, fd, id, &e), -1);
    assert_true(there(task, "gen-0003-000001.partial"));
    io_close(&fd);
}

static void links(void **state)
{
    static const char *const bad[] = {"pages.zst",
                                      "pages.gen-0000-000001",
                                      "pages.gen-0-1.zst",
                                      "pages..zst",
                                      "pages.gen-0000-000000.zst",
                                      "pages.gen-0000-000001.partial.zst",
                                      "pages.gen-0000-000001.zst.tmp",
                                      "Pages.gen-0000-000001.zst",
                                      "pages.gen-0000-00000000000000000000000000000000000001.zst"};
    const char *const name = "pages.gen-0001-000002.zst";
    struct gendir_id id;
    char text[48];
    int dir;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gendir_parse_link(bad[i], &id));
    assert_true(gendir_parse_link(name, &id));
    gendir_format_link(id, text);
    assert_string_equal(text, name);
    /* one that two generations have goes with the second */
    put_generation(3, 1, false);
    put_generation(3, 2, false);
    dir = gendir_open_dir(task, "gen-0003-000001", NULL);
    scratch_write(dir, name, "x", 0, 0600);
    assert_int_equal(linkat(task, "gen-0003-000001/pages.gen-0001-000002.zst", task,
                            "gen-0003-000002/pages.gen-0001-000002.zst", 0),
                     0);
    assert_int_equal(gendir_open_file(dir, name, O_RDONLY, 0, NULL), -1);
    io_close(&dir);
    assert_int_equal(gendir_remove(task, make_id(3, 1), false, NULL), 0);
    assert_false(there(task, "gen-0003-000001"));
    dir = gendir_open_dir(task, "gen-0003-000002", NULL);
    assert_true(there(dir, name));
    /* a directory by that name is none of ours */
    assert_int_equal(mkdirat(dir, "pages.gen-0001-000003.zst", 0700), 0);
    assert_int_equal(gendir_remove(task, make_id(3, 2), false, NULL), -1);
    assert_true(there(dir, name));
    assert_int_equal(unlinkat(dir, "pages.gen-0001-000003.zst", AT_REMOVEDIR), 0);
    io_close(&dir);
    assert_int_equal(gendir_remove(task, make_id(3, 2), false, NULL), 0);
    assert_false(there(task, "gen-0003-000002"));
    assert_false(there(task, "gen-0003-000002.partial"));
}

static void shared_files(void **state)
{
    int fd;

    (void)state;
    put_generation(3, 1, false);
    scratch_write(task, "a", "x", 0, 0600);
    assert_int_equal(linkat(task, "a", task, "b", 0), 0);
    fd = gendir_open_shared(task, "a", NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "y", 1), -1);
    io_close(&fd);
    assert_int_equal(fchmodat(task, "a", 0620, 0), 0);
    assert_int_equal(gendir_open_shared(task, "b", NULL), -1);
    assert_int_equal(symlinkat("b", task, "c"), 0);
    assert_int_equal(gendir_open_shared(task, "c", NULL), -1);
    assert_int_equal(gendir_open_shared(task, "gen-0003-000001", NULL), -1);
    assert_int_equal(gendir_open_shared(task, "../batch/b", NULL), -1);
}

static void remove_refuses_strangers(void **state)
{
    struct err e = {""};
    int dir;

    (void)state;
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, &e), -1);
    assert_int_equal(errno, ENOENT);
    put_generation(0, 1, false);
    dir = gendir_open_dir(task, "gen-0000-000001", NULL);
    scratch_write(dir, "thesis.tex", "x", 0, 0600);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, &e), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_non_null(strstr(e.text, "thesis.tex"));
    assert_true(there(task, "gen-0000-000001/" MANIFEST_FILE)); /* nothing was touched */
    assert_int_equal(unlinkat(dir, "thesis.tex", 0), 0);
    /* our name, but not a file */
    assert_int_equal(mkdirat(dir, MANIFEST_INDEX, 0700), 0);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, &e), -1);
    assert_true(there(task, "gen-0000-000001/" MANIFEST_FILE));
    assert_int_equal(unlinkat(dir, MANIFEST_INDEX, AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir, MANIFEST_INDEX), 0);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, &e), -1);
    assert_true(there(task, "gen-0000-000001/" MANIFEST_INDEX));
    assert_int_equal(unlinkat(dir, MANIFEST_INDEX, 0), 0);
    io_close(&dir);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, &e), 0);
    assert_false(there(task, "gen-0000-000001"));
    assert_false(there(task, "gen-0000-000001.partial"));
}

static void remove_through_a_link(void **state)
{
    (void)state;
    assert_int_equal(mkdir(below("elsewhere"), 0700), 0);
    scratch_write(AT_FDCWD, below("elsewhere/" MANIFEST_FILE), "x", 0, 0600);
    assert_int_equal(symlinkat(below("elsewhere"), task, "gen-0000-000001"), 0);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, NULL), -1);
    assert_int_equal(symlinkat(below("elsewhere"), task, "gen-0000-000002.partial"), 0);
    assert_int_equal(gendir_remove(task, make_id(0, 2), true, NULL), -1);
    assert_true(there(AT_FDCWD, below("elsewhere/" MANIFEST_FILE)));
}

static void remove_beside_an_older_leftover(void **state)
{
    (void)state;
    put_generation(0, 1, false);
    put_generation(0, 1, true);
    assert_int_equal(gendir_remove(task, make_id(0, 1), false, NULL), 0);
    assert_false(there(task, "gen-0000-000001"));
    assert_false(there(task, "gen-0000-000001.partial"));
}

static void prune(void **state)
{
    struct gendir_id *ids;
    struct err e = {""};

    (void)state;
    assert_int_equal(gendir_prune(task, 0, make_id(0, 1), &e), -1);
    assert_int_equal(errno, EINVAL);
    for (uint32_t i = 1; i <= 5; i++)
        put_generation(0, i, false);
    put_generation(0, 6, true);
    /* the partial does not count; 2 is the last one known to be good */
    assert_int_equal(gendir_prune(task, 2, make_id(0, 2), &e), 2);
    assert_int_equal(gendir_list(task, &ids, NULL), 3);
    assert_int_equal(ids[0].sequence, 5);
    assert_int_equal(ids[1].sequence, 4);
    assert_int_equal(ids[2].sequence, 2);
    free(ids);
    assert_true(there(task, "gen-0000-000006.partial"));
    assert_int_equal(gendir_prune(task, 100, make_id(0, 2), &e), 0);
}

static void prune_goes_on_after_a_failure(void **state)
{
    struct err e = {""};
    int dir;

    (void)state;
    for (uint32_t i = 1; i <= 4; i++)
        put_generation(0, i, false);
    dir = gendir_open_dir(task, "gen-0000-000002", NULL);
    scratch_write(dir, "thesis.tex", "x", 0, 0600);
    io_close(&dir);
    assert_int_equal(gendir_prune(task, 1, make_id(0, 4), &e), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_non_null(strstr(e.text, "gen-0000-000002"));
    assert_false(there(task, "gen-0000-000001"));
    assert_true(there(task, "gen-0000-000002/thesis.tex"));
    assert_false(there(task, "gen-0000-000003"));
}

#define TASK_TEST(f) cmocka_unit_test_setup_teardown(f, setup_task, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(names_and_order),
        TASK_TEST(listing),
        TASK_TEST(begin_counts_on),
        TASK_TEST(begin_leaves_what_is_not_ours),
        TASK_TEST(an_old_copy_of_the_job_writes_nothing),
        TASK_TEST(commit),
        TASK_TEST(commit_beside_a_newer_start),
        TASK_TEST(commit_of_something_else),
        TASK_TEST(remove_refuses_strangers),
        TASK_TEST(links),
        TASK_TEST(shared_files),
        TASK_TEST(remove_through_a_link),
        TASK_TEST(remove_beside_an_older_leftover),
        TASK_TEST(prune),
        TASK_TEST(prune_goes_on_after_a_failure),
    };

    return cmocka_run_group_tests_name("gendir", tests, NULL, NULL);
}
