/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/place_cores.h"
#include "common/placement.h"

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

/* Packages x NUMA nodes x caches x cores x hyperthreads; the kernel's numbers backwards, to be told apart. */
static struct places shape(unsigned packages, unsigned numas, unsigned caches, unsigned cores,
                           unsigned threads)
{
    struct places p = {(size_t)packages * numas * caches * cores * threads, NULL};

    p.p = calloc(p.n, sizeof *p.p);
    assert_non_null(p.p);
    for (unsigned i = 0; i < p.n; i++)
        p.p[i] = (struct place){.os = (unsigned)p.n - 1 - i,
                                .core = i / threads,
                                .cache = i / threads / cores,
                                .numa = i / threads / cores / caches,
                                .package = i / threads / cores / caches / numas};
    assert_true(places_ok(&p));
    return p;
}

/* "0;1-2": bindings by `;` */
static size_t sets(const char *text, size_t n, struct place_set *out)
{
    char copy[2048], *save = NULL;
    size_t k = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = strtok_r(copy, ";", &save); at; at = strtok_r(NULL, ";", &save))
        assert_true(place_set_parse(at, n, &out[k++]));
    return k;
}

static void maps_to(struct places from, const char *bound, struct places to, const char *wanted)
{
    struct place_set in[64], out[64], want[64];
    size_t n = sets(bound, from.n, in), k = sets(wanted, to.n, want);
    struct err e = {""};

    assert_int_equal(n, k);
    assert_int_equal(place_map(&from, in, n, &to, out, &e), 0);
    for (size_t i = 0; i < n; i++) {
        char got[256], right[256];

        place_set_format(&out[i], got, sizeof got);
        place_set_format(&want[i], right, sizeof right);
        assert_string_equal(got, right);
    }
    free(from.p);
    free(to.p);
}

static void bad_sets(void **state)
{
    static const char *const bad[] = {"",   ",",   "1,",  ",1",   "x",     "-1",
                                      "1-", "3-1", "1-1", "16",   "0-16",  "1 ",
                                      " 1", "1;2", "0x1", "1--2", "1-2-3", "99999999999999999999"};
    struct place_set s = {{7}};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(place_set_parse(bad[i], 16, &s));
    assert_int_equal(s.bits[0], 7);
    assert_false(place_set_parse("1", PLACE_MAX + 1, &s));
}

static void formats(void **state)
{
    static const char *const good[] = {"0", "0-1", "0,2,4", "1-3,5,7-15"};
    struct place_set s;
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(place_set_parse(good[i], 16, &s));
        place_set_format(&s, text, sizeof text);
        assert_string_equal(text, good[i]);
    }
    place_set_format(&s, text, 4); /* cut */
    assert_true(strlen(text) < 4);
}

static void bad_tables(void **state)
{
    struct places p = shape(1, 1, 1, 2, 2), none = {0, NULL};
    struct place keep[4];

    (void)state;
    memcpy(keep, p.p, sizeof keep);
    assert_false(places_ok(&none));
#define BROKEN(change)                                                                             \
    do {                                                                                           \
        change;                                                                                    \
        assert_false(places_ok(&p));                                                               \
        memcpy(p.p, keep, sizeof keep);                                                            \
    } while (0)
    BROKEN(p.p[0].os = p.p[3].os);
    BROKEN(p.p[1].os = PLACE_OS_MAX + 1);
    BROKEN(p.p[0].core = 1);
    BROKEN(p.p[3].core = 3);
    BROKEN(p.p[1].package = 1);
    BROKEN(p.p[2].numa = 4);
    BROKEN(p.p[2].core = p.p[3].core = 5);
#undef BROKEN
    assert_true(places_ok(&p));
    free(p.p);
}

