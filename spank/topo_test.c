/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/place_cores.h"
#include "spank/topo.h"

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

static struct topo_cpus cpus(const char *text)
{
    struct topo_cpus c;
    struct place_set s;

    memset(&c, 0, sizeof c);
    assert_true(place_set_parse(text, PLACE_MAX, &s));
    for (size_t i = 0; i < PLACE_MAX; i++)
        if (place_set_has(&s, i))
            CPU_SET_S(i, sizeof c, c.set);
    return c;
}

static struct places machine(const char *synthetic, const char *allowed)
{
    struct topo_cpus c = cpus(allowed);
    struct places p = {0, NULL};
    struct err e = {""};

    if (topo_places(&c, synthetic, &p, NULL, 0, &e) < 0)
        fail_msg("%s: %s", synthetic, e.text);
    return p;
}

static void no_cpus(void **state)
{
    struct topo_cpus none;
    struct places p = {7, NULL};

    (void)state;
    memset(&none, 0, sizeof none);
    assert_int_equal(topo_places(&none, NULL, &p, NULL, 0, NULL), -1);
    assert_int_equal(p.n, 7);
}

static void logical_numbers(void **state)
{
    uint32_t numa[8];
    struct topo_cpus c = cpus("8-15");
    struct places p;

    (void)state;
    /* the second package of two: its numbers begin at 0 */
    assert_int_equal(topo_places(&c, "pack:2 [numa] l3:2 core:2 pu:2", &p, numa, 8, NULL), 0);
    assert_int_equal(p.n, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(p.p[i].os, 8 + i);
        assert_int_equal(p.p[i].package, 0);
        assert_int_equal(p.p[i].numa, 0);
        assert_int_equal(p.p[i].cache, i / 4);
        assert_int_equal(p.p[i].core, i / 2);
    }
    assert_int_equal(numa[0], UINT32_MAX);
    assert_int_equal(numa[1], 0);
    free(p.p);
}

/* What the kernel calls 0 and 1 need not be neighbours. */
static void interleaved_numbers(void **state)
{
    struct places p = machine("pack:2 core:4 pu:1(indexes=0,2,4,6,1,3,5,7)", "0-3");

    (void)state;
    assert_int_equal(p.n, 4);
    assert_int_equal(p.p[0].os, 0);
    assert_int_equal(p.p[1].os, 2);
    assert_int_equal(p.p[2].os, 1);
    assert_int_equal(p.p[2].package, 1);
    free(p.p);
}

static void unknown_cpus(void **state)
{
    struct places p = machine("core:2 pu:1", "0-3"); /* hwloc knows less than the kernel */

    (void)state;
    assert_int_equal(p.n, 4);
    assert_int_equal(p.p[3].core, 3);
    free(p.p);
    p = machine("nonsense", "0-1");
    assert_int_equal(p.n, 2);
    free(p.p);
}

static void maps(const char *from, const char *from_cpus, const char *bound, const char *to,
                 const char *to_cpus, const char *wanted)
{
    struct places a = machine(from, from_cpus), b = machine(to, to_cpus);
    struct topo_cpus in = cpus(bound), want = cpus(wanted), out;
    struct place_set s, t;

    assert_true(topo_places_of(&a, &in, &s));
    assert_int_equal(place_map(&a, &s, 1, &b, &t, NULL), 0);
    topo_cpus_of(&b, &t, &out);
    assert_true(topo_equal(&out, &want));
    assert_true(topo_within(&out, &want));
    free(a.p);
    free(b.p);
}

/* The kernel's numbers of one machine to those of another. */
static void across_machines(void **state)
{
    (void)state;
    /* the other half of the same node */
    maps("pack:2 [numa] core:4 pu:1", "0-3", "1-2", "pack:2 [numa] core:4 pu:1", "4-7", "5-6");
    /* numbered alternately on the new one: its second package */
    maps("pack:2 [numa] core:4 pu:1", "0-7", "4-7",
         "pack:2 [numa] core:4 pu:1(indexes=0,2,4,6,1,3,5,7)", "0-7", "1,3,5,7");
    /* hyperthreads numbered behind the cores */
    maps("pack:1 core:4 pu:1", "0-3", "2", "pack:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)", "0-7",
         "0,4");
    /* chiplets, of which the allocation has two halves */
    maps("pack:1 l3:2 core:4 pu:1", "2-5", "2-3", "pack:1 l3:4 core:2 pu:1", "0-3", "0-1");
}

/* ---- any allocation of any machine ---- */

