/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/plain.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define MIB (1u << 20)

struct env {
    char dir[256];
    struct plain p;
    uint8_t *buf; /* 4 MiB that are not zero */
};

static int set_up(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    char path[4096];

    assert_non_null(e);
    scratch_make(e->dir);
    snprintf(path, sizeof path, "%s/pages", e->dir);
    e->p.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(e->p.fd >= 0);
    /* -1 where the filesystem cannot: then it is the other way that is tested. */
    e->p.direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    e->buf = plain_buffer(4 * MIB);
    assert_non_null(e->buf);
    for (size_t i = 0; i < 4 * MIB; i++)
        e->buf[i] = (uint8_t)(1 + i % 251);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    struct env *e = *state;

    close(e->p.fd);
    io_close(&e->p.direct);
    plain_free(&e->p);
    free(e->buf);
    scratch_remove(e->dir);
    free(e);
    return 0;
}

static void is_there(const struct env *e, uint64_t at, const uint8_t *data, size_t len)
{
    uint8_t *got = malloc(len);

    assert_non_null(got);
    assert_int_equal(io_pread_full(e->p.fd, got, len, (off_t)at), 0);
    assert_memory_equal(got, data, len);
    free(got);
}

static struct stat status(const struct env *e)
{
    struct stat st;

    assert_int_equal(fsync(e->p.fd), 0);
    assert_int_equal(fstat(e->p.fd, &st), 0);
    return st;
}

static void failures_are_told(void **state)
{
    const struct env *e = *state;
    struct plain bad = {.fd = -1, .direct = -1};

    assert_int_equal(plain_write(&bad, e->buf, 4096, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(plain_end(&bad, 0), -1);
    bad.direct = e->p.fd; /* a direct write that works does not need the other one */
    assert_int_equal(plain_write(&bad, e->buf, 4096, 0), 0);
    assert_int_equal(plain_write(&bad, e->buf + 1, 4096, 0), -1);
    plain_allocate(&bad, 0);
    assert_false(bad.allocated);
}

static void zeros_are_seen(void **state)
{
    uint8_t data[200] = {0};

    (void)state;
    assert_true(plain_is_zero(data, 0));
    for (size_t len = 1; len <= sizeof data; len++) {
        assert_true(plain_is_zero(data, len));
        for (size_t i = 0; i < len; i++) {
            data[i] = 0x80;
            assert_false(plain_is_zero(data, len));
            data[i] = 0;
        }
    }
}

static void any_place_and_length(void **state)
{
    static const size_t at[] = {0, 4096, 8193, 3 * MIB, 7 * MIB + 5};
    static const size_t len[] = {4096, 4097, 1, 4 * MIB, 3};
    struct env *e = *state;

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        assert_int_equal(plain_write(&e->p, e->buf, len[i], at[i]), 0);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        is_there(e, at[i], e->buf, len[i]);
    assert_int_equal(plain_end(&e->p, 7 * MIB + 8), 0);
    assert_int_equal(status(e).st_size, 7 * MIB + 8);
}

/* Half of a frame is zero, the next two are: with and without reserved room it takes no more blocks than it must. */
static void zeros_take_no_room(void **state)
{
    struct env *e = *state;
    uint8_t *zeros = calloc(4, MIB);

    assert_non_null(zeros);
    memset(e->buf + MIB, 0, 2 * MIB);
    for (int reserved = 0; reserved < 2; reserved++) {
        if (reserved) {
            assert_int_equal(ftruncate(e->p.fd, 0), 0);
            plain_allocate(&e->p, 20 * MIB);
        }
        assert_int_equal(plain_write(&e->p, e->buf, 4 * MIB, 0), 0);
        for (uint64_t i = 1; i < 3; i++) {
            assert_int_equal(plain_write(&e->p, zeros, 4 * MIB, i * 4 * MIB), 1);
            assert_int_equal(plain_hole(&e->p, i * 4 * MIB, 4 * MIB), 0);
        }
        assert_int_equal(plain_end(&e->p, 12 * MIB), 0);
        assert_int_equal(status(e).st_size, 12 * MIB);
        is_there(e, 0, e->buf, 4 * MIB);
        is_there(e, 4 * MIB, zeros, 4 * MIB);
        is_there(e, 8 * MIB, zeros, 4 * MIB);
        /* what is reserved inside a frame stays */
        assert_true(status(e).st_blocks * 512 <= 4 * MIB + 65536);
    }
    free(zeros);
}

/* A disk that was slow once is written to through the cache from then on. */
static void a_slow_disk_is_left_alone(void **state)
{
    struct env *e = *state;

    e->p.slow = true;
    assert_false(plain_past_cache(&e->p));
    io_close(&e->p.direct); /* it would fail */
    e->p.direct = 999;
    assert_int_equal(plain_write(&e->p, e->buf, 4 * MIB, 0), 0);
    is_there(e, 0, e->buf, 4 * MIB);
    e->p.direct = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failures_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zeros_are_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_place_and_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zeros_take_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_disk_is_left_alone, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("dump/plain", tests, NULL, NULL);
}