static void bad_bindings(void **state)
{
    struct places p = shape(1, 1, 1, 2, 1);
    struct place_set empty = {{0}}, outside = {{4}}, out = {{99}};
    struct err e = {""};

    (void)state;
    assert_int_equal(place_map(&p, &empty, 1, &p, &out, &e), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(place_map(&p, &outside, 1, &p, &out, &e), -1);
    assert_int_equal(out.bits[0], 99);
    free(p.p);
}

static void same_shape(void **state)
{
    (void)state;
    maps_to(shape(2, 1, 2, 4, 2), "3;17;4-7,30;0-31", shape(2, 1, 2, 4, 2), "3;17;4-7,30;0-31");
}

static void compact(void **state)
{
    (void)state;
    /* one package to two: the first is filled, then the next */
    maps_to(shape(1, 1, 1, 4, 1), "0;1;2;3", shape(2, 1, 1, 2, 1), "0;1;2;3");
    /* two packages, full, to two larger ones: what was together stays together */
    maps_to(shape(2, 1, 1, 2, 1), "0;1;2;3", shape(2, 1, 1, 4, 1), "0;1;4;5");
    /* the first two of four NUMA nodes to the first two */
    maps_to(shape(1, 4, 1, 2, 1), "0;1;2;3", shape(1, 4, 1, 4, 1), "0;1;4;5");
    /* a group goes where there is room for all of it */
    maps_to(shape(2, 1, 1, 4, 1), "4;5;6;7", shape(1, 2, 1, 6, 1), "0;1;2;3");
    /* all of one package into a larger one with several caches */
    maps_to(shape(1, 1, 1, 8, 1), "0-7", shape(1, 1, 4, 4, 1), "0-7");
}

static void spread(void **state)
{
    (void)state;
    /* one thread on each of two packages: again one on each, however large */
    maps_to(shape(2, 1, 1, 4, 1), "0;4", shape(2, 1, 1, 8, 1), "0;8");
    maps_to(shape(2, 1, 1, 4, 1), "0;4", shape(4, 1, 1, 2, 1), "0;4");
    /* four packages to two */
    maps_to(shape(4, 1, 1, 4, 1), "0;4;8;12", shape(2, 1, 1, 8, 1), "0;4;8;12");
    /* every other core: gaps again */
    maps_to(shape(1, 1, 1, 8, 1), "0;2;4;6", shape(1, 1, 1, 16, 1), "0;4;8;12");
    /* one per cache */
    maps_to(shape(1, 1, 4, 2, 1), "0;2;4;6", shape(1, 1, 4, 4, 1), "0;4;8;12");
    /* two packages to one */
    maps_to(shape(2, 1, 1, 4, 1), "0;4", shape(1, 1, 1, 8, 1), "0;4");
}

static void fewer_cores(void **state)
{
    (void)state;
    maps_to(shape(1, 1, 1, 8, 1), "0;1;2;3;4;5;6;7", shape(1, 1, 1, 4, 1), "0;0;1;1;2;2;3;3");
    maps_to(shape(1, 1, 1, 3, 1), "0;1;2", shape(1, 1, 1, 2, 1), "0;0;1");
    maps_to(shape(2, 1, 1, 2, 1), "0-1;2-3", shape(1, 1, 1, 2, 1), "0;1");
    maps_to(shape(1, 1, 1, 4, 1), "0;1;2;3", shape(1, 1, 1, 1, 1), "0;0;0;0");
    /* two per core, two hyperthreads: each its own */
    maps_to(shape(1, 1, 1, 4, 1), "0;1;2;3", shape(1, 1, 1, 2, 2), "0;1;2;3");
}

static void hyperthreads(void **state)
{
    (void)state;
    /* whole cores stay whole */
    maps_to(shape(1, 1, 1, 2, 2), "0-1;2-3", shape(1, 1, 1, 3, 1), "0;1");
    maps_to(shape(1, 1, 1, 2, 1), "0;1", shape(1, 1, 1, 4, 2), "0-1;2-3");
    /* one hyperthread stays one */
    maps_to(shape(1, 1, 1, 2, 2), "1;3", shape(1, 1, 1, 4, 2), "1;3");
    /* both of a core, where there are none: cores of their own while there are enough */
    maps_to(shape(1, 1, 1, 2, 2), "0;1", shape(1, 1, 1, 4, 1), "0;1");
    maps_to(shape(1, 1, 1, 2, 2), "0;1;2;3", shape(1, 1, 1, 3, 1), "0;0;1;2");
    /* more of them */
    maps_to(shape(1, 1, 1, 2, 2), "0;1;2;3", shape(1, 1, 1, 3, 4), "0-1;2-3;4-5;6-7");
}

static void overlaps(void **state)
{
    (void)state;
    /* two nested in a third */
    maps_to(shape(2, 1, 1, 2, 1), "0-1;0;1;2-3", shape(2, 1, 1, 3, 1), "0-1;0;1;3-4");
}

/* ---- every shape to every shape ---- */

static const unsigned shapes[][5] = {{1, 1, 1, 1, 1}, {1, 1, 1, 2, 1}, {1, 1, 1, 1, 2},
                                     {1, 1, 1, 6, 1}, {1, 1, 2, 4, 1}, {1, 2, 1, 4, 2},
                                     {2, 1, 1, 4, 1}, {2, 2, 2, 2, 2}, {4, 1, 1, 2, 2},
                                     {1, 4, 2, 2, 1}, {1, 1, 1, 3, 4}, {2, 4, 2, 4, 2}};
#define NSHAPES (sizeof shapes / sizeof shapes[0])

static struct places nth_shape(size_t i)
{
    return shape(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], shapes[i][4]);
}

