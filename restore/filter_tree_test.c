/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shape: which images belong together, mappings, pages, namespaces, files.
 */
#include "restore/sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct sample s;

static void refused_as_it_is(int error, const char *why)
{
    struct tree t = {0};
    char text[512];
    int got = sample_filter(&s, &t, text);

    if (got != error || !strstr(text, why))
        fail_msg("got %d (%s), not %d (%s)", got, text, error, why);
    sample_free(&s);
    sample_init(&s);
}

static void refused(int error, const char *why)
{
    sample_encode(&s);
    refused_as_it_is(error, why);
}

static void accepted(void)
{
    struct tree t = {0};
    char text[512];

    sample_encode(&s);
    if (sample_filter(&s, &t, text) != 0)
        fail_msg("refused: %s", text);
    tree_free(&t);
    sample_free(&s);
    sample_init(&s);
}

static int setup(void **state)
{
    (void)state;
    sample_init(&s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sample_free(&s);
    return 0;
}

static void test_inventory(void **state)
{
    (void)state;
    s.inventory.has_fdinfo_per_id = 0;
    refused(EBADMSG, "old format");
    s.inventory.fdinfo_per_id = 0;
    refused(EBADMSG, "old format");
    s.inventory.ns_per_id = 0;
    refused(EBADMSG, "old format");
    s.inventory.root_ids = NULL;
    refused(EBADMSG, "old format");
    s.inventory.has_root_cg_set = 1;
    refused(EPERM, "cgroups");
    s.inventory.has_tcp_close = s.inventory.tcp_close = 1;
    refused(EPERM, "TCP");
    s.inventory.has_allow_uprobes = s.inventory.allow_uprobes = 1;
    refused(EPERM, "uprobes");
    s.inventory.plugins_entry = NULL; /* "all of them" */
    refused(EPERM, "plugins");
    s.plugins.plugins = (char *[]){(char *)(uintptr_t) "cuda"};
    s.plugins.n_plugins = 1;
    refused(EPERM, "plugins");
    s.inventory.lsmtype = 3;
    refused(EBADMSG, "security module");
}

static void test_namespaces(void **state)
{
    (void)state;
#define OTHER(field)                                                                               \
    do {                                                                                           \
        s.ids[0].field++;                                                                          \
        refused(EPERM, "namespaces");                                                              \
        s.ids[1].has_##field = 0;                                                                  \
        refused(EPERM, "namespaces");                                                              \
        s.root_ids.field++;                                                                        \
        refused(EPERM, "namespaces");                                                              \
    } while (0)
    OTHER(pid_ns_id);
    OTHER(net_ns_id);
    OTHER(ipc_ns_id);
    OTHER(uts_ns_id);
    OTHER(mnt_ns_id);
    OTHER(user_ns_id);
    OTHER(cgroup_ns_id);
    OTHER(time_ns_id);
}

static void test_pstree(void **state)
{
    (void)state;
    s.pstree[0].pid = 1;
    refused(EBADMSG, "not process numbers");
    s.pstree[1].sid = 0;
    refused(EBADMSG, "not process numbers");
    s.pstree[1].pgid = 4194305;
    refused(EBADMSG, "not process numbers");
    s.pstree[0].n_threads = 0;
    refused(EBADMSG, "first thread");
    s.tids[0][0] = 1001;
    refused(EBADMSG, "first thread");
    s.tids[0][2] = 1001;
    refused(EBADMSG, "same number");
    s.tids[0][2] = 1003;
    refused(EBADMSG, "same number");
    s.pstree[1].ppid = 0;
    refused(EBADMSG, "root");
    s.pstree[0].ppid = 7;
    refused(EBADMSG, "root");
    s.pstree[1].ppid = 1004; /* comes later */
    refused(EBADMSG, "parent");
}

static void test_missing_and_stray_images(void **state)
{
    static const char *const needed[] = {
        "inventory.img", "pstree.img",  "files.img",    "core-1000.img",    "core-1002.img",
        "core-1004.img", "mm-1003.img", "ids-1003.img", "pagemap-1000.img",
    };
    static const char *const stray[] = {"core-1005.img", "mm-1004.img",  "ids-2.img",
                                        "fs-1.img",      "fdinfo-9.img", "pagemap-1001.img"};

    (void)state;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        struct tree t = {0};
        char text[512];

        sample_encode(&s);
        sample_remove(&s, needed[i]);
        if (sample_filter(&s, &t, text) != EBADMSG)
            fail_msg("without %s: %s", needed[i], text);
        sample_free(&s);
        sample_init(&s);
    }
    for (size_t i = 0; i < sizeof stray / sizeof stray[0]; i++) {
        sample_encode(&s);
        sample_add(&s, stray[i], NULL);
        refused_as_it_is(EBADMSG, "belongs to no process");
    }
    /* an ids image makes the zombie's thread number count */
    sample_encode(&s);
    sample_add(&s, "ids-1004.img", NULL);
    refused_as_it_is(EBADMSG, "first thread");
}

