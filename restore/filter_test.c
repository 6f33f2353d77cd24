/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Identity and privilege: rows 17 to 19, 21 and 22 of the deny matrix, and what goes through.
 */
#include "restore/sample.h"
#include "restore/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
    assert_null(t.procs);
    sample_free(&s);
    sample_init(&s);
}

/* Encodes; the sample is fresh again afterwards. */
static void refused(int error, const char *why)
{
    sample_encode(&s);
    refused_as_it_is(error, why);
}

static void accepted(struct tree *t)
{
    char text[512];

    sample_encode(&s);
    if (sample_filter(&s, t, text) != 0)
        fail_msg("refused: %s", text);
}

/* The single message of an image as it would be served. */
static void *served(const char *name, const ProtobufCMessageDescriptor *type)
{
    const struct image *im = bundle_find(&s.b, name);
    struct crimg_iter it;
    const uint8_t *data;
    size_t len;
    void *msg;

    assert_non_null(im);
    assert_int_equal(crimg_open(&it, &im->parsed, im->data, im->len, NULL), 0);
    assert_int_equal(crimg_next(&it, &data, &len, NULL), 1);
    msg = wire_decode(data, len, type, NULL);
    assert_non_null(msg);
    assert_int_equal(crimg_next(&it, &data, &len, NULL), 0);
    return msg;
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

static void test_accepts(void **state)
{
    struct tree t = {0};
    InventoryEntry *inv;
    CoreEntry *core;

    (void)state;
    accepted(&t);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.nthreads, 5);
    assert_int_equal(t.procs[0].pid, 1000);
    assert_true(t.procs[2].dead);
    assert_int_equal(t.procs[2].tids[0], 1004);
    assert_int_equal(tree_max_id(&t), 1004);
    inv = served("inventory.img", &inventory_entry__descriptor);
    assert_int_equal(inv->lsmtype, 0);
    assert_int_equal(inv->network_lock_method, 2);
    assert_null(inv->dump_criu_run_id);
    inventory_entry__free_unpacked(inv, NULL);
    core = served("core-1001.img", &core_entry__descriptor);
    assert_int_equal(core->thread_core->creds->cap_bnd[0], 0xffffffff);
    assert_int_equal(core->thread_core->creds->cap_bnd[1], 0x1ff);
    core_entry__free_unpacked(core, NULL);
    tree_free(&t);
}

static void test_groups_in_any_order(void **state)
{
    struct tree t = {0};
    CoreEntry *core;

    (void)state;
    s.groups[0][0] = 6002;
    s.groups[0][2] = SAMPLE_GID;
    accepted(&t);
    core = served("core-1000.img", &core_entry__descriptor);
    assert_int_equal(core->thread_core->creds->groups[0], SAMPLE_GID);
    assert_int_equal(core->thread_core->creds->groups[2], 6002);
    core_entry__free_unpacked(core, NULL);
    tree_free(&t);
}

static void test_own_label_is_dropped(void **state)
{
    struct tree t = {0};
    CoreEntry *core;

    (void)state;
    s.inventory.lsmtype = 1;
    s.creds[0].lsm_profile = (char *)(uintptr_t) "our-label";
    accepted(&t);
    core = served("core-1000.img", &core_entry__descriptor);
    assert_null(core->thread_core->creds->lsm_profile);
    core_entry__free_unpacked(core, NULL);
    tree_free(&t);
}

/* Row 17. */
static void test_capabilities(void **state)
{
    uint32_t(*sets[])[2] = {s.inh, s.prm, s.eff, s.amb};
    static const char *const names[] = {"inheritable", "permitted", "effective", "ambient"};
    static const int who[] = {0, 2, 3};

    (void)state;
    for (size_t set = 0; set < 4; set++)
        for (size_t w = 0; w < 3; w++)
            for (unsigned bit = 0; bit < 64; bit++) {
                sets[set][who[w]][bit / 32] = 1u << bit % 32;
                refused(EPERM, names[set]);
            }
}

