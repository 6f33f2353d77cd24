/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/fetch.h"

#include "common/io.h"
#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define SIZE (3u * 1024 * 1024 + 1234) /* it ends within a block */

struct env {
    char dir[256];
    int fd, direct;
    uint8_t *data;
};

/* Where $TMPDIR is: it may be a filesystem that takes no O_DIRECT. */
static int set_up(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    int dirfd;

    assert_non_null(e);
    scratch_make(e->dir);
    dirfd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dirfd >= 0);
    e->fd = openat(dirfd, "pages", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(e->fd >= 0);
    close(dirfd);
    e->data = malloc(SIZE);
    assert_non_null(e->data);
    for (size_t i = 0; i < SIZE; i++)
        e->data[i] = (uint8_t)(i * 7 + (i >> 9));
    assert_int_equal(io_write_full(e->fd, e->data, SIZE), 0);
    e->direct = fetch_open_direct(e->fd);
    if (e->direct < 0)
        print_message("# the filesystem of %s takes no O_DIRECT: read through the cache\n", e->dir);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    struct env *e = *state;

    io_close(&e->fd);
    io_close(&e->direct);
    scratch_remove(e->dir);
    free(e->data);
    free(e);
    return 0;
}

static void drop(const struct env *e)
{
    assert_int_equal(fsync(e->fd), 0);
    assert_int_equal(posix_fadvise(e->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void same(const struct env *e, int direct, size_t len, uint64_t at)
{
    uint8_t *room = fetch_room(len), *got;

    assert_non_null(room);
    assert_int_equal((uintptr_t)room % FETCH_ALIGN, 0);
    got = fetch_read(e->fd, direct, room, len, at);
    assert_non_null(got);
    assert_memory_equal(got, e->data + at, len);
    fetch_room_free(room, len);
}

static void test_bad(void **state)
{
    struct env *e = *state;
    uint8_t *room = fetch_room(100);
    int ends[2];

    assert_int_equal(fetch_open_direct(-1), -1);
    assert_int_equal(errno, EBADF);
    /* A reader of a FIFO would wait for a writer. */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fetch_open_direct(ends[0]), -1);
    assert_int_equal(errno, EINVAL);
    close(ends[0]);
    close(ends[1]);
    assert_non_null(room);
    assert_null(fetch_read(-1, -1, room, 100, 0));
    assert_int_equal(errno, EBADF);
    /* Beyond its end. */
    for (int warm = 0; warm < 2; warm++) {
        if (!warm)
            drop(e);
        assert_null(fetch_read(e->fd, warm ? -1 : e->direct, room, 100, SIZE - 99));
        assert_int_equal(errno, EIO);
        assert_null(fetch_read(e->fd, e->direct, room, 100, 2ull * SIZE));
        assert_int_equal(errno, EIO);
    }
    fetch_room_free(room, 100);
    fetch_room_free(NULL, 100);
}

static void test_places(void **state)
{
    const struct env *e = *state;
    static const struct {
        size_t len;
        uint64_t at;
    } places[] = {{1, 0},           {4096, 0},     {1 << 20, 0},    {1 << 20, 1 << 20},
                  {4095, 1},        {4097, 4095},  {100000, 4097},  {SIZE, 0},
                  {SIZE - 77, 77},  {1, SIZE - 1}, {1234, 3 << 20}, {1235, (3 << 20) - 1},
                  {1 << 20, 777777}};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        drop(e);
        same(e, e->direct, places[i].len, places[i].at);
        drop(e);
        same(e, -1, places[i].len, places[i].at);
        same(e, e->direct, places[i].len, places[i].at); /* now it is in the cache */
    }
}

/* What was written by another and is not on the disk yet is read as it is. */
static void test_dirty(void **state)
{
    const struct env *e = *state;

    drop(e);
    memset(e->data + 8192, 0xa5, 5000);
    assert_int_equal(pwrite(e->fd, e->data + 8192, 5000, 8192), 5000);
    same(e, e->direct, 1 << 20, 0);
}

static size_t cached(const struct env *e)
{
    unsigned char vec[SIZE / 4096 + 1];
    size_t n = 0;
    void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, e->fd, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, SIZE, vec), 0);
    munmap(map, SIZE);
    for (size_t i = 0; i < sizeof vec; i++)
        n += vec[i] & 1;
    return n;
}

static void test_past_cache(void **state)
{
    const struct env *e = *state;

    drop(e);
    if (e->direct < 0 || cached(e) > 0)
        skip(); /* a filesystem in memory, or without O_DIRECT: set_up has said so */
    same(e, e->direct, 2 << 20, 0);
    assert_int_equal(cached(e), 0);
    same(e, -1, 2 << 20, 0);
    assert_true(cached(e) >= 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dirty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_past_cache, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