static void check_rule(const struct places *from, const struct place_set *in, size_t n,
                       const struct places *to, const struct place_set *out)
{
    for (size_t i = 0; i < n; i++) {
        assert_false(place_set_is_empty(&out[i]));
        for (size_t k = to->n; k < PLACE_MAX; k++)
            assert_false(place_set_has(&out[i], k));
        for (size_t j = 0; j < i; j++)
            if (!place_cores_share(from, &in[i], &in[j]) && place_cores_share(to, &out[i], &out[j]))
                assert_false(place_cores_free(to, out, n));
    }
}

/* One place each, every `step`th; then sets of neighbours. */
static void all_shapes(void **state)
{
    static struct place_set in[256], out[256], again[256];
    unsigned tried = 0;

    (void)state;
    for (size_t a = 0; a < NSHAPES; a++)
        for (size_t b = 0; b < NSHAPES; b++)
            for (unsigned step = 1; step <= 5; step++)
                for (unsigned width = 1; width <= 3; width++) {
                    struct places from = nth_shape(a), to = nth_shape(b);
                    size_t n = 0;

                    memset(in, 0, sizeof in);
                    for (size_t i = 0; i + width <= from.n; i += step, n++)
                        for (size_t k = 0; k < width; k++)
                            place_set_add(&in[n], i + k);
                    assert_int_equal(place_map(&from, in, n, &to, out, NULL), 0);
                    check_rule(&from, in, n, &to, out);
                    assert_int_equal(place_map(&from, in, n, &to, again, NULL), 0);
                    assert_memory_equal(out, again, n * sizeof *out);
                    tried++;
                    free(from.p);
                    free(to.p);
                }
    assert_int_equal(tried, NSHAPES * NSHAPES * 15);
}

