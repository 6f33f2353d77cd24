/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/before.h"

#include "able/headroom.h"
#include "common/manifest.h"
#include "dump/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static uint64_t need(unsigned threads, size_t frame_bytes, const struct facts *f)
{
    return headroom_need(3) + pack_memory(threads, frame_bytes, f->compress, f->compress_level);
}

/* As many threads as there is room for: one byte less, and one thread less. */
static void fits(void **state)
{
    static const enum facts_compress how[] = {COMPRESS_NONE, COMPRESS_LZ4, COMPRESS_ZSTD};

    (void)state;
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        const struct facts f = {.compress = how[i], .compress_level = 1};
        struct before b;

        assert_true(before_fit(UINT64_MAX, 8, 3, &f, &b));
        assert_int_equal(b.threads, 8);
        assert_int_equal(b.frame_bytes, MANIFEST_FRAME_MAX);
        for (unsigned n = 8; n > 0; n--) {
            assert_true(before_fit(need(n, MANIFEST_FRAME_MAX, &f), 8, 3, &f, &b));
            assert_int_equal(b.threads, n);
            assert_int_equal(b.frame_bytes, MANIFEST_FRAME_MAX);
            assert_true(before_fit(need(n, MANIFEST_FRAME_MAX, &f) - 1, 8, 3, &f, &b));
            assert_int_equal(b.threads, n > 1 ? n - 1 : 1);
            assert_int_equal(b.frame_bytes, n > 1 ? MANIFEST_FRAME_MAX : PACK_FRAME_SMALL);
        }
        assert_true(before_fit(need(1, PACK_FRAME_SMALL, &f), 8, 3, &f, &b));
        assert_false(before_fit(need(1, PACK_FRAME_SMALL, &f) - 1, 8, 3, &f, &b));
        assert_false(before_fit(0, 1, 3, &f, &b));
    }
}

static void small_frames_for_incremental(void **state)
{
    const struct facts f = {.compress = COMPRESS_ZSTD, .compress_level = 1, .incremental = 8};
    struct before b;

    (void)state;
    assert_true(before_fit(UINT64_MAX, 2, 3, &f, &b));
    assert_int_equal(b.threads, 2);
    assert_int_equal(b.frame_bytes, PACK_FRAME_INCREMENTAL);
    assert_true(before_fit(need(1, PACK_FRAME_INCREMENTAL, &f) - 1, 2, 3, &f, &b));
    assert_int_equal(b.frame_bytes, PACK_FRAME_SMALL);
}

/* What is used follows threads and frames, and nothing else. */
static void memory_is_bounded(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 64; n++) {
        const uint64_t raw = pack_memory(n, MANIFEST_FRAME_MAX, COMPRESS_NONE, 0);

        assert_true(raw < pack_memory(n + 1, MANIFEST_FRAME_MAX, COMPRESS_NONE, 0));
        assert_true(raw <= (2 * (n + 2) + 2) * (uint64_t)MANIFEST_FRAME_MAX + (n + 2) * (1u << 20));
        assert_true(pack_memory(n, PACK_FRAME_SMALL, COMPRESS_NONE, 0) < raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits),
        cmocka_unit_test(small_frames_for_incremental),
        cmocka_unit_test(memory_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