static void test_capability_sets_of_other_sizes(void **state)
{
    (void)state;
    s.creds[0].n_cap_prm = 1;
    refused(EPERM, "permitted has 1 words");
    s.creds[2].n_cap_amb = 0;
    refused(EPERM, "ambient has 0 words");
    s.creds[0].n_cap_eff = 3;
    s.creds[0].cap_eff = (uint32_t[]){0, 0, 1};
    refused(EPERM, "effective has 3 words");
    s.creds[0].n_cap_bnd = 0;
    refused(EPERM, "bounding");
}

/* Row 18. */
static void test_ids(void **state)
{
    static const int who[] = {0, 1, 2, 3};

    (void)state;
    for (size_t w = 0; w < 4; w++)
        for (int id = 0; id < 8; id++) {
            CredsEntry *c = &s.creds[who[w]];
            uint32_t *ids[] = {&c->uid, &c->euid, &c->suid, &c->fsuid,
                               &c->gid, &c->egid, &c->sgid, &c->fsgid};

            *ids[id] = id % 2 ? 0 : *ids[id] + 1;
            refused(EPERM, id < 4 ? "uid is" : "gid is");
        }
}

static void test_groups(void **state)
{
    (void)state;
    s.groups[2][3] = 0;
    s.creds[2].n_groups = 4;
    refused(EPERM, "4 supplementary groups");
    s.creds[0].n_groups = 2;
    refused(EPERM, "2 supplementary groups");
    s.groups[0][1] = 0;
    refused(EPERM, "other supplementary groups");
    s.groups[0][1] = s.groups[0][2]; /* as many, one twice */
    refused(EPERM, "other supplementary groups");
}

static void test_securebits_and_no_new_privs(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        s.creds[bit % 4].secbits = 1u << bit;
        refused(EPERM, "securebits");
    }
    s.creds[2].has_no_new_privs = 1;
    s.creds[2].no_new_privs = 2;
    refused(EPERM, "no_new_privs");
}

static void test_labels(void **state)
{
    (void)state;
    s.creds[0].lsm_profile = (char *)(uintptr_t) "unconfined";
    refused(EPERM, "label");
    s.creds[2].lsm_sockcreate = (char *)(uintptr_t) "our-label";
    refused(EPERM, "label");
    s.creds[0].has_apparmor_data = 1;
    s.creds[0].apparmor_data.data = (uint8_t[]){0};
    s.creds[0].apparmor_data.len = 1;
    refused(EPERM, "label");
}

static void test_seccomp(void **state)
{
    (void)state;
    for (uint32_t mode = 1; mode < 4; mode++) {
        s.thread[2].has_seccomp_mode = 1;
        s.thread[2].seccomp_mode = mode;
        refused(EPERM, "seccomp");
    }
    s.thread[0].has_seccomp_filter = 1;
    refused(EPERM, "seccomp");
    s.task[0].has_old_seccomp_mode = 1;
    refused(EPERM, "seccomp");
    s.task[0].has_old_seccomp_filter = 1;
    refused(EPERM, "seccomp");
}

/* Row 19: that creds-PID.img cannot be there at all is bundle_test's. */
static void test_no_creds(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        s.thread[i].creds = NULL;
        refused(EPERM, "no credentials");
        s.core[i].thread_core = NULL;
        refused(EPERM, "no thread state");
    }
}