/* Any bindings, from a generator that always gives the same. */
static void random_bindings(void **state)
{
    static struct place_set in[40], out[40];
    uint32_t seed = 12345;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct places from, to;
        size_t n;

#define NEXT(below) ((seed = seed * 1664525u + 1013904223u) >> 8) % (below)
        from = nth_shape(NEXT(NSHAPES));
        to = nth_shape(NEXT(NSHAPES));
        n = 1 + NEXT(sizeof in / sizeof in[0]);
        memset(in, 0, sizeof in);
        for (size_t i = 0; i < n; i++) {
            unsigned members = 1 + NEXT(4);

            for (unsigned k = 0; k < members; k++)
                place_set_add(&in[i], NEXT(from.n));
        }
#undef NEXT
        assert_int_equal(place_map(&from, in, n, &to, out, NULL), 0);
        check_rule(&from, in, n, &to, out);
        for (size_t i = 0; i < n; i++) /* what overlapped does */
            for (size_t j = 0; j < i; j++)
                for (size_t k = 0; k < from.n; k++)
                    if (place_set_has(&in[i], k) && place_set_has(&in[j], k))
                        assert_true(place_cores_share(&to, &out[i], &out[j]));
        free(from.p);
        free(to.p);
    }
}

/* ---- NUMA nodes ---- */

static void map_nodes(struct places from, const char *bound, struct places to, const char *want)
{
    struct place_set b, nodes[8] = {{{0}}};
    char text[64] = "", one[32];

    if (*bound)
        assert_true(place_set_parse(bound, from.n, &b));
    assert_int_equal(place_map_nodes(&from, &b, *bound != '\0', &to, nodes, NULL), 0);
    for (size_t i = 0; i < places_nodes(&from); i++) {
        place_set_format(&nodes[i], one, sizeof one);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", one);
    }
    assert_string_equal(text, want);
    free(from.p);
    free(to.p);
}

/* shape(packages, NUMA nodes in each, caches in each, cores in each, threads of each) */
static void numa_nodes(void **state)
{
    struct places none = {0, NULL}, one = shape(1, 1, 1, 1, 1);
    struct place_set n[1];

    (void)state;
    assert_int_equal(place_map_nodes(&none, NULL, 0, &one, n, NULL), -1);
    free(one.p);
    map_nodes(shape(1, 2, 1, 2, 1), "", shape(1, 2, 1, 2, 1), "0 1");
    map_nodes(shape(1, 2, 1, 2, 1), "", shape(1, 1, 1, 4, 1), "0 0");
    map_nodes(shape(1, 2, 1, 2, 1), "", shape(1, 4, 1, 1, 1), "0 2");
    map_nodes(shape(1, 2, 1, 2, 1), "2", shape(1, 2, 1, 2, 1), "0 1");
    /* what was bound in the second node goes to the first of another machine, and its memory with it */
    map_nodes(shape(1, 2, 1, 2, 1), "2-3", shape(1, 2, 1, 4, 1), "0 0");
    map_nodes(shape(1, 1, 1, 4, 1), "0-3", shape(1, 2, 1, 2, 1), "0-1");
}

/* ---- placement.json ---- */

static struct placement sample(void)
{
    struct placement p = {.node = "n1", .created = "2026-01-31T23:59:59Z"};
    struct place_set s = {{5}};

    p.places = shape(1, 1, 1, 2, 2);
    assert_int_equal(placement_binding(&p, &s), 0);
    assert_int_equal(placement_binding(&p, &s), 0);
    assert_int_equal(placement_add_thread(&p, 300, 300, PLACEMENT_UNBOUND), 0);
    assert_int_equal(placement_add_thread(&p, 301, 301, 0), 0);
    assert_int_equal(placement_add_thread(&p, 301, 302, PLACEMENT_UNBOUND), 0);
    p.clock_ms = 77;
    assert_int_equal(placement_memory_of(&p, 301, 301, "bind", "0"), 0);
    assert_int_equal(placement_memory_of(&p, 301, 0, "interleave", "0"), 1);
    assert_int_equal(placement_memory_of(&p, 301, 301, "bind", "0"), 0);
    assert_int_equal(placement_add_area(&p, 1, 4096, 8192), 0);
    assert_int_equal(placement_add_area(&p, 1, 12288, 4096), 0); /* joined */
    assert_int_equal(placement_add_area(&p, 1, 40960, 4096), 0);
    return p;
}

