/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/vdso.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t real[VDSO_MAX_BYTES], copy[VDSO_MAX_BYTES];
static size_t len;

/* This process's own. */
static int setup(void **state)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512];

    (void)state;
    assert_non_null(f);
    while (len == 0 && fgets(line, sizeof line, f)) {
        unsigned long start, end;

        if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2 &&
            end - start <= sizeof real) {
            len = end - start;
            memcpy(real, (const void *)start, len);
        }
    }
    fclose(f);
    return len > 0 ? 0 : -1;
}

static uint8_t *fresh(void)
{
    memcpy(copy, real, len);
    return copy;
}

static void refused(size_t n, const char *why)
{
    struct err err = {""};

    errno = 0;
    assert_int_equal(vdso_check(copy, n, &err), -1);
    assert_int_equal(errno, EPERM);
    if (!strstr(err.text, why))
        fail_msg("%s, not %s", err.text, why);
}

static void test_own(void **state)
{
    struct err err = {""};

    (void)state;
    if (vdso_check(fresh(), len, &err) < 0)
        fail_msg("%s", err.text);
}

/* Offset of the first symbol whose name begins with "__vdso_" or "__kernel_". */
static size_t find_symbol(void)
{
    for (size_t at = 0; at + sizeof(Elf64_Sym) <= len; at += 8) {
        uint8_t kept[8];
        Elf64_Sym s;

        memcpy(&s, real + at, sizeof s);
        if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_value == 0 || s.st_value > len ||
            s.st_size == 0 || s.st_size > len || s.st_name == 0 || s.st_name > len)
            continue;
        fresh();
        memcpy(kept, copy + at + offsetof(Elf64_Sym, st_value), 8);
        memset(copy + at + offsetof(Elf64_Sym, st_value), 0x7f, 8);
        if (vdso_check(copy, len, NULL) < 0)
            return at;
        memcpy(copy + at + offsetof(Elf64_Sym, st_value), kept, 8);
    }
    return 0;
}

static void test_forged_symbols(void **state)
{
    const size_t at = find_symbol();
    const uint64_t values[] = {len - 31,       len, len + 4096, UINT64_MAX, UINT64_C(1) << 63,
                               (uint64_t)-4096};

    (void)state;
    assert_true(at > 0);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        fresh();
        memcpy(copy + at + offsetof(Elf64_Sym, st_value), &values[i], 8);
        refused(len, "outside");
    }
    /* an entry of the forger's own, where the real table is not */
    fresh();
    memcpy(copy + len - 48, real + at, sizeof(Elf64_Sym));
    memset(copy + len - 48 + offsetof(Elf64_Sym, st_value), 0x11, 8);
    refused(len, "outside");
}

static void test_malformed(void **state)
{
    Elf64_Ehdr h;

    (void)state;
    fresh();
    for (size_t n = 0; n < sizeof h; n += 7)
        refused(n, "ELF");
    copy[4] = ELFCLASS32;
    refused(len, "32-bit");
    memset(copy, 0, len);
    refused(len, "ELF");
    fresh();
    memcpy(&h, copy, sizeof h);
    h.e_phoff = len - 8;
    memcpy(copy, &h, sizeof h);
    refused(len, "program headers");
    h.e_phoff = UINT64_MAX - 8;
    memcpy(copy, &h, sizeof h);
    refused(len, "program headers");
    h.e_phnum = 0;
    memcpy(copy, &h, sizeof h);
    refused(len, "missing");
    errno = 0;
    assert_int_equal(vdso_check(copy, VDSO_MAX_BYTES + 1, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_forged_symbols),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
