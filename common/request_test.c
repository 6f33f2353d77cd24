/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/request.h"

#include "common/io.h"
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
#include <time.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define ID "0123456789abcdef"
#define ID2 "ffffffffffffffffffffffffffffffff"
#define GOOD "{\"id\":\"" ID "\",\"verb\":\"create\",\"time\":\"2026-01-31T23:59:59Z\"}"

static char dir[256];
static int task = -1, requests = -1;

static int setup(void **state)
{
    (void)state;
    umask(022);
    scratch_make(dir);
    task = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return task < 0 ? -1 : 0;
}

/* With request/ in it, open. */
static int setup_requests(void **state)
{
    setup(state);
    if (mkdirat(task, REQUEST_DIR, 0700) < 0)
        return -1;
    requests = openat(task, REQUEST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return requests < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&task);
    io_close(&requests);
    scratch_remove(dir);
    return 0;
}

static bool there(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct request make_request(const char *id)
{
    struct request r;

    memset(&r, 0, sizeof r);
    snprintf(r.id, sizeof r.id, "%s", id);
    snprintf(r.verb, sizeof r.verb, "create");
    return r;
}

static void set_age(int dirfd, const char *name, time_t seconds)
{
    struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};

    assert_int_equal(utimensat(dirfd, name, t, AT_SYMLINK_NOFOLLOW), 0);
}

static void requests_that_are_not_put(void **state)
{
    static const char *const ids[] = {
        "", "0123", "0123456789ABCDEF", "../0123456789abc", "0123456789abcde", "0123456789abcdeg"};
    struct err e = {""};
    struct request r;

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        r = make_request(ids[i]);
        assert_int_equal(request_put(task, &r, &e), -1);
        assert_int_equal(errno, EINVAL);
    }
    r = make_request(ID2);
    memset(r.id, 'f', sizeof r.id); /* no end */
    assert_int_equal(request_put(task, &r, &e), -1);
    r = make_request(ID);
    snprintf(r.verb, sizeof r.verb, "remove");
    assert_int_equal(request_put(task, &r, &e), -1);
    assert_false(there(task, REQUEST_DIR));
    r = make_request(ID);
    assert_int_equal(request_put(-1, &r, &e), -1);
    assert_true(strlen(e.text) > 0);
}