static void test_mappings(void **state)
{
    static VmaEntry guard, *with_guard[] = {&s.vma[0][0], &s.vma[0][1], &guard};

    (void)state;
    s.vma[0][1].start = 0x10001000;
    refused(EBADMSG, "overlap");
    s.vmas[0][0] = &s.vma[0][1];
    s.vmas[0][1] = &s.vma[0][0];
    refused(EBADMSG, "out of order");
    s.vma[0][0].start++;
    refused(EBADMSG, "a mapping");
    s.vma[0][0].end = s.vma[0][0].start;
    refused(EBADMSG, "a mapping");
    s.vma[0][2].end = UINT64_C(1) << 48;
    refused(EBADMSG, "a mapping");
    s.vma[0][3].status = 0x201; /* up there only as the vsyscall page */
    refused(EBADMSG, "a mapping");
    s.vma[0][0].fd = 5;
    refused(EBADMSG, "of a kind");
    for (unsigned bit = 10; bit < 32; bit++) {
        if (bit == 12 || bit == 14)
            continue; /* vvar, memfd */
        s.vma[0][0].status |= 1u << bit;
        refused(EBADMSG, "of a kind");
    }
    s.vma[0][0].flags = 0x1;
    refused(EBADMSG, "of a kind");
    s.vma[0][2].flags = 0x2;
    refused(EBADMSG, "of a kind");
    s.mm[0].n_vmas = 0;
    refused(EBADMSG, "no mappings");
    s.mm[0].n_aios = 1;
    s.mm[0].aios = (ProtobufCBinaryData[]){{0, NULL}};
    refused(EBADMSG, "asynchronous");
    s.mm[1].dumpable = 0;
    refused(EPERM, "dumpable");
    s.mm[1].dumpable = 2;
    refused(EPERM, "dumpable");
    s.mm[1].has_dumpable = 0;
    refused(EPERM, "dumpable");

    vma_entry__init(&guard);
    guard.start = 0x20003000;
    guard.end = 0x20004000;
    guard.status = 1u << 16;
    s.mm[0].vmas = with_guard;
    s.mm[0].n_vmas = 3;
    accepted();
    guard.start = 0x10000000;
    guard.end = 0x10001000;
    with_guard[1] = &guard; /* a mapping behind it: CRIU would put its restorer there */
    with_guard[2] = &s.vma[0][1];
    s.mm[0].vmas = with_guard;
    s.mm[0].n_vmas = 3;
    refused(EBADMSG, "behind the guard");
    with_guard[1] = &s.vma[0][1];
    with_guard[2] = &guard;
    guard.start = 0x20003000;
    guard.end = 0x20005000;
    s.mm[0].vmas = with_guard;
    s.mm[0].n_vmas = 3;
    refused(EBADMSG, "guard region");
}

