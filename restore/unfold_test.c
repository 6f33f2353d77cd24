/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/unfold.h"

#include "common/manifest.h"

#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define RAW 100000u
#define GUARD 64u

struct env {
    enum facts_compress compress;
    uint8_t raw[RAW], stored[2 * RAW], out[RAW + GUARD];
    size_t len;
    struct unfold *u;
};

static size_t fold(enum facts_compress compress, const uint8_t *raw, size_t len, uint8_t *to,
                   size_t room)
{
    size_t n = compress == COMPRESS_ZSTD ? ZSTD_compress(to, room, raw, len, 1)
                                         : LZ4F_compressFrame(to, room, raw, len, NULL);

    assert_false(ZSTD_isError(n) || LZ4F_isError(n));
    return n;
}

static int set_up(void **state)
{
    struct env *e = calloc(1, sizeof *e);

    assert_non_null(e);
    e->compress = *(enum facts_compress *)*state;
    for (size_t i = 0; i < RAW; i++)
        e->raw[i] = (uint8_t)(i * i >> 5);
    e->len = fold(e->compress, e->raw, RAW, e->stored, sizeof e->stored);
    e->u = unfold_create(e->compress);
    assert_non_null(e->u);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    struct env *e = *state;

    unfold_destroy(e->u);
    free(e);
    return 0;
}

/* Unfolds into a place with marked bytes behind it. */
static const char *unfold(struct env *e, size_t len, size_t raw)
{
    const char *wrong;

    memset(e->out, 0xa5, sizeof e->out);
    wrong = unfold_frame(e->u, e->stored, len, e->out, raw);
    for (size_t i = raw; i < sizeof e->out; i++)
        assert_int_equal(e->out[i], 0xa5);
    return wrong;
}

static void is_good(struct env *e)
{
    assert_null(unfold(e, e->len, RAW));
    assert_memory_equal(e->out, e->raw, RAW);
}

static void wrong_lengths_are_refused(void **state)
{
    struct env *e = *state;

    assert_non_null(unfold(e, 0, RAW));
    assert_non_null(unfold(e, 3, RAW));
    assert_non_null(unfold(e, e->len - 1, RAW));
    assert_non_null(unfold(e, e->len / 2, RAW));
    assert_non_null(unfold(e, e->len, RAW - 1));
    assert_non_null(unfold(e, e->len, 1));
    e->stored[e->len] = 0;
    assert_non_null(unfold(e, e->len + 1, RAW));
    is_good(e); /* the context has not kept anything of all that */
}

static void shorter_contents_are_refused(void **state)
{
    struct env *e = *state;

    e->len = fold(e->compress, e->raw, RAW - 1, e->stored, sizeof e->stored);
    assert_non_null(unfold(e, e->len, RAW));
    assert_null(unfold(e, e->len, RAW - 1));
}

/* What damage does not show must at least stay inside: the digest is what finds it. */
static void damage_stays_inside(void **state)
{
    struct env *e = *state;

    for (size_t at = 0; at < e->len; at += at < 64 ? 1 : 997) {
        e->stored[at] ^= 0x81;
        (void)unfold(e, e->len, RAW);
        e->stored[at] ^= 0x81;
    }
    is_good(e);
}

static void another_format_is_refused(void **state)
{
    struct env *e = *state;
    enum facts_compress other = e->compress == COMPRESS_LZ4 ? COMPRESS_ZSTD : COMPRESS_LZ4;

    e->len = fold(other, e->raw, RAW, e->stored, sizeof e->stored);
    assert_non_null(unfold(e, e->len, RAW));
    memcpy(e->stored, e->raw, RAW);
    assert_non_null(unfold(e, RAW, RAW));
}

/* The largest frame that cannot be made smaller fits where a reader keeps it. */
static void noise_fits(void **state)
{
    struct env *e = *state;
    uint8_t *raw = malloc(MANIFEST_FRAME_MAX), *stored = malloc(MANIFEST_STORED_MAX);
    uint8_t *out = malloc(MANIFEST_FRAME_MAX);
    uint32_t v = 1;
    size_t n;

    assert_true(raw && stored && out);
    for (size_t i = 0; i < MANIFEST_FRAME_MAX; i++) {
        v = v * 1664525u + 1013904223u;
        raw[i] = (uint8_t)(v >> 24);
    }
    n = fold(e->compress, raw, MANIFEST_FRAME_MAX, stored, MANIFEST_STORED_MAX);
    assert_null(unfold_frame(e->u, stored, n, out, MANIFEST_FRAME_MAX));
    assert_memory_equal(raw, out, MANIFEST_FRAME_MAX);
    free(raw);
    free(stored);
    free(out);
}

static void good_ones(void **state)
{
    is_good(*state);
    is_good(*state);
    unfold_destroy(NULL);
}

#define BOTH(test)                                                                                 \
    {#test "_zstd", test, set_up, tear_down, &zstd},                                               \
    {                                                                                              \
#test "_lz4", test, set_up, tear_down, &lz4                                                \
    }

int main(void)
{
    static enum facts_compress zstd = COMPRESS_ZSTD, lz4 = COMPRESS_LZ4;
    const struct CMUnitTest tests[] = {
        BOTH(wrong_lengths_are_refused),
        BOTH(shorter_contents_are_refused),
        BOTH(damage_stays_inside),
        BOTH(another_format_is_refused),
        BOTH(noise_fits),
        BOTH(good_ones),
    };

    return cmocka_run_group_tests_name("restore/unfold", tests, NULL, NULL);
}
