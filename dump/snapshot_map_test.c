/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct snapshot_map *map)
{
    char *copy = strdup(text);
    int rc;

    assert_non_null(copy);
    rc = snapshot_map_parse(copy, map);
    free(copy);
    return rc;
}

static void what_is_no_smaps(void **state)
{
    static const char *const bad[] = {
        "nonsense\n",
        "VmFlags: rd wr\n",
        "1000-2000 rw-p 00000000 00:00 0\n", /* without its flags */
        "1000-2000 rw-p 00000000 00:00 0\n2000-3000 rw-p 00000000 00:00 0\nVmFlags: rd\n",
        "2000-1000 rw-p 00000000 00:00 0\nVmFlags: rd\n",
        "1000 2000 rw-p 00000000 00:00 0\nVmFlags: rd\n",
        "1000-2000 rw 00000000 00:00 0\nVmFlags: rd\n",
        "fffffffffffffffff-2000 rw-p 00000000 00:00 0\nVmFlags: rd\n",
        /* not sorted */
        ("200000-300000 rw-p 00000000 00:00 0\nVmFlags: rd\n"
         "100000-200000 rw-p 00000000 00:00 0\nVmFlags: rd\n"),
    };
    struct snapshot_map map;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        errno = 0;
        if (parse(bad[i], &map) != -1 || errno != EBADMSG)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(parse("", &map), 0);
    assert_int_equal(map.n, 0);
    snapshot_map_free(&map);
}

/* One area of 16 MiB with 8 KiB in memory and 4 KiB swapped. */
static void one(const char *perms, const char *tail, const char *flags, struct snapshot_map *map)
{
    char text[512];

    snprintf(
        text, sizeof text,
        "10000000-11000000 %s 00000000 %s\nSize: 16384 kB\nRss: 8 kB\nAnonymous:         8 kB\n"
        "AnonHugePages:         2048 kB\nSwap:                  4 kB\nSwapPss: 4 kB\n"
        "VmFlags: %s \n",
        perms, tail, flags);
    assert_int_equal(parse(text, map), 0);
}

static void which_areas(void **state)
{
    static const struct {
        const char *perms, *tail, *flags;
        int taken;
    } table[] = {
        {"rw-p", "00:00 0 ", "rd wr mr mw me ac", 1},
        {"rw-p", "00:00 0                          [heap]", "rd wr mr mw me ac sd", 1},
        {"rw-p", "00:00 0                          [stack]", "rd wr mr mw me gd ac", 1},
        {"rw-p", "00:00 0                          [anon:arena]", "rd wr mr mw me ac", 1},
        {"---p", "00:00 0 ", "mr mw me nr", 1},
        {"rw-p", "00:00 0 ", "rd wr mr mw me ac lo hg", 1},
        {"rw-s", "00:01 77                         /dev/zero (deleted)", "rd wr sh mr mw me ms", 0},
        {"rw-p", "08:01 77                         /data", "rd wr mr mw me ac", 0},
        {"rw-p", "00:00 0                          [vvar]", "rd mr mw", 0},
        {"rw-p", "00:00 0                          /[aio] (deleted)", "rd wr", 0},
        {"rw-p", "00:00 0 ", "rd wr mr mw me dc ac", 0}, /* MADV_DONTFORK */
        {"rw-p", "00:00 0 ", "rd wr mr mw me wf ac", 0}, /* MADV_WIPEONFORK */
        {"rw-p", "00:00 0 ", "rd wr mr mw me ht de", 0}, /* hugetlb */
        {"rw-p", "00:00 0 ", "rd wr mr mw me dp", 0},    /* MAP_DROPPABLE */
        {"rw-p", "00:00 0 ", "rd wr mr mw me ss", 0},    /* shadow stack */
        {"rw-p", "00:00 0 ", "rd wr mr mw me mt", 0},    /* memory tagging */
        {"rw-p", "00:00 0 ", "rd wr io pf", 0},          /* a device */
        {"rw-p", "00:00 0 ", "rd wr ??", 0},             /* not known yet */
        {"rw-p", "00:00 0 ", "rd wr new", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct snapshot_map map;

        one(table[i].perms, table[i].tail, table[i].flags, &map);
        if (map.n != (size_t)table[i].taken)
            fail_msg("%s %s %s: %zu", table[i].perms, table[i].tail, table[i].flags, map.n);
        assert_int_equal(map.bytes, table[i].taken ? 12288 : 0);
        assert_int_equal(map.rest, !table[i].taken && table[i].perms[3] == 'p' ? 12288 : 0);
        assert_null(map.refuse);
        snapshot_map_free(&map);
    }
}

static void userfaultfd_refuses_the_process(void **state)
{
    static const char *const flags[] = {"rd wr um", "rd uw wr", "ui rd"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct snapshot_map map;

        one("rw-p", "00:00 0 ", flags[i], &map);
        assert_non_null(map.refuse);
        assert_int_equal(map.n, 0);
        snapshot_map_free(&map);
    }
}

static void neighbours_become_one(void **state)
{
    struct snapshot_map map;

    (void)state;
    assert_int_equal(parse("100000-200000 rw-p 00000000 00:00 0\nVmFlags: rd wr\n"
                           "200000-300000 r--p 00000000 00:00 0\nVmFlags: rd\n"
                           "300000-301000 rw-p 00000000 00:00 0\nVmFlags: rd\n" /* too small */
                           "400000-500000 rw-p 00000000 00:00 0\nVmFlags: rd wr\n"
                           "7ffe0000-7ffe2000 r-xp 00000000 00:00 0   [vdso]\nVmFlags: rd ex\n"
                           "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n"
                           "VmFlags: ex\n",
                           &map),
                     0);
    assert_int_equal(map.n, 2);
    assert_int_equal(map.areas[0].start, 0x100000);
    assert_int_equal(map.areas[0].end, 0x300000);
    assert_int_equal(map.areas[1].start, 0x400000);
    assert_int_equal(map.vdso_start, 0x7ffe0000);
    assert_int_equal(map.vdso_end, 0x7ffe2000);
    snapshot_map_free(&map);
}

static void our_own(void **state)
{
    struct snapshot_map map;
    size_t len, room = 8u << 20;
    char *text = malloc(room), *block = malloc(4u << 20);
    uintptr_t at = (uintptr_t)block;
    FILE *f;
    int found = 0;

    (void)state;
    assert_non_null(text);
    assert_non_null(block);
    memset(block, 1, 4u << 20);
    f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    len = fread(text, 1, room - 1, f);
    fclose(f);
    text[len] = '\0';
    assert_int_equal(snapshot_map_parse(text, &map), 0);
    for (size_t i = 0; i < map.n; i++)
        found |= map.areas[i].start <= at && at + (4u << 20) <= map.areas[i].end;
    assert_true(found);
    assert_true(map.bytes >= 4u << 20);
    assert_true(map.vdso_end > map.vdso_start);
    snapshot_map_free(&map);
    free(block);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_smaps),
        cmocka_unit_test(which_areas),
        cmocka_unit_test(userfaultfd_refuses_the_process),
        cmocka_unit_test(neighbours_become_one),
        cmocka_unit_test(our_own),
    };

    return cmocka_run_group_tests_name("snapshot_map", tests, NULL, NULL);
}
