/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"

#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static int memory(const char *text, size_t len)
{
    int fd = memfd_create("io-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(io_write_full(fd, text, len), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void bad_descriptor(void **state)
{
    struct err e = {""};
    char c;
    size_t len;

    (void)state;
    assert_int_equal(io_read_full(-1, &c, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(io_write_full(-1, "x", 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(io_pread_full(-1, &c, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_null(io_slurp(-1, 10, &len, &e));
    assert_int_equal(errno, EBADF);
    assert_true(strlen(e.text) > 0);
}

static void early_end_is_an_error(void **state)
{
    int fd = memory("abc", 3);
    char buf[4];

    (void)state;
    assert_int_equal(io_read_full(fd, buf, 4), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(io_pread_full(fd, buf, 2, 2), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(io_pread_full(fd, buf, 2, 1), 0);
    assert_memory_equal(buf, "bc", 2);
    io_close(&fd);
}

static void pieces_are_joined(void **state)
{
    int p[2];
    char buf[6];

    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(io_write_full(p[1], "abc", 3), 0);
    if (fork() == 0) {
        usleep(50000);
        _exit(io_write_full(p[1], "def", 3) ? 1 : 0);
    }
    assert_int_equal(io_read_full(p[0], buf, 6), 0);
    assert_memory_equal(buf, "abcdef", 6);
    io_close(&p[0]);
    io_close(&p[1]);
}

static void slurp_limits(void **state)
{
    char big[10000], *text;
    size_t len = 77;
    int fd;

    (void)state;
    memset(big, 'x', sizeof big);
    fd = memory(big, sizeof big);
    assert_null(io_slurp(fd, sizeof big - 1, &len, NULL));
    assert_int_equal(errno, EFBIG);
    assert_int_equal(len, 77);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    text = io_slurp(fd, sizeof big, &len, NULL);
    assert_non_null(text);
    assert_int_equal(len, sizeof big);
    assert_int_equal(text[len], '\0');
    assert_memory_equal(text, big, sizeof big);
    free(text);
    io_close(&fd);
}

static void slurp_small_limits(void **state)
{
    size_t len;
    int fd = memory("ab", 2);
    char *text;

    (void)state;
    assert_null(io_slurp(fd, 1, &len, NULL));
    assert_int_equal(errno, EFBIG);
    text = io_slurp(fd, 0, &len, NULL); /* at the end already: empty */
    assert_non_null(text);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(text);
    io_close(&fd);
}

static void close_keeps_errno(void **state)
{
    int fd = memory("", 0), old = fd;

    (void)state;
    errno = ENOSPC;
    io_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fcntl(old, F_GETFD), -1);
    errno = ENOSPC;
    io_close(&fd);
    assert_int_equal(errno, ENOSPC);
}

static void the_beginning_of_a_file(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(io_read_start("/no/such/file", text, sizeof text), -1);
    assert_int_equal(io_read_start("/dev/null", text, sizeof text), -1);
    assert_int_equal(io_read_start("/proc/self/status", text, sizeof text), 7);
    assert_memory_equal(text, "Name:\t", 6); /* and a letter of the name that we run by */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_descriptor),
        cmocka_unit_test(early_end_is_an_error),
        cmocka_unit_test(the_beginning_of_a_file),
        cmocka_unit_test(pieces_are_joined),
        cmocka_unit_test(slurp_limits),
        cmocka_unit_test(slurp_small_limits),
        cmocka_unit_test(close_keeps_errno),
    };

    return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
