/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/frameline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define F "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define M "0123456789abcdef"

static void malformed(void **state)
{
    static const char *const bad[] = {
        "pages-1.img 1 1 " A "\n",
        "pages-1.img 1 1 " A " " F "\n",
        "pages-1.img 1 1 " A " " F " " M " - 0",
        "pages-1.img 1 1 " A " " F " " M " - 0 \n",
        "pages-1.img 1 1 " A " " F " " M " - \n",
        "pages-1.img 1 1 " A " " F " " M " - 00\n",
        "pages-1.img 1 1 " A " " F " " M " - 01\n",
        "pages-1.img 1 1 " A " " F " " M " - -1\n",
        "pages-1.img 1 1 " A " " F " " M " - 9223372036854775807\n",
        "pages-1.img 1 1 " A " " F " " M " - 18446744073709551616\n",
        "pages-1.img 1 1 " A " " F " " M "  0\n",
        "pages-1.img 1 1 " A " " F " " M " . 0\n",
        "pages-1.img 1 1 " A " " F " " M " ../x 0\n",
        "pages-1.img 1 1 " A " " F " " M " gen-0000-000000 0\n",
        "pages-1.img 1 1 " A " " F " " M " gen-0-1 0\n",
        "pages-1.img 1 1 " A " " F " " M " gen-0000-000001.partial 0\n",
        "pages-1.img 1 1 " A " " F " " M " pages.gen-0000-000001.zst 0\n",
        "pages-1.img 1 1 " A " " F " 123 - 0\n",
        "pages-1.img 1 1 " A " " F " 0123456789ABCDEF - 0\n",
        "pages-1.img 1 1 " A " " F "0 " M " - 0\n",
        "pages-1.img 0 1 " A " " F " " M " - 0\n",
        "pages-1.img 1 0 " A " " F " " M " - 0\n",
        "core-1.img 1 1 " A " " F " " M " - 0\n",
        "",
    };
    struct frameline l;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *p = bad[i];

        if (frameline_parse(&p, true, true, &l))
            fail_msg("accepted: %s", bad[i]);
    }
    for (const char *p = "pages-1.img 2 1 " A " " F " " M " - 0\n"; p; p = NULL)
        assert_false(frameline_parse(&p, false, true, &l));
    for (const char *p = "pages-1.img 1 1 " A " " F " " M " - 0\n"; p; p = NULL)
        assert_false(frameline_parse(&p, true, false, &l));
}

static void there_and_back(void **state)
{
    static const char *const good[] = {
        "pages-1.img 4096 17 " A " " F " " M " - 0\n",
        "ghost-file-a.img 1 1 " F " " A " 0000000000000000 gen-0002-1234567 9223372036850564000\n",
    };
    char text[FRAMELINE_MAX];
    struct frameline l;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *p = good[i];

        assert_true(frameline_parse(&p, true, true, &l));
        assert_int_equal(*p, '\0');
        assert_int_equal(frameline_format(&l, true, text), strlen(good[i]));
        assert_string_equal(text, good[i]);
        frameline_format(&l, false, text);
        p = text;
        assert_true(frameline_parse(&p, true, false, &l));
    }
    assert_int_equal(l.from.epoch, 2);
    assert_int_equal(l.from.sequence, 1234567);
}

static void marks(void **state)
{
    static uint8_t page[8192];

    (void)state;
    assert_int_equal(frameline_mark(page, FRAMELINE_MARK_BYTES - 1), 0);
    const uint64_t zeros = frameline_mark(page, FRAMELINE_MARK_BYTES);

    assert_int_not_equal(zeros, 0);
    page[FRAMELINE_MARK_BYTES] = 1; /* does not count */
    assert_true(frameline_mark(page, sizeof page) == zeros);
    for (size_t i = 0; i < FRAMELINE_MARK_BYTES; i++) {
        page[i] ^= 0x80;
        assert_false(frameline_mark(page, sizeof page) == zeros);
        page[i] ^= 0x80;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(marks),
    };

    return cmocka_run_group_tests_name("frameline", tests, NULL, NULL);
}
