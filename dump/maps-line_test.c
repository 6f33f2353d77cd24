/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/maps-line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#define HEAD "7f10000000-7f10002000 rw-s 00001000 fe:0a 1234                       "

static bool parse(const char *text, struct maps_line *l)
{
    memset(l, 0, sizeof *l);
    return maps_parse_line(text, strlen(text), l);
}

static void test_no_mapping(void **state)
{
    static const char *const bad[] = {"",
                                      "\n",
                                      "Rss:                   8 kB\n",
                                      "VmFlags: rd wr sh mr mw me ms sd\n",
                                      "7f10000000\n",
                                      "7f10002000-7f10000000 rw-s 00000000 00:01 1 /x\n",
                                      "7f10000000-7f10002000 rw-s 0 00:01\n",
                                      "7f10000000-7f10002000 rw 00000000 00:01 1 /x\n"};
    struct maps_line l;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parse(bad[i], &l));
}

static void test_fields(void **state)
{
    struct maps_line l;

    (void)state;
    assert_true(parse(HEAD "/dev/shm/sem.x (deleted)\nRss: 4 kB\n", &l));
    assert_int_equal(l.start, 0x7f10000000);
    assert_int_equal(l.end, 0x7f10002000);
    assert_int_equal(l.pgoff, 0x1000);
    assert_int_equal(l.ino, 1234);
    assert_true(l.dev == makedev(0xfe, 0x0a));
    assert_true(l.shared);
    assert_true(l.deleted);
    assert_int_equal(l.path_len, strlen("/dev/shm/sem.x (deleted)"));
    assert_memory_equal(l.path, "/dev/shm/sem.x (deleted)", l.path_len);
}

static void test_not_deleted(void **state)
{
    struct maps_line l;

    (void)state;
    assert_true(parse("7f10000000-7f10002000 r--p 00000000 fe:00 7 /lib/x (deleted) y\n", &l));
    assert_false(l.shared);
    assert_false(l.deleted);
    assert_true(parse("7f10000000-7f10002000 rw-p 00000000 00:00 0 \n", &l));
    assert_int_equal(l.path_len, 0);
    assert_false(l.deleted);
    assert_true(parse("7f10000000-7f10002000 rw-p 00000000 00:00 0 [heap] (deleted)\n", &l));
    assert_false(l.deleted);
}

static void test_len_is_the_limit(void **state)
{
    static const char text[] = HEAD "/a (deleted)";
    struct maps_line l;

    (void)state;
    memset(&l, 0, sizeof l);
    assert_true(maps_parse_line(text, sizeof text - 1 - strlen(" (deleted)"), &l));
    assert_false(l.deleted);
    assert_int_equal(l.path_len, 2);
    assert_true(maps_parse_line(text, sizeof text - 1, &l));
    assert_true(l.deleted);
}

static void test_long_path(void **state)
{
    static char text[9000];
    struct maps_line l;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, HEAD "/", sizeof HEAD);
    memcpy(text + sizeof text - 11, " (deleted)", 10);
    assert_true(parse(text, &l));
    assert_true(l.deleted);
    assert_int_equal(l.path_len, sizeof text - sizeof HEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_mapping),  cmocka_unit_test(test_fields),
        cmocka_unit_test(test_not_deleted), cmocka_unit_test(test_len_is_the_limit),
        cmocka_unit_test(test_long_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