static void put_and_take(void **state)
{
    struct request r = make_request(ID), got;
    struct stat st;

    (void)state;
    memset(&got, 0x5a, sizeof got);
    assert_int_equal(request_take(task, geteuid(), &got, NULL), 0); /* no directory yet */
    assert_int_equal(got.id[0], 0x5a);
    assert_int_equal(request_put(task, &r, NULL), 0);
    assert_int_equal(fstatat(task, REQUEST_DIR, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstatat(task, REQUEST_DIR "/" ID ".json", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(there(task, REQUEST_DIR "/." ID ".json"));
    assert_int_equal(request_take(task, geteuid(), &got, NULL), 1);
    assert_string_equal(got.id, ID);
    assert_string_equal(got.verb, "create");
    assert_int_equal(request_take(task, geteuid(), &got, NULL), 0);
}

static void oldest_first(void **state)
{
    struct request r = make_request(ID), got;

    (void)state;
    assert_int_equal(request_put(task, &r, NULL), 0);
    r = make_request(ID2);
    assert_int_equal(request_put(task, &r, NULL), 0);
    set_age(task, REQUEST_DIR "/" ID2 ".json", 100);
    assert_int_equal(request_take(task, geteuid(), &got, NULL), 1);
    assert_string_equal(got.id, ID2);
    assert_int_equal(request_take(task, geteuid(), &got, NULL), 1);
    assert_string_equal(got.id, ID);
}

static void a_directory_that_is_a_trap(void **state)
{
    struct request r = make_request(ID);
    struct err e = {""};

    (void)state;
    assert_int_equal(mkdirat(task, "elsewhere", 0700), 0);
    assert_int_equal(symlinkat("elsewhere", task, REQUEST_DIR), 0);
    assert_int_equal(symlinkat("elsewhere", task, ANSWER_DIR), 0);
    assert_int_equal(request_put(task, &r, &e), -1);
    assert_false(there(task, "elsewhere/" ID ".json"));
    scratch_write(task, "elsewhere/" ID ".json", GOOD, 0, 0600);
    assert_int_equal(request_take(task, geteuid(), &r, &e), -1);
    assert_true(there(task, "elsewhere/" ID ".json"));
    assert_int_equal(unlinkat(task, REQUEST_DIR, 0), 0);
    assert_int_equal(mkdirat(task, REQUEST_DIR, 0700), 0);
    assert_int_equal(fchmodat(task, REQUEST_DIR, 0770, 0), 0); /* a group member could forge */
    scratch_write(task, REQUEST_DIR "/" ID ".json", GOOD, 0, 0600);
    assert_int_equal(request_take(task, geteuid(), &r, &e), -1);
    assert_int_equal(errno, EPERM);
}

static void malformed_ones_are_removed(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        GOOD GOOD,
        "{\"id\":\"" ID "\",\"verb\":\"create\"}",
        "{\"id\":\"" ID "\",\"verb\":\"remove\",\"time\":\"x\"}",
        "{\"id\":\"" ID "\",\"verb\":\"createcreatecreatecreate\",\"time\":\"x\"}",
        "{\"id\":\"" ID2 "\",\"verb\":\"create\",\"time\":\"x\"}",
        "{\"id\":\"" ID "\",\"verb\":\"create\",\"time\":\"\\u001b\"}",
        "{\"id\":\"" ID "\",\"verb\":\"create\",\"time\":1}",
        "{\"id\":\"" ID "\",\"verb\":\"create\",\"time\":\"x\",\"more\":1}",
        "{\"id\":\"" ID "\",\"id\":\"" ID "\",\"verb\":\"create\",\"time\":\"x\"}",
    };
    struct request r;
    char big[REQUEST_MAX_BYTES + 100];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write(requests, ID ".json", bad[i][0] ? bad[i] : "\n", 0, 0600);
        if (request_take(task, geteuid(), &r, NULL) != 0)
            fail_msg("taken: %s", bad[i]);
        if (there(requests, ID ".json"))
            fail_msg("still there: %s", bad[i]);
    }
    memset(big, ' ', sizeof big);
    memcpy(big, GOOD, sizeof GOOD - 1);
    scratch_write(requests, ID ".json", big, sizeof big, 0600);
    assert_int_equal(request_take(task, geteuid(), &r, NULL), 0);
    assert_false(there(requests, ID ".json"));
    scratch_write(requests, ID ".json", GOOD, 0, 0600);
    assert_int_equal(request_take(task, geteuid(), &r, NULL), 1);
}

static void things_that_are_no_files_are_removed(void **state)
{
    struct request r;

    (void)state;
    scratch_write(task, "real", GOOD, 0, 0600);
    assert_int_equal(symlinkat("../real", requests, ID ".json"), 0);
    assert_int_equal(mkfifoat(requests, "1111111111111111.json", 0600), 0);
    assert_int_equal(linkat(task, "real", requests, "2222222222222222.json", 0), 0);
    scratch_write(requests, "3333333333333333.json", GOOD, 0, 0620);
    scratch_write(requests, "notes.txt", GOOD, 0, 0600);
    assert_int_equal(mkdirat(requests, "4444444444444444.json", 0700), 0);
    assert_int_equal(request_take(task, geteuid(), &r, NULL), 0);
    assert_false(there(requests, ID ".json"));
    assert_false(there(requests, "1111111111111111.json"));
    assert_false(there(requests, "2222222222222222.json"));
    assert_false(there(requests, "3333333333333333.json"));
    assert_false(there(requests, "notes.txt"));
    assert_true(there(task, "real"));
    /* the directory stays, and is in nobody's way */
    scratch_write(requests, ID ".json", GOOD, 0, 0600);
    assert_int_equal(request_take(task, geteuid(), &r, NULL), 1);
}

static void of_another_user(void **state)
{
    struct request r;

    (void)state;
    scratch_write(requests, ID ".json", GOOD, 0, 0600);
    assert_int_equal(request_take(task, geteuid() + 1, &r, NULL), 0);
    assert_false(there(requests, ID ".json"));
    SCRATCH_NEED_ROOT();
    scratch_write(requests, ID ".json", GOOD, 0, 0600);
    assert_int_equal(fchownat(requests, ID ".json", SCRATCH_UID, (gid_t)-1, 0), 0);
    assert_int_equal(request_take(task, 0, &r, NULL), 0);
    assert_false(there(requests, ID ".json"));
}

static void one_being_written_is_left_alone(void **state)
{
    struct request r;

    (void)state;
    scratch_write(requests, "." ID ".json", GOOD, 0, 0600);
    scratch_write(requests, "." ID2 ".json", GOOD, 0, 0600);
    set_age(requests, "." ID2 ".json", 8 * 86400);
    assert_int_equal(request_take(task, geteuid(), &r, NULL), 0);
    assert_true(there(requests, "." ID ".json"));
    assert_false(there(requests, "." ID2 ".json"));
}

static struct answer make_answer(const char *state)
{
    struct answer a;

    memset(&a, 0, sizeof a);
    snprintf(a.id, sizeof a.id, ID);
    snprintf(a.verb, sizeof a.verb, "create");
    snprintf(a.state, sizeof a.state, "%s", state);
    snprintf(a.generation, sizeof a.generation, "gen-0001-000002");
    snprintf(a.text, sizeof a.text, "say \"no\" \\ more");
    a.pause_us = UINT32_MAX;
    a.total_ms = 5;
    a.raw_bytes = INT64_MAX;
    a.stored_bytes = 7;
    a.disabled = 3;
    return a;
}

static void answers_that_are_not_put(void **state)
{
    struct answer a = make_answer("over");
    struct err e = {""};

    (void)state;
    assert_int_equal(answer_put(task, &a, &e), -1);
    assert_int_equal(errno, EINVAL);
    a = make_answer("done");
    a.id[3] = '/';
    assert_int_equal(answer_put(task, &a, &e), -1);
    a = make_answer("done");
    snprintf(a.generation, sizeof a.generation, "gen-1");
    assert_int_equal(answer_put(task, &a, &e), -1);
    a = make_answer("done");
    a.verb[0] = 'x';
    assert_int_equal(answer_put(task, &a, &e), -1);
    a = make_answer("done");
    memset(a.text, 't', sizeof a.text);
    assert_int_equal(answer_put(task, &a, &e), -1);
    a = make_answer("done");
    a.raw_bytes = UINT64_MAX;
    assert_int_equal(answer_put(task, &a, &e), -1);
    assert_false(there(task, ANSWER_DIR));
}

static void answers(void **state)
{
    struct answer a = make_answer("running"), got;

    (void)state;
    assert_int_equal(answer_get(task, "../x", &got, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(answer_get(task, ID, &got, NULL), 0);
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, ID2, &got, NULL), 0);
    memset(&got, 0xee, sizeof got);
    assert_int_equal(answer_get(task, ID, &got, NULL), 1);
    assert_memory_equal(&a, &got, sizeof a);
    a = make_answer("failed");
    a.generation[0] = '\0';
    memset(a.generation, 0, sizeof a.generation);
    memset(a.text, 0, sizeof a.text);
    snprintf(a.text, sizeof a.text, "a\nb\033");
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, ID, &got, NULL), 1);
    assert_string_equal(got.state, "failed");
    assert_string_equal(got.text, "a?b?");
    assert_int_equal(answer_remove(task, ID2), -1);
    assert_int_equal(answer_remove(task, "../x"), -1);
    assert_int_equal(answer_remove(task, ID), 0);
    assert_int_equal(answer_get(task, ID, &got, NULL), 0);
}

