/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verify_pages.h"

#include "common/io.h"
#include "common/seal.h"

#include <errno.h>
#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define FRAMES 40
#define RAW 1000

static struct checkpoint c;
static uint64_t ticks, told;

static void tick(uint64_t done, void *arg)
{
    (void)arg;
    assert_true(done >= told);
    told = done;
    ticks++;
}

/* Frames of two images in turn; `cheat` has a frame unfold to another size than the index says. */
static void make(enum facts_compress compress, int cheat)
{
    char text[FRAMES * 100], raw[RAW], stored[2 * RAW + 1000], hex[65];
    size_t used = 0;

    c.pages.fd[0] = memfd_create("pages", MFD_CLOEXEC);
    assert_true(c.pages.fd[0] >= 0);
    snprintf(c.m.compress, sizeof c.m.compress, "%s", facts_compress_name(compress));
    for (int i = 0; i < FRAMES; i++) {
        const size_t len = i == cheat ? RAW - 1 : RAW;
        size_t n = RAW;

        memset(raw, 'a' + i % 26, sizeof raw);
        memcpy(stored, raw, RAW);
        if (compress == COMPRESS_ZSTD)
            n = ZSTD_compress(stored, sizeof stored, raw, len, 1);
        else if (compress == COMPRESS_LZ4)
            n = LZ4F_compressFrame(stored, sizeof stored, raw, len, NULL);
        assert_false(ZSTD_isError(n) || LZ4F_isError(n));
        assert_int_equal(io_write_full(c.pages.fd[0], stored, n), 0);
        seal_digest(stored, n, hex);
        used += (size_t)snprintf(text + used, sizeof text - used, "pages-%d.img %d %zu %s\n",
                                 1 + i % 2, RAW, n, hex);
    }
    assert_int_equal(index_load(text, used, compress != COMPRESS_NONE, &c.ix, NULL), 0);
}

static int verify(char text[512])
{
    struct err err = {""};
    int rc;

    ticks = told = 0;
    rc = verify_pages(&c, tick, NULL, &err);
    snprintf(text, 512, "%s", err.text);
    return rc < 0 ? errno : 0;
}

static int tear_down(void **state)
{
    (void)state;
    io_close(&c.pages.fd[0]);
    index_free(&c.ix);
    return 0;
}

static void each_flipped_bit_is_found(void **state)
{
    char text[512], byte, flipped;

    (void)state;
    make(COMPRESS_ZSTD, -1);
    for (off_t at = 0; at < (off_t)c.ix.stored; at++) {
        assert_int_equal(pread(c.pages.fd[0], &byte, 1, at), 1);
        flipped = (char)(byte ^ (1 << (at % 8)));
        assert_int_equal(pwrite(c.pages.fd[0], &flipped, 1, at), 1);
        assert_int_equal(verify(text), EBADMSG);
        assert_non_null(strstr(text, "pages.zst: damaged"));
        assert_int_equal(pwrite(c.pages.fd[0], &byte, 1, at), 1);
        if (at % 16 == 0)
            assert_int_equal(verify(text), 0);
    }
}

static void what_is_cut_off_is_found(void **state)
{
    char text[512];

    (void)state;
    make(COMPRESS_NONE, -1);
    assert_int_equal(ftruncate(c.pages.fd[0], FRAMES * RAW - 1), 0);
    assert_int_equal(verify(text), EIO);
    assert_non_null(strstr(text, "pages.zst"));
}

static void another_size_is_found(void **state)
{
    char text[512];

    (void)state;
    make(*(enum facts_compress *)*state, FRAMES - 1);
    assert_int_equal(verify(text), EBADMSG);
}

static void good_ones(void **state)
{
    char text[512];

    (void)state;
    make(*(enum facts_compress *)*state, -1);
    assert_int_equal(verify(text), 0);
    assert_true(ticks > 0);
}

static void nothing_at_all(void **state)
{
    char text[512];

    (void)state;
    c.pages.fd[0] = memfd_create("pages", MFD_CLOEXEC);
    assert_int_equal(index_load("", 0, 1, &c.ix, NULL), 0);
    assert_int_equal(verify(text), 0);
}

int main(void)
{
    static enum facts_compress none = COMPRESS_NONE, zstd = COMPRESS_ZSTD, lz4 = COMPRESS_LZ4;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_flipped_bit_is_found, tear_down),
        cmocka_unit_test_teardown(what_is_cut_off_is_found, tear_down),
        {"another_size_is_found_zstd", another_size_is_found, NULL, tear_down, &zstd},
        {"another_size_is_found_lz4", another_size_is_found, NULL, tear_down, &lz4},
        {"good_zstd", good_ones, NULL, tear_down, &zstd},
        {"good_lz4", good_ones, NULL, tear_down, &lz4},
        {"good_plain", good_ones, NULL, tear_down, &none},
        cmocka_unit_test_teardown(nothing_at_all, tear_down),
    };

    return cmocka_run_group_tests_name("cmd/verify_pages", tests, NULL, NULL);
}