static void test_pages(void **state)
{
    (void)state;
    s.pages[0][0].flags = 1;
    refused(EBADMSG, "not in this checkpoint");
    s.pages[0][0].has_in_parent = s.pages[0][0].in_parent = 1;
    refused(EBADMSG, "not in this checkpoint");
    s.pages[0][0].has_flags = 0;
    refused(EBADMSG, "not in this checkpoint");
    s.pages[0][0].flags = 6;
    accepted();
    s.pages[0][1].vaddr = s.pages[0][0].vaddr;
    refused(EBADMSG, "out of order");
    s.pages[0][0].vaddr++;
    refused(EBADMSG, "out of order");
    s.pages[0][0].nr_pages = 0;
    refused(EBADMSG, "out of order");
    s.pages[0][0].nr_pages = UINT64_MAX / 4096 + 2;
    refused(EBADMSG, "out of order");
    s.pages[0][1].nr_pages = 3;
    refused(EBADMSG, "bytes of pages");
    s.pages[0][1].nr_pages = 1;
    refused(EBADMSG, "bytes of pages");
    s.pagehead[1].pages_id = 1;
    refused(EBADMSG, "belongs to two");
    s.pagehead[1].pages_id = 3;
    refused(EBADMSG, "bytes of pages");
    /* the old way of counting, as CRIU reads it */
    s.pages[0][0].has_nr_pages = 0;
    s.pages[0][0].compat_nr_pages = 1;
    accepted();
}

static void test_unclaimed_pages(void **state)
{
    static const char text[] = "pages-1.img 12288 12288 %064d\npages-2.img 12288 12288 %064d\n"
                               "pages-3.img 4096 4096 %064d\n";
    char buf[512];
    int n = snprintf(buf, sizeof buf, text, 0, 0, 0);

    (void)state;
    sample_encode(&s);
    index_free(&s.ix);
    assert_int_equal(index_load(buf, (size_t)n, 0, &s.ix, NULL), 0);
    refused_as_it_is(EBADMSG, "pages-3.img belongs to no process");
}

static void test_files(void **state)
{
    static const uint32_t good[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 18, 20};

    (void)state;
    for (uint32_t type = 0; type < 40; type++) {
        bool ok = false;

        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
            ok = ok || good[i] == type;
        s.file.type = type;
        if (ok)
            accepted();
        else
            refused(EPERM, "not restored");
    }
    s.reg.has_ext = s.reg.ext = 1;
    refused(EPERM, "from outside");
}

static bool served(const char *text)
{
    const struct image *im = bundle_find(&s.b, "files.img");

    return im && memmem(im->data, im->len, text, strlen(text));
}

/* A job that is restored as another one. */
static void test_renames(void **state)
{
    const struct filter_rename renames[] = {
        {(char[]){"/usr/bin/other"}, (char[]){"/x"}, false},
        {(char[]){"/usr/bin/program"}, (char[]){"/home/u/new.out"}, true}};
    struct tree t = {0};
    char text[512];

    (void)state;
    for (size_t n = 0; n <= 2; n++) {
        s.reg.has_size = 1;
        s.reg.size = 5;
        s.rules.renames = renames;
        s.rules.nrenames = n;
        sample_encode(&s);
        assert_int_equal(sample_filter(&s, &t, text), 0);
        assert_true(served("/usr/bin/program") == (n < 2));
        assert_true(served("/home/u/new.out") == (n == 2));
        tree_free(&t);
        sample_free(&s);
        sample_init(&s);
    }
}

static void test_queues(void **state)
{
    ScmEntry scm = SCM_ENTRY__INIT, *scms[] = {&scm};

    (void)state;
    s.packet.scm = scms;
    s.packet.n_scm = 1;
    refused(EPERM, "open files");
    s.packet.length = 6;
    refused(EBADMSG, "payload");
    s.packet.length = 4;
    refused(EBADMSG, "sk-queues.img");
    s.packet.length = UINT32_MAX;
    refused(EBADMSG, "payload");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_inventory),       TEST(test_namespaces),
        TEST(test_pstree),          TEST(test_missing_and_stray_images),
        TEST(test_mappings),        TEST(test_pages),
        TEST(test_unclaimed_pages), TEST(test_files),
        TEST(test_renames),         TEST(test_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
