/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With a base of its own in the place of the real one: frames that begin with a known page.
 */
#include "dump/cut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define PAGE FRAMELINE_MARK_BYTES
#define PAGES 64u

static uint8_t memory[PAGES * PAGE];

/* Pages 10, 20 (there are two such) and 30 begin frames of 10 pages. */
uint32_t base_begins(const struct base *b, uint64_t mark, bool *alone)
{
    (void)b;
    *alone = mark != frameline_mark(memory + 20 * PAGE, PAGE);
    for (size_t i = 10; i <= 30; i += 10)
        if (mark == frameline_mark(memory + i * PAGE, PAGE))
            return 10 * PAGE;
    return 0;
}

static void prepare(void)
{
    for (size_t i = 0; i < sizeof memory; i++)
        memory[i] = (uint8_t)(i / PAGE * 3 + i % 7);
}

static void nothing_yet(void **state)
{
    struct cut c = {0, 0};

    (void)state;
    prepare();
    assert_int_equal(cut_find(&c, NULL, memory, 0), 0);
    assert_int_equal(cut_find(&c, NULL, memory, PAGE - 1), 0);
    assert_int_equal(c.seen, 0);
    assert_int_equal(cut_find(&c, NULL, memory, 10 * PAGE + PAGE - 1), 0); /* half of it is there */
    assert_int_equal(c.seen, 10 * PAGE);
    assert_int_equal(cut_find(&c, NULL, memory, 11 * PAGE), 10 * PAGE);
}

static void never_at_its_own_beginning(void **state)
{
    struct cut c = {0, 0};

    (void)state;
    prepare();
    assert_int_equal(cut_find(&c, NULL, memory + 10 * PAGE, 5 * PAGE), 0);
    assert_int_equal(c.expect, 10 * PAGE);
    assert_int_equal(cut_find(&c, NULL, memory + 10 * PAGE, 30 * PAGE), 10 * PAGE);
}

/* A page of which there are several ends no frame that is shorter than it was. */
static void common_pages(void **state)
{
    struct cut c = {0, 0};

    (void)state;
    prepare();
    memcpy(memory + 15 * PAGE, memory + 20 * PAGE, PAGE);
    assert_int_equal(cut_find(&c, NULL, memory + 10 * PAGE, 12 * PAGE), 10 * PAGE);
    /* but where nobody knows how long it was */
    memcpy(memory + 5 * PAGE, memory + 20 * PAGE, PAGE);
    c = (struct cut){0, 0};
    assert_int_equal(cut_find(&c, NULL, memory, 12 * PAGE), 5 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_yet),
        cmocka_unit_test(never_at_its_own_beginning),
        cmocka_unit_test(common_pages),
    };

    return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}