static void test_task_state(void **state)
{
    (void)state;
    s.core[0].tc = NULL;
    refused(EBADMSG, "task state is missing");
    s.core[1].tc = &s.task[1];
    refused(EBADMSG, "task state in a thread");
    s.task[3].task_state = 4;
    refused(EBADMSG, "task state 4");
    /* a "zombie" with threads, with credentials, or as the root */
    s.task[0].task_state = 2;
    refused(EPERM, "zombie");
    s.task[3].task_state = 2;
    refused(EPERM, "zombie");
    s.core[4].thread_core = &s.thread[4];
    refused(EPERM, "zombie");
    s.core[0].ids = &s.root_ids;
    refused(EPERM, "old form");
    s.thread[1].has_cg_set = 1;
    s.thread[1].cg_set = 1;
    refused(EPERM, "cgroup");
    s.task[0].has_cg_set = 1;
    s.task[0].cg_set = 1;
    refused(EPERM, "cgroup");
    s.core[1].mtype = FILTER_AARCH64;
    refused(EBADMSG, "machine type");
    s.core[1].has_thread_info = 0;
    refused(EBADMSG, "registers");
    s.core[1].has_ti_aarch64 = 1;
    refused(EBADMSG, "registers");
}

/* Row 21.  Each of a message's singular fields once more, behind it: the last one would win. */
static void test_duplicates(void **state)
{
    static const struct {
        const char *image, *why;
        uint8_t bytes[4];
        size_t n;
    } more[] = {
        {"inventory.img", "img_version: given twice", {1 << 3, 2}, 2},
        {"inventory.img", "root_ids: given twice", {3 << 3 | 2, 0}, 2},
        {"core-1000.img", "tc: given twice", {3 << 3 | 2, 0}, 2},
        {"core-1002.img", "thread_core: given twice", {5 << 3 | 2, 0}, 2},
        {"core-1002.img", "mtype: given twice", {1 << 3, 1}, 2},
        {"ids-1003.img", "files_id: given twice", {2 << 3, 9}, 2},
        {"mm-1000.img", "dumpable: given twice", {15 << 3, 1}, 2},
        {"pstree.img", "pid: given twice", {1 << 3, 7}, 2},
        {"files.img", "type: given twice", {1 << 3, 1}, 2},
        {"pagemap-1000.img", "flags: given twice", {4 << 3, 4}, 2},
    };
    static const uint8_t unknown[] = {0xf8, 0x07, 1}; /* field 127 */
    static const char *const images[] = {"inventory.img", "pstree.img",      "core-1000.img",
                                         "core-1002.img", "ids-1000.img",    "mm-1003.img",
                                         "files.img",     "pagemap-1003.img"};

    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        sample_encode(&s);
        sample_append(&s, more[i].image, more[i].bytes, more[i].n, true);
        refused_as_it_is(EBADMSG, more[i].why);
    }
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        sample_encode(&s);
        sample_append(&s, images[i], unknown, sizeof unknown, true);
        refused_as_it_is(EBADMSG, "unknown field 127");
    }
}

