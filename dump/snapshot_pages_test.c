/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A child stands for a snapshot process, its page tables are the kernel's; CRIU's image of its own pages is made here.
 */
#include "dump/snapshot_pages.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define PAGE 4096u
#define PAGES 64u
#define CRIUS 0x10000u /* where CRIU's page was */
#define PRESENT 4u     /* of CRIU's pagemap */
#define PARENT 1u

/* In the area: what was written to of it. */
static const struct span {
    unsigned first, n;
} spans[] = {{0, 8}, {16, 4}, {63, 1}};
#define SPANS (sizeof spans / sizeof *spans)
#define OWN 13u /* pages in them */

struct env {
    uint8_t *region, held[PAGE];
    pid_t child;
    struct snapshot_area area;
    struct snapshot_process p;
    struct images *images;
    struct snapshot_pages *sp;
};

struct entry {
    uint64_t vaddr;
    unsigned n;
    uint32_t flags;
};

static void put_pagemap(struct images *images, const char *name, const struct entry *e, size_t n)
{
    PagemapHead head = PAGEMAP_HEAD__INIT;
    struct crimg_name parsed;
    uint8_t *data = malloc(64 + n * 64);
    size_t len, one;

    assert_non_null(data);
    assert_true(crimg_parse_name(name, &parsed));
    len = crimg_head_put(&parsed, data);
    head.pages_id = 7;
    one = pagemap_head__pack(&head, data + len + 4);
    crimg_put32(data + len, (uint32_t)one);
    len += 4 + one;
    for (size_t i = 0; i < n; i++) {
        PagemapEntry m = PAGEMAP_ENTRY__INIT;

        m.vaddr = e[i].vaddr;
        m.compat_nr_pages = e[i].n;
        m.has_flags = m.has_nr_pages = 1;
        m.nr_pages = e[i].n;
        m.flags = e[i].flags;
        if (e[i].flags & PARENT)
            m.has_in_parent = m.in_parent = 1;
        one = pagemap_entry__pack(&m, data + len + 4);
        crimg_put32(data + len, (uint32_t)one);
        len += 4 + one;
    }
    assert_int_equal(images_replace(images, name, data, len, NULL), 0);
}

static const char *pagemap_name(const struct env *e)
{
    static char name[CRIMG_NAME_MAX + 1];

    snprintf(name, sizeof name, "pagemap-%d.img", (int)e->child);
    return name;
}

static int proc(pid_t pid, const char *what)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    const struct entry own = {CRIUS, 1, PRESENT};

    assert_non_null(e);
    e->region = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(e->region != MAP_FAILED);
    (void)madvise(e->region, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < SPANS; i++)
        for (unsigned n = 0; n < spans[i].n; n++)
            memset(e->region + (size_t)(spans[i].first + n) * PAGE, (int)(spans[i].first + n + 1),
                   PAGE);
    memset(e->held, 'C', sizeof e->held);
    e->child = fork();
    assert_true(e->child >= 0);
    if (e->child == 0)
        for (;;)
            pause();
    e->area = (struct snapshot_area){(uintptr_t)e->region, (uintptr_t)e->region + PAGES * PAGE};
    e->p = (struct snapshot_process){.pid = e->child,
                                     .child = e->child,
                                     .pidfd = -1,
                                     .memfd = proc(e->child, "mem"),
                                     .pagemapfd = proc(e->child, "pagemap"),
                                     .smapsfd = -1,
                                     .earlyfd = -1,
                                     .areas = &e->area,
                                     .n = 1,
                                     .pages = "pages-7.img",
                                     .held = e->held,
                                     .held_len = PAGE};
    e->images = images_create();
    assert_non_null(e->images);
    assert_non_null(images_add(e->images, pagemap_name(e), NULL));
    put_pagemap(e->images, pagemap_name(e), &own, 1);
    *state = e;
    return 0;
}

static void end_child(struct env *e)
{
    if (e->child > 0) {
        kill(e->child, SIGKILL);
        waitpid(e->child, NULL, 0);
    }
    e->child = 0;
}

static int tear_down(void **state)
{
    struct env *e = *state;

    end_child(e);
    snapshot_pages_destroy(e->sp);
    images_destroy(e->images);
    io_close(&e->p.memfd);
    io_close(&e->p.pagemapfd);
    munmap(e->region, (size_t)PAGES * PAGE);
    free(e);
    return 0;
}

static void needs_scan(const struct env *e)
{
    if (snapshot_pages_possible(e->child))
        return;
    print_message("# skip: this kernel has no PAGEMAP_SCAN (Linux 6.7)\n");
    skip();
}

static void make(struct env *e)
{
    struct err err = {""};

    needs_scan(e);
    e->sp = snapshot_pages_create(&e->p, e->images, &err);
    assert_string_equal(err.text, "");
    assert_non_null(e->sp);
    assert_int_equal(snapshot_pages_bytes(e->sp), (OWN + 1) * PAGE);
}