static void damaged_answers(void **state)
{
    struct answer a = make_answer("done"), got;
    struct err e = {""};

    (void)state;
    assert_int_equal(answer_put(task, &a, NULL), 0);
    memset(&got, 0x5a, sizeof got);
    scratch_write(task, ANSWER_DIR "/" ID ".json", "{\"id\":\"" ID "\"}", 0, 0600);
    assert_int_equal(answer_get(task, ID, &got, &e), -1);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(got.id[0], 0x5a);
    assert_int_equal(unlinkat(task, ANSWER_DIR "/" ID ".json", 0), 0);
    assert_int_equal(symlinkat("x", task, ANSWER_DIR "/" ID ".json"), 0);
    assert_int_equal(answer_get(task, ID, &got, &e), -1);
    /* put replaces it without following it */
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, ID, &got, &e), 1);
    assert_false(there(task, ANSWER_DIR "/x"));
}

static void old_answers_are_removed(void **state)
{
    struct answer a = make_answer("done"), got;

    (void)state;
    assert_int_equal(answer_put(task, &a, NULL), 0);
    set_age(task, ANSWER_DIR "/" ID ".json", 8 * 86400);
    scratch_write(task, ANSWER_DIR "/notes.txt", "x", 0, 0600);
    set_age(task, ANSWER_DIR "/notes.txt", 8 * 86400);
    snprintf(a.id, sizeof a.id, ID2);
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, ID, &got, NULL), 0);
    assert_int_equal(answer_get(task, ID2, &got, NULL), 1);
    assert_true(there(task, ANSWER_DIR "/notes.txt"));
}