static size_t put_varint(uint8_t *p, size_t v)
{
    size_t n = 0;

    for (; v > 127; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* Duplicates deep inside: creds twice in a thread, each of its fields twice in creds. */
static void test_duplicates_in_creds(void **state)
{
    static const unsigned singular[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 18};

    (void)state;
    for (size_t i = 0; i <= sizeof singular / sizeof singular[0]; i++) {
        const bool whole = i == sizeof singular / sizeof singular[0];
        uint8_t inner[512], outer[1100], head[8];
        size_t n, m = 0, h = 0;

        s.creds[0].has_no_new_privs = 1;
        n = creds_entry__pack(&s.creds[0], inner);
        if (!whole) {
            n += put_varint(inner + n, singular[i] << 3);
            inner[n++] = 0;
        }
        s.core[0].thread_core = NULL;
        sample_encode(&s);
        /* thread_core { 1: 0, 2: 0, creds [, creds] } by hand */
        for (int times = whole ? 2 : 1; times > 0; times--) {
            outer[m++] = 10 << 3 | 2;
            m += put_varint(outer + m, n);
            memcpy(outer + m, inner, n);
            m += n;
        }
        memcpy(outer + m, (uint8_t[]){8, 0, 16, 0}, 4);
        m += 4;
        head[h++] = 5 << 3 | 2;
        h += put_varint(head + h, m);
        sample_append(&s, "core-1000.img", head, h, true);
        sample_append(&s, "core-1000.img", outer, m, true);
        refused_as_it_is(EBADMSG, "given twice");
    }
}

static void test_framing(void **state)
{
    static const char *const single[] = {"inventory.img", "core-1000.img", "core-1002.img",
                                         "ids-1000.img", "mm-1000.img"};

    (void)state;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        static const uint8_t second[4] = {0};
        struct image *im;

        sample_encode(&s);
        sample_append(&s, single[i], second, sizeof second, false); /* an empty message */
        refused_as_it_is(EBADMSG, "more than its one message");
        sample_encode(&s);
        sample_append(&s, single[i], "x", 1, false);
        refused_as_it_is(EBADMSG, "more than its one message");
        sample_encode(&s);
        im = bundle_find(&s.b, single[i]);
        im->len--;
        refused_as_it_is(EBADMSG, single[i]);
        sample_encode(&s);
        im = bundle_find(&s.b, single[i]);
        im->data[0] ^= 1;
        refused_as_it_is(EBADMSG, "magic");
        sample_encode(&s);
        im = bundle_find(&s.b, single[i]);
        im->len = crimg_head_size(&im->parsed);
        refused_as_it_is(EBADMSG, "empty");
    }
    for (uint32_t version = 0; version < 4; version++) {
        if (version == 2)
            continue;
        s.inventory.img_version = version;
        refused(EBADMSG, "image format");
    }
}

/* Row 22. */
static void test_rseq(void **state)
{
    struct tree t = {0};
    const struct bulk *im;

    (void)state;
    accepted(&t);
    tree_free(&t);
    im = index_find(&s.ix, "pages-1.img");
    assert_int_equal(im->nblanks, 3);
    /* the page of the file mapping comes first; rseq_cs is 8 bytes into the area */
    assert_int_equal(im->blanks[0].at, 4096 + 0x20 + 8);
    assert_int_equal(im->blanks[2].at, 4096 + 0x220 + 8);
    assert_int_equal(index_find(&s.ix, "pages-2.img")->nblanks, 1);

    for (int i = 0; i < 3; i++) {
        s.rseq[i].rseq_abi_pointer = 0x10000020; /* a file */
        refused(EPERM, "rseq");
        s.rseq[i].rseq_abi_pointer = 0x30000020; /* shared */
        refused(EPERM, "rseq");
        s.rseq[i].rseq_abi_pointer = 0x28000020; /* nowhere */
        refused(EPERM, "rseq");
        s.rseq[i].rseq_abi_pointer += 4;
        refused(EPERM, "rseq");
        s.rseq[i].rseq_abi_size = 16;
        refused(EPERM, "rseq");
        s.rseq[i].rseq_abi_pointer = 0x20003fe0;
        s.rseq[i].rseq_abi_size = 64; /* beyond the end of the mapping */
        refused(EPERM, "rseq");
    }
    s.vma[0][1].flags = 0x1; /* CRIU's word for it says private anonymous, the kernel's shared */
    refused(EBADMSG, "mapping");
    s.vma[0][1].flags = 0x2;
    refused(EPERM, "rseq");
    s.vma[0][1].status = 0x41;
    refused(EPERM, "rseq");
    s.rseq[0].rseq_abi_pointer = 0x20003000; /* a page of zeros: nothing to blank */
    accepted(&t);
    tree_free(&t);
    assert_int_equal(index_find(&s.ix, "pages-1.img")->nblanks, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accepts),
        TEST(test_groups_in_any_order),
        TEST(test_own_label_is_dropped),
        TEST(test_capabilities),
        TEST(test_capability_sets_of_other_sizes),
        TEST(test_ids),
        TEST(test_groups),
        TEST(test_securebits_and_no_new_privs),
        TEST(test_labels),
        TEST(test_seccomp),
        TEST(test_no_creds),
        TEST(test_task_state),
        TEST(test_duplicates),
        TEST(test_duplicates_in_creds),
        TEST(test_framing),
        TEST(test_rseq),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
