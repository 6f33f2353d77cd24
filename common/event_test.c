/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/event.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static char dir[256];
static int task = -1;

static int setup(void **state)
{
    (void)state;
    umask(022);
    scratch_make(dir);
    task = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return task < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    io_close(&task);
    scratch_remove(dir);
    return 0;
}

static struct event make(uint32_t epoch)
{
    struct event e;

    memset(&e, 0, sizeof e);
    snprintf(e.time, sizeof e.time, "2026-01-31T23:59:59Z");
    snprintf(e.node, sizeof e.node, "n1");
    snprintf(e.event, sizeof e.event, "checkpoint-failed");
    snprintf(e.generation, sizeof e.generation, "gen-0001-000002");
    snprintf(e.text, sizeof e.text, "a \"quoted\" word");
    e.epoch = epoch;
    e.pause_us = 1;
    e.total_ms = 2;
    e.stored_bytes = UINT64_C(1) << 40;
    return e;
}

struct seen {
    int n, stop_after;
    struct event first, last;
};

static int note(const struct event *e, void *arg)
{
    struct seen *s = arg;

    if (s->n == 0)
        s->first = *e;
    s->last = *e;
    return ++s->n == s->stop_after;
}

static void bad_fields(void **state)
{
    struct event e = make(0);
    struct err err = {""};

    (void)state;
    snprintf(e.event, sizeof e.event, "party");
    assert_int_equal(event_add(task, &e, &err), -1);
    assert_int_equal(errno, EINVAL);
    e = make(0);
    snprintf(e.generation, sizeof e.generation, "gen-0001-000002.partial");
    assert_int_equal(event_add(task, &e, &err), -1);
    e = make(0);
    memset(e.text, 't', sizeof e.text);
    assert_int_equal(event_add(task, &e, &err), -1);
    e = make(0);
    memset(e.node, 'n', sizeof e.node);
    assert_int_equal(event_add(task, &e, &err), -1);
    e = make(0);
    assert_int_equal(event_add(-1, &e, &err), -1);
    assert_true(strlen(err.text) > 0);
}

static void no_history_yet(void **state)
{
    struct seen s = {.n = 0};

    (void)state;
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 0);
}

static void written_and_read(void **state)
{
    struct seen s = {.n = 0};
    struct event e = make(0), f = make(1);
    struct stat st;

    (void)state;
    assert_int_equal(event_add(task, &e, NULL), 0);
    memset(f.time, 0, sizeof f.time);
    memset(f.generation, 0, sizeof f.generation);
    snprintf(f.text, sizeof f.text, "line\nbreak\033");
    assert_int_equal(event_add(task, &f, NULL), 0);
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 2);
    assert_memory_equal(&s.first, &e, sizeof e);
    assert_int_equal(s.last.epoch, 1);
    assert_int_equal(strlen(s.last.time), 20);
    assert_string_equal(s.last.text, "line?break?");
    assert_int_equal(fstatat(task, EVENTS_FILE, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    s = (struct seen){.stop_after = 1};
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 1);
}

static void longest_text_fits(void **state)
{
    struct seen s = {.n = 0};
    struct event e = make(0);

    (void)state;
    memset(e.text, '"', sizeof e.text - 1);
    assert_int_equal(event_add(task, &e, NULL), 0);
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.first.text, e.text);
}

static void malformed_lines_are_skipped(void **state)
{
    struct seen s = {.n = 0};
    struct event e = make(5);

    (void)state;
    scratch_write(task, EVENTS_FILE,
                  "\n{}\nx\n[[[[[[[[[[[[\n{\"event\":\"ended\"}\n{\"time\":\"\\u001b\"}\n{\"cut", 0,
                  0600);
    /* a line of its own, though the last one was cut short */
    assert_int_equal(event_add(task, &e, NULL), 0);
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.first.epoch, 5);
}

static void a_full_file_is_put_aside(void **state)
{
    struct seen s = {.n = 0};
    struct event e = make(1);
    char *big = malloc(EVENTS_MAX_BYTES);
    struct stat st;

    (void)state;
    assert_non_null(big);
    assert_int_equal(event_add(task, &e, NULL), 0);
    memset(big, '\n', EVENTS_MAX_BYTES);
    {
        int fd = openat(task, EVENTS_FILE, O_WRONLY | O_APPEND | O_CLOEXEC);

        assert_int_equal(io_write_full(fd, big, EVENTS_MAX_BYTES - 1000), 0);
        assert_int_equal(io_write_full(fd, big, 1000), 0);
        io_close(&fd);
    }
    free(big);
    e = make(2);
    assert_int_equal(event_add(task, &e, NULL), 0);
    assert_int_equal(fstatat(task, EVENTS_FILE, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(st.st_size < 1000);
    /* both files, the old one first */
    assert_int_equal(event_each(task, note, &s, NULL), 0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.first.epoch, 1);
    assert_int_equal(s.last.epoch, 2);
}

static void traps(void **state)
{
    struct seen s = {.n = 0};
    struct event e = make(0);
    struct err err = {""};
    struct stat st;

    (void)state;
    scratch_write(task, "elsewhere", "x", 0, 0600);
    assert_int_equal(symlinkat("elsewhere", task, EVENTS_FILE), 0);
    assert_int_equal(event_add(task, &e, &err), -1);
    assert_int_equal(event_each(task, note, &s, &err), -1);
    assert_int_equal(fstatat(task, "elsewhere", &st, 0), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(unlinkat(task, EVENTS_FILE, 0), 0);
    assert_int_equal(mkfifoat(task, EVENTS_FILE, 0600), 0);
    assert_int_equal(event_add(task, &e, &err), -1);
    assert_int_equal(event_each(task, note, &s, &err), -1);
    assert_int_equal(unlinkat(task, EVENTS_FILE, 0), 0);
    /* larger than we ever write it */
    scratch_write(task, EVENTS_FILE, "x", 0, 0600);
    {
        int fd = openat(task, EVENTS_FILE, O_WRONLY | O_CLOEXEC);

        assert_int_equal(ftruncate(fd, 1 << 30), 0);
        io_close(&fd);
    }
    assert_int_equal(event_each(task, note, &s, &err), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(s.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_fields),
        TEST(no_history_yet),
        TEST(written_and_read),
        TEST(longest_text_fits),
        TEST(malformed_lines_are_skipped),
        TEST(a_full_file_is_put_aside),
        TEST(traps),
    };

    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