static void broken_placements(void **state)
{
    static const struct {
        const char *from, *to;
    } edits[] = {{"placement\",", "else\","},
                 {"\"version\":1", "\"version\":2"},
                 {"[3,0,0,0,0]", "[2,0,0,0,0]"},
                 {"[3,0,0,0,0]", "[3,0,0,0]"},
                 {"[3,0,0,0,0]", "[3,0,0,0,-1]"},
                 {"[3,0,0,0,0]", "\"x\""},
                 {"\"0,2\"", "\"0,4\""},
                 {"\"0,2\"", "\"\""},
                 {"[301,301]", "[301,0]"},
                 {"[301,301]", "[301]"},
                 {"\"unbound\":", "\"other\":"},
                 {"\"step\":false", "\"step\":0"},
                 {"[4096,12288]", "[4096,-1]"},
                 {"[4096,12288]", "[0,1]"},
                 {"[4096,12288]", "[4096,9223372036854775807]"},
                 {"[4096,12288]", "[4096]"},
                 {"\"areas\":[]", "\"areas\":9"},
                 {"\"tid\":301", "\"tid\":-1"},
                 {"\"clock_ms\":77", "\"clock_ms\":-1"},
                 {"\"clock_ms\":77,", ""},
                 {"\"bind\"", "\"b\\u0007d\""},
                 {"\"n1\"", "null"},
                 {"\"memory\":[", "\"x\":1,\"memory\":["}};
    struct placement p = sample(), got;
    char *text = placement_encode(&p, NULL);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        const char *at = strstr(text, edits[i].from);
        char changed[2048];
        struct err e = {""};

        if (!at)
            fail_msg("%s is not in %s", edits[i].from, text);
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, edits[i].to,
                 at + strlen(edits[i].from));
        errno = 0;
        if (placement_decode(changed, strlen(changed), &got, &e) == 0)
            fail_msg("accepted: %s", changed);
        assert_int_equal(errno, EBADMSG);
        assert_non_null(strstr(e.text, "placement"));
    }
    assert_int_equal(placement_decode("", 0, &got, NULL), -1);
    free(text);
    placement_free(&p);
}

static void round_trip(void **state)
{
    struct placement p = sample(), got;
    char *text = placement_encode(&p, NULL), *again;

    (void)state;
    assert_non_null(text);
    assert_int_equal(placement_decode(text, strlen(text), &got, NULL), 0);
    again = placement_encode(&got, NULL);
    assert_string_equal(text, again);
    assert_int_equal(placement_of(&got, 301, 301), 0);
    assert_int_equal(placement_of(&got, 301, 302), PLACEMENT_UNBOUND);
    assert_int_equal(placement_of(&got, 301, 999), 0); /* younger: its leader's */
    assert_int_equal(placement_of(&got, 300, 999), PLACEMENT_UNBOUND);
    assert_int_equal(got.clock_ms, 77);
    assert_int_equal(got.memory[1].nareas, 2);
    assert_string_equal(placement_policy_of(&got, 301, 301)->policy, "bind");
    assert_null(placement_policy_of(&got, 301, 302));                         /* had none */
    assert_string_equal(placement_policy_of(&got, 301, 999)->policy, "bind"); /* younger */
    assert_null(placement_policy_of(&got, 300, 300));
    assert_int_equal(placement_of(&got, 999, 999), PLACEMENT_UNBOUND);
    free(text);
    free(again);
    placement_free(&p);
    placement_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_sets),     cmocka_unit_test(formats),
        cmocka_unit_test(bad_tables),   cmocka_unit_test(bad_bindings),
        cmocka_unit_test(same_shape),   cmocka_unit_test(compact),
        cmocka_unit_test(spread),       cmocka_unit_test(fewer_cores),
        cmocka_unit_test(hyperthreads), cmocka_unit_test(overlaps),
        cmocka_unit_test(all_shapes),   cmocka_unit_test(random_bindings),
        cmocka_unit_test(numa_nodes),   cmocka_unit_test(broken_placements),
        cmocka_unit_test(round_trip),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