static void all_pages(void **state)
{
    struct env *e = *state;
    uint8_t raw[(OWN + 1) * PAGE], *at = raw;
    struct err err = {""};

    make(e);
    assert_int_equal(snapshot_pages_fill(e->sp, 0, raw, sizeof raw), 0);
    assert_memory_equal(at, e->held, PAGE);
    for (size_t i = 0; i < SPANS; i++)
        for (unsigned n = 0; n < spans[i].n; n++)
            assert_memory_equal(at += PAGE, e->region + (size_t)(spans[i].first + n) * PAGE, PAGE);
    /* across two of them, and into the middle of a page */
    assert_int_equal(snapshot_pages_fill(e->sp, 8 * PAGE + 100, raw + 8 * PAGE + 100, PAGE), 0);
    assert_memory_equal(raw + 9 * PAGE, e->region + (size_t)16 * PAGE, PAGE);
    assert_int_equal(snapshot_pages_fill(e->sp, (OWN + 1) * PAGE - 1, raw, 2), -1);
    assert_int_equal(snapshot_pages_prove(e->sp, e->images, &err), 0);
    assert_string_equal(err.text, "");
}

/* What is said of such a pagemap; NULL: it is right. */
static void expect(struct env *e, const struct entry *list, size_t n, const char *why)
{
    struct err err = {""};

    put_pagemap(e->images, pagemap_name(e), list, n);
    assert_int_equal(snapshot_pages_prove(e->sp, e->images, &err), why ? -1 : 0);
    if (!why || !strstr(err.text, why))
        assert_string_equal(err.text, why ? why : "");
}

#define AT(page) ((uintptr_t)e->region + (size_t)(page)*PAGE)

static void a_page_is_missing(void **state)
{
    struct env *e = *state;
    const struct entry right[] = {
        {CRIUS, 1, PRESENT}, {AT(0), 8, PRESENT}, {AT(16), 4, PRESENT}, {AT(63), 1, PRESENT}};
    struct entry list[5];

    make(e);
    expect(e, right, 4, NULL);
    expect(e, right, 3, "was not saved"); /* the last one */
    for (unsigned i = 1; i < 4; i++) {
        memcpy(list, right, sizeof right);
        list[i].n--; /* the last page of each stretch */
        expect(e, list, 4, list[i].n ? "was not saved" : "left pages out");
        memcpy(list, right, sizeof right);
        list[i].vaddr += PAGE; /* the first one, and another one too much */
        expect(e, list, 4, "was not saved");
    }
}

static void the_rest_does_not_fit(void **state)
{
    struct env *e = *state;
    const struct entry list[] = {{CRIUS, 1, PRESENT},
                                 {AT(0), 8, PRESENT},
                                 {AT(16), 4, PRESENT},
                                 {AT(63), 1, PRESENT},
                                 {AT(64), 1, PRESENT}};
    struct entry inside[] = {{AT(0), 8, PRESENT | PARENT}};
    struct err err = {""};
    struct images *none;

    make(e);
    expect(e, list, 5, "in its pagemap");     /* one that is not in the image */
    expect(e, list + 1, 3, "in its pagemap"); /* CRIU's is not there */
    expect(e, inside, 1, "left pages out");
    none = images_create();
    assert_non_null(none);
    assert_int_equal(snapshot_pages_prove(e->sp, none, &err), -1);
    assert_non_null(strstr(err.text, "CRIU sent no pagemap-"));
    images_destroy(none);
}

/* What CRIU saved is looked at before anything is read. */
static void crius_does_not_fit(void **state)
{
    struct env *e = *state;
    const struct entry twice = {AT(7), 1, PRESENT}, more = {CRIUS, 2, PRESENT},
                       own = {CRIUS, 1, PRESENT};
    struct err err = {""};

    needs_scan(e);
    put_pagemap(e->images, pagemap_name(e), &twice, 1);
    assert_null(snapshot_pages_create(&e->p, e->images, &err));
    assert_non_null(strstr(err.text, "that its snapshot has as well"));
    put_pagemap(e->images, pagemap_name(e), &more, 1);
    assert_null(snapshot_pages_create(&e->p, e->images, &err));
    assert_non_null(strstr(err.text, "is cut short"));
    put_pagemap(e->images, pagemap_name(e), &own, 1);
    e->p.held_len = 0;
    assert_null(snapshot_pages_create(&e->p, e->images, &err));
    assert_non_null(strstr(err.text, "is cut short"));
    e->p.held_len = PAGE;
    put_pagemap(e->images, pagemap_name(e), NULL, 0);
    assert_null(snapshot_pages_create(&e->p, e->images, &err));
    assert_non_null(strstr(err.text, "longer than its pagemap says"));
    snprintf(e->p.pages, sizeof e->p.pages, "pages-8.img");
    put_pagemap(e->images, pagemap_name(e), &own, 1);
    assert_null(snapshot_pages_create(&e->p, e->images, &err));
    assert_non_null(strstr(err.text, "not pages-8.img"));
}

static void it_is_gone(void **state)
{
    struct env *e = *state;
    uint8_t raw[2 * PAGE];

    make(e);
    end_child(e);
    assert_int_equal(snapshot_pages_fill(e->sp, 0, raw, PAGE), 0); /* CRIU's */
    assert_int_equal(snapshot_pages_fill(e->sp, 0, raw, sizeof raw), -1);
    assert_int_equal(errno, ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_rest_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crius_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_gone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
