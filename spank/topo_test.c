/* SPDX-License-Identifier: GPL-2.0-or-later */
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
        cmocka_unit_test(no_cpus),      cmocka_unit_test(logical_numbers),
        cmocka_unit_test(unknown_cpus), cmocka_unit_test(interleaved_numbers),
        cmocka_unit_test(outside),      cmocka_unit_test(across_machines),
        cmocka_unit_test(this_machine),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