static void forgotten_by_verb(void **state)
{
    struct answer a = make_answer("done"), got;

    (void)state;
    answer_forget(task, "disable"); /* no directory yet */
    assert_int_equal(answer_put(task, &a, NULL), 0);
    snprintf(a.id, sizeof a.id, ID2);
    memset(a.verb, 0, sizeof a.verb);
    snprintf(a.verb, sizeof a.verb, "disable");
    assert_int_equal(answer_put(task, &a, NULL), 0);
    scratch_write(task, ANSWER_DIR "/notes.txt", "x", 0, 0600);
    answer_forget(task, "disable");
    assert_int_equal(answer_get(task, ID, &got, NULL), 1);
    assert_int_equal(answer_get(task, ID2, &got, NULL), 0);
    assert_true(there(task, ANSWER_DIR "/notes.txt"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define REQUESTS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_requests, teardown)

#define FINDING(more)                                                                              \
    "{\"process\":7,\"program\":\"p\",\"where\":\"\",\"kind\":\"gpu\",\"what\":\"w\",\"remedy\":"  \
    "\"r\"," more "}"

static void findings(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[1]",
                                      "[{}]",
                                      "[" FINDING("\"passing\":1") "]",
                                      "[" FINDING("\"passing\":true,\"more\":1") "]",
                                      "[" FINDING("\"passing\":true") ",2]"};
    struct answer a = make_answer("done"), got;

    (void)state;
    snprintf(a.verb, sizeof a.verb, "able");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        a.findings = (char *)(uintptr_t)bad[i];
        assert_int_equal(answer_put(task, &a, NULL), -1);
    }
    a.findings = (char *)(uintptr_t) "[" FINDING("\"passing\":false") "]";
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, a.id, &got, NULL), 1);
    assert_string_equal(got.findings, a.findings);
    free(got.findings);
    a.findings = (char *)(uintptr_t) "[]";
    assert_int_equal(answer_put(task, &a, NULL), 0);
    assert_int_equal(answer_get(task, a.id, &got, NULL), 1);
    assert_string_equal(got.findings, "[]");
    free(got.findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_that_are_not_put),
        TEST(put_and_take),
        TEST(oldest_first),
        TEST(a_directory_that_is_a_trap),
        REQUESTS_TEST(malformed_ones_are_removed),
        REQUESTS_TEST(things_that_are_no_files_are_removed),
        REQUESTS_TEST(of_another_user),
        REQUESTS_TEST(one_being_written_is_left_alone),
        TEST(answers_that_are_not_put),
        TEST(answers),
        TEST(findings),
        TEST(damaged_answers),
        TEST(old_answers_are_removed),
        TEST(forgotten_by_verb),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
