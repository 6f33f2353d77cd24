/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two lists of a manifest: parts and processes.
 */
#include "common/manifest.h"

#include "common/manifest_sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static json_t *part(json_t *o, size_t i)
{
    return json_array_get(json_object_get(o, "parts"), i);
}

static void parts(void **state)
{
    static const char *const digests[] = {
        "", "0123", (SAMPLE_SHA "0"),
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    json_t *o;

    (void)state;
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        o = manifest_sample_json();
        json_object_set_new(part(o, 1), "sha256", json_string(digests[i]));
        assert_int_equal(manifest_sample_decode(o), -1);
    }
    o = manifest_sample_json();
    json_object_set_new(part(o, 0), "name", json_string("../pages.zst"));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(part(o, 0), "name", json_string(MANIFEST_PAGES)); /* twice */
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_array_remove(json_object_get(o, "parts"), 2);
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_array_append(json_object_get(o, "parts"), part(o, 0));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(part(o, 2), "bytes", json_integer(-1));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(part(o, 2), "mode", json_integer(1));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_del(part(o, 2), "sha256");
    assert_int_equal(manifest_sample_decode(o), -1);
}

static void parts_in_any_order(void **state)
{
    struct manifest m = manifest_sample(), g;
    struct manifest_part first = m.parts[0];
    char *text;

    (void)state;
    m.parts[0] = m.parts[2];
    m.parts[2] = first;
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    free(text);
    assert_string_equal(g.parts[0].name, MANIFEST_IMAGES);
    assert_int_equal(g.parts[0].bytes, 100);
    assert_string_equal(g.parts[2].name, MANIFEST_INDEX);
    assert_int_equal(g.parts[2].bytes, 300);
    manifest_free(&g);
}

static json_t *process(json_t *o, size_t i)
{
    return json_array_get(json_object_get(o, "processes"), i);
}

static json_t *with_links(json_int_t depth, const char *links)
{
    json_t *o = manifest_sample_json();

    json_object_set_new(o, "incremental",
                        json_pack("{s:I, s:o}", "depth", depth, "linked",
                                  json_loads(links, JSON_DECODE_ANY, NULL)));
    return o;
}

#define LINK(name, bytes, used)                                                                    \
    "{\"generation\": \"" name "\", \"bytes\": " #bytes ", \"used\": " #used "}"

static void incremental(void **state)
{
    /* The sample is gen-0002-000007. */
    static const char *const bad[] = {
        "{}",
        "7",
        "[7]",
        "[]", /* depth 1 */
        "[" LINK("gen-0002-000007", 2, 1) "]",
        "[" LINK("gen-0003-000001", 2, 1) "]",
        "[" LINK("gen-0001-000001.partial", 2, 1) "]",
        "[" LINK("../gen-0001-000001", 2, 1) "]",
        "[" LINK("gen-1-1", 2, 1) "]",
        "[" LINK("gen-0001-000001", 0, 0) "]",
        "[" LINK("gen-0001-000001", 2, 0) "]",
        "[" LINK("gen-0001-000001", 2, 3) "]",
        "[" LINK("gen-0001-000001", -2, 1) "]",
        "[" LINK("gen-0001-000001", 2, 1) ", " LINK("gen-0001-000001", 2, 1) "]",
        "[" LINK("gen-0001-000002", 2, 1) ", " LINK("gen-0001-000001", 2, 1) "]",
        "[{\"generation\": \"gen-0001-000001\", \"bytes\": 2}]",
        "[{\"generation\": \"gen-0001-000001\", \"bytes\": 2, \"used\": 1, \"x\": 1}]",
    };
    static const char good[] =
        "[" LINK("gen-0001-000002", 200, 1) ", " LINK("gen-0002-000006", 2, 2) "]";
    char many[8192] = "[";
    json_t *o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(manifest_sample_decode(with_links(1, bad[i])), -1);
    assert_int_equal(manifest_sample_decode(with_links(0, good)), -1);
    assert_int_equal(manifest_sample_decode(with_links(MANIFEST_DEPTH_MAX + 1, good)), -1);
    o = with_links(1, good);
    json_object_set_new(json_object_get(o, "incremental"), "more", json_true());
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(o, "incremental", json_true());
    assert_int_equal(manifest_sample_decode(o), -1);
    for (unsigned i = 1; i <= MANIFEST_LINKS_MAX + 1; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%s" LINK("gen-0000-%06u", 2, 1),
                 i > 1 ? ", " : "", i);
    snprintf(many + strlen(many), sizeof many - strlen(many), "]");
    assert_int_equal(manifest_sample_decode(with_links(1, many)), -1);
    assert_int_equal(manifest_sample_decode(with_links(1, good)), 0);
    assert_int_equal(manifest_sample_decode(with_links(0, "[]")), 0);
}

