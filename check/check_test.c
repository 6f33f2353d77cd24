/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/buildid.h"
#include "check/impl.h"
#include "common/cpu.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

/* ---- build ids ---- */

struct elf {
    Elf64_Ehdr e;
    Elf64_Phdr p[2];
    Elf64_Nhdr n[2];
    char name[4];
    uint8_t id[20];
};

/* A program with two notes; the second is the build id. */
static struct elf good_elf(void)
{
    struct elf x;

    memset(&x, 0, sizeof x);
    memcpy(x.e.e_ident, ELFMAG, SELFMAG);
    x.e.e_ident[EI_CLASS] = ELFCLASS64;
    x.e.e_phoff = offsetof(struct elf, p);
    x.e.e_phentsize = sizeof(Elf64_Phdr);
    x.e.e_phnum = 2;
    x.p[0].p_type = PT_LOAD;
    x.p[1].p_type = PT_NOTE;
    x.p[1].p_offset = offsetof(struct elf, n);
    x.p[1].p_filesz = sizeof x - offsetof(struct elf, n);
    x.n[0].n_type = 77;
    x.n[1].n_namesz = 4;
    x.n[1].n_descsz = 20;
    x.n[1].n_type = NT_GNU_BUILD_ID;
    memcpy(x.name, "GNU", 4);
    memset(x.id, 0xab, sizeof x.id);
    return x;
}

static size_t id_of(const void *data, size_t len, uint8_t *out)
{
    int fd = memfd_create("check_test", MFD_CLOEXEC);
    size_t n;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    n = buildid_read(fd, out);
    close(fd);
    return n;
}

static void no_build_id(void **state)
{
    uint8_t out[BUILDID_MAX];
    struct elf x;

    (void)state;
    assert_int_equal(id_of("", 0, out), 0);
    assert_int_equal(id_of("#!/bin/sh\n", 10, out), 0);
#define WITHOUT(change)                                                                            \
    do {                                                                                           \
        x = good_elf();                                                                            \
        change;                                                                                    \
        assert_int_equal(id_of(&x, sizeof x, out), 0);                                             \
    } while (0)
    WITHOUT(x.e.e_ident[0] = 'x');
    WITHOUT(x.e.e_ident[EI_CLASS] = ELFCLASS32);
    WITHOUT(x.e.e_phentsize = 8);
    WITHOUT(x.e.e_phnum = 0);
    WITHOUT(x.e.e_phoff = UINT64_MAX - 8);
    WITHOUT(x.e.e_phoff = sizeof x - 8);
    WITHOUT(x.p[1].p_offset = UINT64_MAX);
    WITHOUT(x.p[1].p_filesz = 8);
    WITHOUT(x.n[0].n_namesz = UINT32_MAX);
    WITHOUT(x.n[0].n_descsz = UINT32_MAX - 2);
    WITHOUT(x.n[1].n_descsz = 0);
    WITHOUT(x.n[1].n_descsz = 21);
    WITHOUT(x.name[0] = 'X');
#undef WITHOUT
    x = good_elf();
    for (size_t len = 0; len < sizeof x; len++)
        assert_int_equal(id_of(&x, len, out), 0);
}

static void a_build_id(void **state)
{
    uint8_t out[BUILDID_MAX];
    struct elf x = good_elf();
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(id_of(&x, sizeof x, out), 20);
    assert_memory_equal(out, x.id, 20);
    x.p[1].p_filesz = UINT64_MAX; /* to the end of the file */
    assert_int_equal(id_of(&x, sizeof x, out), 20);
    assert_true(fd >= 0);
    (void)buildid_read(fd, out); /* some compilers give none */
    close(fd);
}

/* ---- CPUs ---- */

static void no_cpu(void **state)
{
    static const char *const texts[] = {
        "",           "flags",         "\nflags",      "\nflags\t",
        "\nflags\t:", "\nflags\t: \n", "\nFeatures\n", "\nflags\t: constant_tsc hypervisor nopl\n"};
    char out[CPU_FEATURES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cpu_features(texts[i], out);
        assert_string_equal(out, "");
    }
}

static void cpus(void **state)
{
    char out[CPU_FEATURES_MAX], missing[40], *many = malloc(100000);

    (void)state;
    cpu_features(
        "processor\t: 0\nflags\t\t: fpu sse2 tsc avx2 nopl xsse2\nbugs\t: avx\nflags\t: avx512f\n",
        out);
    assert_string_equal(out, "sse2 avx2");
    cpu_features("processor\t: 0\nFeatures\t: fp asimd sve\x1b x$\n", out);
    assert_string_equal(out, "fp asimd");
    assert_int_equal(cpu_missing("sse2 avx2", "avx2 sse2 avx", missing, sizeof missing), 0);
    assert_string_equal(missing, "");
    assert_int_equal(cpu_missing("sse2 avx2 avx", "avx2", missing, sizeof missing), 2);
    assert_string_equal(missing, "sse2 avx");
    assert_int_equal(cpu_missing("a b c", "", missing, 4), 3); /* cut, but counted */
    assert_string_equal(missing, "a b");
    assert_non_null(many);
    snprintf(many, 100000, "x\nFeatures\t:%090000d", 0);
    for (char *p = many + 12; *p; p += 2)
        *p = ' ';
    cpu_features(many, out);
    assert_true(strlen(out) < sizeof out);
    free(many);
    cpu_features(NULL, out); /* this machine's */
    assert_true(strlen(out) > 0);
    assert_int_equal(cpu_missing(out, out, missing, sizeof missing), 0);
}

/* ---- points ---- */

static void points(void **state)
{
    static struct preflight p;

    (void)state;
    assert_int_equal(preflight_worst(&p), PREFLIGHT_GOOD);
    preflight_add(&p, "cpu", PREFLIGHT_WARN, HERE, "a %s", "line\033[0m\n");
    assert_string_equal(p.points[0].text, "a line?[0m?");
    assert_true(p.points[0].node);
    assert_int_equal(preflight_worst(&p), PREFLIGHT_WARN);
    for (int i = 0; i < 2 * PREFLIGHT_MAX; i++)
        preflight_add(&p, "inputs", PREFLIGHT_GOOD, EVERYWHERE, "%d", i);
    assert_int_equal(p.n, PREFLIGHT_MAX);
    preflight_add(&p, "inputs", PREFLIGHT_FAIL, EVERYWHERE, "one that has no room");
    assert_int_equal(preflight_worst(&p), PREFLIGHT_FAIL);
    assert_string_equal(p.points[PREFLIGHT_MAX - 1].text, "and more");
    assert_string_equal(preflight_word(PREFLIGHT_FAIL), "fail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_build_id), cmocka_unit_test(a_build_id), cmocka_unit_test(no_cpu),
        cmocka_unit_test(cpus),        cmocka_unit_test(points),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