static uint32_t seed = 2026;
static uint32_t next(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Packages, NUMA nodes, caches, cores and hyperthreads as hwloc describes them, and of its CPUs some: uneven, with gaps. */
static struct places some_machine(uint32_t numa[], size_t numa_size)
{
    unsigned pack = 1 + next(3), node = 1 + next(2), l3 = 1 + next(2), core = 1 + next(4),
             pu = 1 + next(2), n = pack * node * l3 * core * pu, most = next(3);
    struct places p = {0, NULL};
    char synthetic[100];
    struct topo_cpus c;

    snprintf(synthetic, sizeof synthetic, "pack:%u group:%u [numa] l3:%u core:%u pu:%u", pack, node,
             l3, core, pu);
    memset(&c, 0, sizeof c);
    CPU_SET_S(next(n), sizeof c, c.set);
    for (unsigned i = 0; i < n; i++)
        if (next(3) <= most)
            CPU_SET_S(i, sizeof c, c.set);
    assert_int_equal(topo_places(&c, synthetic, &p, numa, numa_size, NULL), 0);
    assert_int_equal(p.n, (size_t)CPU_COUNT_S(sizeof c, c.set));
    assert_true(places_ok(&p));
    return p;
}

static void check_mapping(const struct places *from, const struct place_set *in, size_t n,
                          const struct places *to, const struct place_set *out)
{
    struct topo_cpus all, got;
    struct place_set every;

    memset(&every, 0, sizeof every);
    for (size_t i = 0; i < to->n; i++)
        place_set_add(&every, i);
    topo_cpus_of(to, &every, &all);
    for (size_t i = 0; i < n; i++) {
        assert_false(place_set_is_empty(&out[i]));
        topo_cpus_of(to, &out[i], &got);
        assert_true(topo_within(&got, &all)); /* never outside the cpuset */
        assert_true(CPU_COUNT_S(sizeof got, got.set) > 0);
        if (places_same_shape(from, to)) /* exactly */
            assert_true(place_set_equal(&in[i], &out[i]));
        for (size_t j = 0; j < i; j++)
            if (!place_cores_share(from, &in[i], &in[j]) && place_cores_share(to, &out[i], &out[j]))
                assert_false(place_cores_free(to, out, n));
    }
}

static void any_machine(void **state)
{
    static struct place_set in[24], out[24], nodes[64];
    unsigned same = 0, several = 0;

    (void)state;
    for (int round = 0; round < 600; round++) {
        uint32_t numa[16];
        const uint32_t before = seed;
        struct places from = some_machine(NULL, 0), to;
        size_t n = 1 + next(24);

        if (round % 5 == 0) /* the same one again */
            seed = before;
        to = some_machine(numa, 16);
        memset(in, 0, sizeof in);
        for (size_t i = 0; i < n; i++)
            for (uint32_t k = 1 + next(3); k > 0; k--)
                place_set_add(&in[i], next((uint32_t)from.n));
        assert_int_equal(place_map(&from, in, n, &to, out, NULL), 0);
        check_mapping(&from, in, n, &to, out);
        /* memory: to nodes of the new allocation, which the kernel has */
        assert_int_equal(place_map_nodes(&from, in, n, &to, nodes, NULL), 0);
        for (size_t i = 0; i < places_nodes(&from); i++) {
            assert_false(place_set_is_empty(&nodes[i]));
            for (size_t k = places_nodes(&to); k < 64; k++)
                assert_false(place_set_has(&nodes[i], k));
        }
        for (size_t i = 0; i < 16; i++)
            assert_true(numa[i] == UINT32_MAX || numa[i] < places_nodes(&to));
        same += places_same_shape(&from, &to);
        several += places_nodes(&to) > 1;
        free(from.p);
        free(to.p);
    }
    assert_true(same >= 120 && several >= 120); /* the generator makes what is to be tried */
}

static void outside(void **state)
{
    struct places p = machine("core:4 pu:1", "0-1");
    struct topo_cpus c = cpus("1-2"), one = cpus("1");
    struct place_set s;

    (void)state;
    assert_false(topo_places_of(&p, &c, &s));
    assert_true(topo_places_of(&p, &one, &s));
    assert_false(topo_within(&c, &one));
    assert_true(topo_within(&one, &c));
    free(p.p);
}

static void this_machine(void **state)
{
    struct topo_cpus own, all, after;
    struct places p;
    struct err e = {""};

    (void)state;
    assert_int_equal(topo_get(0, &own), 0);
    assert_int_equal(topo_cpuset(&all, &e), 0);
    assert_true(topo_within(&own, &all));
    assert_int_equal(topo_get(0, &after), 0);
    assert_true(topo_equal(&own, &after));
    assert_int_equal(topo_places(&own, NULL, &p, NULL, 0, &e), 0);
    assert_int_equal(p.n, (size_t)CPU_COUNT_S(sizeof own, own.set));
    assert_int_equal(topo_set(-1, &own), -1);
    free(p.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cpus),         cmocka_unit_test(logical_numbers),
        cmocka_unit_test(unknown_cpus),    cmocka_unit_test(interleaved_numbers),
        cmocka_unit_test(any_machine),     cmocka_unit_test(outside),
        cmocka_unit_test(across_machines), cmocka_unit_test(this_machine),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