static void links_there_and_back(void **state)
{
    struct manifest m = manifest_sample(), g;
    char *text;

    (void)state;
    m.incremental = true;
    m.depth = 3;
    m.nlinks = 2;
    m.links[0] = (struct manifest_link){{0, 1}, INT64_MAX, 1};
    m.links[1] = (struct manifest_link){{2, 6}, 5, 5};
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    assert_true(g.incremental && g.depth == 3 && g.nlinks == 2);
    assert_int_equal(g.links[1].generation.sequence, 6);
    assert_int_equal(g.links[0].bytes, INT64_MAX);
    assert_int_equal(manifest_written(&g), g.parts[0].bytes + g.parts[1].bytes + g.parts[2].bytes);
    manifest_free(&g);
    free(text);
    m.links[1].generation = m.links[0].generation;
    assert_null(manifest_encode(&m, NULL));
}

static void process_fields(void **state)
{
    static const char *const keys[] = {"pid", "ppid", "pgid", "sid"};
    json_t *o;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        o = manifest_sample_json();
        json_object_set_new(process(o, 1), keys[i], json_integer(-1));
        assert_int_equal(manifest_sample_decode(o), -1);
        o = manifest_sample_json();
        json_object_set_new(process(o, 1), keys[i], json_integer(INT64_C(1) << 31));
        assert_int_equal(manifest_sample_decode(o), -1);
        o = manifest_sample_json();
        json_object_set_new(process(o, 1), keys[i], json_string("300"));
        assert_int_equal(manifest_sample_decode(o), -1);
        o = manifest_sample_json();
        json_object_del(process(o, 1), keys[i]);
        assert_int_equal(manifest_sample_decode(o), -1);
        o = manifest_sample_json();
        json_object_set_new(process(o, 1), keys[i], json_integer(0));
        assert_int_equal(manifest_sample_decode(o),
                         i == 1 ? 0 : -1); /* only a parent may be outside */
    }
    o = manifest_sample_json();
    json_object_set_new(process(o, 1), "comm", json_string("1234567890123456"));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(process(o, 1), "comm", json_string("\033"));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(process(o, 1), "uid", json_integer(0));
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(o, "processes", json_array());
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_array_append_new(json_object_get(o, "processes"), json_integer(1));
    assert_int_equal(manifest_sample_decode(o), -1);
}

static void process_threads(void **state)
{
    static const char *const bad[] = {
        "[]",
        "[311]",
        "[310,310]",
        "[310,0]",
        "[310,-1]",
        "[310,2147483648]",
        "[310,\"311\"]",
        "[310,300]",
        "[310,302]",
        "{}",
        "310",
        "[310,null]",
        "[[310]]",
    };
    json_t *o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = manifest_sample_json();
        json_object_set_new(process(o, 1), "threads", json_loads(bad[i], JSON_DECODE_ANY, NULL));
        if (manifest_sample_decode(o) == 0)
            fail_msg("accepted: %s", bad[i]);
    }
    o = manifest_sample_json();
    json_object_set_new(process(o, 1), "threads", json_loads("[2147483647,310,9]", 0, NULL));
    assert_int_equal(manifest_sample_decode(o), 0);
    o = manifest_sample_json(); /* the same process twice */
    json_array_append_new(json_object_get(o, "processes"), json_deep_copy(process(o, 0)));
    assert_int_equal(manifest_sample_decode(o), -1);
}

static void large_trees(void **state)
{
    struct manifest m = manifest_sample(), g;
    struct manifest_process p = m.processes[0];
    uint32_t *tids = calloc(100001, sizeof *tids);
    struct err e = {""};
    char *text;

    (void)state;
    assert_non_null(tids);
    for (uint32_t i = 0; i <= 100000; i++)
        tids[i] = 300 + i;
    p.threads = tids;
    m.processes = &p;
    m.nprocesses = 1;
    p.nthreads = 100000;
    text = manifest_encode(&m, &e);
    assert_non_null(text);
    assert_true(strlen(text) < MANIFEST_MAX_BYTES);
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    assert_int_equal(g.processes[0].nthreads, 100000);
    manifest_free(&g);
    free(text);
    p.nthreads = 100001;
    assert_null(manifest_encode(&m, &e));
    free(tids);
}

static void any_comm_can_be_written(void **state)
{
    struct manifest m = manifest_sample(), g;
    char *text;

    (void)state;
    memcpy(m.processes[1].comm, "\303\251\n\"x\033\\\377", 9);
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    assert_string_equal(g.processes[1].comm, "???\"x?\\?");
    manifest_free(&g);
    free(text);
    m = manifest_sample();
    memset(m.processes[1].comm, 'c', 16); /* no end */
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),          cmocka_unit_test(parts_in_any_order),
        cmocka_unit_test(incremental),    cmocka_unit_test(links_there_and_back),
        cmocka_unit_test(process_fields), cmocka_unit_test(process_threads),
        cmocka_unit_test(large_trees),    cmocka_unit_test(any_comm_can_be_written),
    };

    return cmocka_run_group_tests_name("manifest_lists", tests, NULL, NULL);
}
