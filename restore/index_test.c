/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/index.h"
#include "restore/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define F "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void refused(const char *text, int compressed)
{
    struct index ix = {.nframes = 7};

    errno = 0;
    if (index_load(text, strlen(text), compressed, &ix, NULL) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(ix.nframes, 7);
}

static void test_malformed(void **state)
{
    struct index ix;

    (void)state;
    refused("\n", 1);
    refused("pages-1.img 1 1 " A, 1); /* no newline */
    refused("pages-1.img 1 1 " A "\n\n", 1);
    refused("pages-1.img 1 1 " A " \n", 1);
    refused("pages-1.img 1 1  " A "\n", 1);
    refused("pages-1.img 1 1\t" A "\n", 1);
    refused(" pages-1.img 1 1 " A "\n", 1);
    refused("pages-1.img 0 1 " A "\n", 1);
    refused("pages-1.img 1 0 " A "\n", 1);
    refused("pages-1.img 01 1 " A "\n", 1);
    refused("pages-1.img +1 1 " A "\n", 1);
    refused("pages-1.img -1 1 " A "\n", 1);
    refused("pages-1.img 4194305 1 " A "\n", 1);
    refused("pages-1.img 1 8388608 " A "\n", 1);
    refused("pages-1.img 18446744073709551617 1 " A "\n", 1);
    refused("pages-1.img 2 1 " A "\n", 0); /* stored as it is, so of one size */
    refused("pages-1.img 1 1 " A "a\n", 1);
    refused("pages-1.img 1 1 A" A "\n", 1);
    refused("pages-1.img 1 1 \n", 1);
    refused("core-1.img 1 1 " A "\n", 1); /* not bulk */
    refused("pages-shmem-1.img 1 1 " A "\n", 1);
    refused("pages-01.img 1 1 " A "\n", 1);
    refused("creds-1.img 1 1 " A "\n", 1);
    refused("pages-1.img", 1);
    errno = 0;
    assert_int_equal(index_load("pages-1.img 1 1 " A "\n\0", 82, 1, &ix, NULL), -1);
    assert_int_equal(errno, EBADMSG);
}

static void test_chains(void **state)
{
    static const char text[] = "pages-2.img 4194304 100 " F "\n"
                               "pages-1.img 10 20 " A "\n"
                               "pages-2.img 4096 30 " A "\n"
                               "ghost-file-a.img 5 6 " A "\n";
    struct index ix;
    const struct bulk *im;

    (void)state;
    assert_int_equal(index_load(text, sizeof text - 1, 1, &ix, NULL), 0);
    assert_int_equal(ix.nimages, 3);
    assert_int_equal(ix.stored, 156);
    im = index_find(&ix, "pages-2.img");
    assert_int_equal(im->raw, 4198400);
    assert_int_equal(im->first, 0);
    assert_int_equal(ix.frames[0].next, 2);
    assert_int_equal(ix.frames[2].next, INDEX_NONE);
    assert_int_equal(ix.frames[2].at, 120);
    assert_int_equal(ix.frames[2].start, 4194304);
    assert_int_equal(ix.frames[0].sha256[1], 0x23);
    assert_int_equal(ix.frames[0].sha256[31], 0xef);
    assert_int_equal(index_find(&ix, "ghost-file-a.img")->parsed.id, 10);
    assert_null(index_find(&ix, "pages-3.img"));
    index_free(&ix);
    assert_int_equal(index_load("", 0, 1, &ix, NULL), 0); /* a tree without memory */
    assert_null(index_find(&ix, "pages-1.img"));
    index_free(&ix);
}

#define M " " A " 0123456789abcdef "

/* A manifest with two links of 100 and 50 bytes. */
static struct manifest incremental(void)
{
    struct manifest m = {.incremental = true, .depth = 2, .nlinks = 2, .compress = "zstd"};

    m.links[0] = (struct manifest_link){{0, 3}, 100, 60};
    m.links[1] = (struct manifest_link){{1, 5}, 50, 50};
    return m;
}

static void refused_incremental(const char *text)
{
    struct manifest m = incremental();
    struct index ix = {.nframes = 7};

    errno = 0;
    if (index_load_incremental(text, strlen(text), &m, &ix, NULL) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(ix.nframes, 7);
}

#define BOTH                                                                                       \
    "pages-1.img 4 60 " F M "gen-0000-000003 40\n"                                                 \
    "pages-1.img 4 50 " F M "gen-0001-000005 0\n"

static void test_incremental(void **state)
{
    static const char text[] =
        "pages-1.img 8 20 " F M "- 30\n" BOTH "pages-2.img 4096 30 " F M "- 0\n";
    struct manifest m = incremental();
    struct index ix;

    (void)state;
    refused_incremental("pages-1.img 1 1 " F "\n");
    refused_incremental("");
    refused_incremental("pages-1.img 4 60 " F M
                        "gen-0000-000003 40\n"); /* a link without a frame */
    refused_incremental(BOTH "pages-1.img 4 60 " F M "gen-0000-000004 0\n");  /* named nowhere */
    refused_incremental(BOTH "pages-1.img 4 60 " F M "gen-0000-000003 41\n"); /* beyond the end */
    refused_incremental(BOTH "pages-1.img 4 60 " F M "gen-0000-000003 101\n");
    refused_incremental(BOTH "pages-1.img 4 101 " F M "gen-0000-000003 0\n");
    refused_incremental(BOTH "pages-1.img 4 4 " F M "- 1\n"); /* a byte without a digest */
    refused_incremental(BOTH "pages-1.img 4 4 " F M "- 0\npages-1.img 4 4 " F M "- 3\n");
    refused_incremental(BOTH "pages-1.img 4 4 " F M "- 0\npages-1.img 4 4 " F M "- 0\n");
    refused_incremental(BOTH "pages-1.img 4 4 " F M "- 0\npages-1.img 4 4 " F M "- 5\n");
    assert_int_equal(index_load_incremental(text, sizeof text - 1, &m, &ix, NULL), 0);
    assert_int_equal(ix.stored, 50);
    assert_int_equal(ix.raw, 4112);
    assert_int_equal(ix.nimages, 2);
    assert_int_equal(ix.images[0].raw, 16);
    assert_int_equal(ix.frames[0].at, 30);
    assert_int_equal(ix.frames[0].file, 0);
    assert_int_equal(ix.frames[1].file, 1);
    assert_int_equal(ix.frames[1].at, 40);
    assert_int_equal(ix.frames[2].file, 2);
    index_free(&ix);
}

static void test_blanks(void **state)
{
    static const char text[] = "pages-1.img 20 20 " A "\npages-2.img 7 7 " A "\n";
    struct index ix;

    (void)state;
    assert_int_equal(index_load(text, sizeof text - 1, 0, &ix, NULL), 0);
    assert_int_equal(index_blank(&ix.images[0], 13, NULL), -1);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(index_blank(&ix.images[0], UINT64_MAX, NULL), -1);
    assert_int_equal(index_blank(&ix.images[1], 0, NULL), -1);
    assert_int_equal(index_blank(&ix.images[0], 12, NULL), 0);
    assert_int_equal(ix.images[0].nblanks, 1);
    index_free(&ix);
}

static void test_tree_matches_manifest(void **state)
{
    uint32_t a[] = {10, 11, 12}, b[] = {13}, swapped[] = {10, 12, 11};
    struct proc root = {10, 0, 10, 10, a, 3, false}, child = {13, 10, 14, 10, b, 1, false};
    struct manifest_process p[] = {{10, 1, 10, 10, 3, swapped, "x"}, {13, 10, 14, 10, 1, b, "y"}};
    struct manifest m = {.nprocesses = 2, .processes = p};
    struct tree t = {0};

    (void)state;
    assert_int_equal(tree_finish(&t, NULL), -1);
    assert_int_equal(tree_add(&t, &root, NULL), 0);
    assert_int_equal(tree_add(&t, &child, NULL), 0);
    assert_int_equal(tree_finish(&t, NULL), 0);
    assert_int_equal(t.nids, 5); /* 14 is only a group */
    assert_int_equal(tree_max_id(&t), 14);
    assert_int_equal(tree_compare(&t, &m, NULL), 0);
    swapped[2] = 13;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    swapped[2] = 11;
    p[1].ppid = 1;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    p[1].ppid = 10;
    p[1].sid = 13;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    p[1].sid = 10;
    p[1].pgid = 10;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    p[1].pgid = 14;
    p[0].nthreads = 2;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    p[0].nthreads = 3;
    m.nprocesses = 1;
    assert_int_equal(tree_compare(&t, &m, NULL), -1);
    tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_incremental),
        cmocka_unit_test(test_blanks),
        cmocka_unit_test(test_tree_matches_manifest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
