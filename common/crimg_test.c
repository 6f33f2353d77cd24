/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Framing; the names are tried one by one in restore/bundle_test.c.
 */
#include "common/crimg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
    static const struct {
        const char *name;
        enum crimg_kind kind;
        uint64_t id;
        size_t head;
    } good[] = {
        {"inventory.img", CRIMG_INVENTORY, 0, 4},
        {"core-1.img", CRIMG_CORE, 1, 8},
        {"core-4294967295.img", CRIMG_CORE, UINT32_MAX, 8},
        {"pagemap-7.img", CRIMG_PAGEMAP, 7, 8},
        {"pagemap-shmem-18446744073709551615.img", CRIMG_PAGEMAP_SHMEM, UINT64_MAX, 8},
        {"pages-3.img", CRIMG_BULK, 3, 0},
        {"ghost-file-1f.img", CRIMG_BULK, 0x1f, 8},
        {"ckpt-files.img", CRIMG_KEPT, 0, 8},
        {"ckpt-file-7.img", CRIMG_BULK, 7, 0},
        {"sk-queues.img", CRIMG_SK_QUEUES, 0, 8},
        {"tty-data.img", CRIMG_PLAIN, 0, 8},
    };
    char longer[CRIMG_NAME_MAX + 8];
    struct crimg_name n;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(crimg_parse_name(good[i].name, &n));
        assert_int_equal(n.kind, good[i].kind);
        assert_true(n.id == good[i].id);
        assert_int_equal(crimg_head_size(&n), good[i].head);
    }
    memset(longer, '1', sizeof longer);
    memcpy(longer, "core-", 5);
    longer[sizeof longer - 1] = '\0';
    assert_false(crimg_parse_name(longer, &n));
    assert_false(crimg_parse_name("creds-1.img", &n));
    assert_false(crimg_parse_name("ghost-file-1F.img", &n));
    assert_true(crimg_ignored("seccomp.img"));
    assert_false(crimg_ignored("creds-1.img"));
    assert_false(crimg_ignored("timens-1.img"));
}

static void test_framing(void **state)
{
    /* head, {"ab"}, {}, three bytes of payload */
    uint8_t image[8 + 6 + 4 + 3] = {0};
    struct crimg_name n;
    struct crimg_iter it;
    const uint8_t *msg;
    size_t len;

    (void)state;
    assert_true(crimg_parse_name("pstree.img", &n));
    assert_int_equal(crimg_head_put(&n, image), 8);
    crimg_put32(image + 8, 2);
    memcpy(image + 12, "ab", 2);
    assert_int_equal(crimg_open(&it, &n, image, 7, NULL), -1);
    assert_int_equal(crimg_open(&it, &n, image, sizeof image, NULL), 0);
    assert_int_equal(crimg_next(&it, &msg, &len, NULL), 1);
    assert_int_equal(len, 2);
    assert_memory_equal(msg, "ab", 2);
    assert_int_equal(crimg_next(&it, &msg, &len, NULL), 1);
    assert_int_equal(len, 0);
    errno = 0;
    assert_int_equal(crimg_next(&it, &msg, &len, NULL), -1); /* not even a length */
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(crimg_skip(&it, 4, NULL), -1);
    assert_int_equal(crimg_skip(&it, 3, NULL), 0);
    assert_int_equal(crimg_next(&it, &msg, &len, NULL), 0);
    crimg_put32(image + 8, UINT32_MAX);
    assert_int_equal(crimg_open(&it, &n, image, sizeof image, NULL), 0);
    assert_int_equal(crimg_next(&it, &msg, &len, NULL), -1);
    image[4] ^= 1;
    assert_int_equal(crimg_open(&it, &n, image, sizeof image, NULL), -1);
    /* the magic of another kind */
    assert_true(crimg_parse_name("core-1.img", &n));
    image[4] ^= 1;
    assert_int_equal(crimg_open(&it, &n, image, sizeof image, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_framing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
