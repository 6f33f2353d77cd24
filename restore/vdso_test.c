/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/vdso.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t real[VDSO_MAX_BYTES], copy[VDSO_MAX_BYTES];
static size_t len;
static uint64_t base; /* 0 in a kernel's; qemu's user emulation has one that is prelinked */

static bool find_base(void)
{
    Elf64_Ehdr h;
    Elf64_Phdr p;

    memcpy(&h, real, sizeof h);
    for (size_t i = 0; i < h.e_phnum; i++) {
        memcpy(&p, real + h.e_phoff + i * sizeof p, sizeof p);
        base = p.p_type == PT_LOAD ? p.p_vaddr : base;
    }
    return h.e_phnum > 0;
}

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
    return len > 0 && find_base() ? 0 : -1;
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

/* Offset of the value of a tag of the dynamic section; 0: there is none. */
static size_t find_tag(int64_t tag)
{
    Elf64_Ehdr h;
    Elf64_Phdr p;
    Elf64_Dyn d;

    memcpy(&h, real, sizeof h);
    for (size_t i = 0; i < h.e_phnum; i++) {
        memcpy(&p, real + h.e_phoff + i * sizeof p, sizeof p);
        for (size_t at = p.p_offset; p.p_type == PT_DYNAMIC; at += sizeof d) {
            memcpy(&d, real + at, sizeof d);
            if (d.d_tag == tag)
                return at + offsetof(Elf64_Dyn, d_un);
            if (d.d_tag == DT_NULL)
                break;
        }
    }
    return 0;
}

/* Offset of the table of that tag. */
static size_t find_table(int64_t tag)
{
    uint64_t v;

    memcpy(&v, real + find_tag(tag), sizeof v);
    return v - base;
}

static void put(size_t at, uint64_t v)
{
    memcpy(copy + at, &v, sizeof v);
}

/* One that has both hash tables is tried with each alone, as CRIU takes one. */
static const int64_t hashes[] = {DT_HASH, DT_GNU_HASH};
#define HASHES (sizeof hashes / sizeof hashes[0])

/* A copy with that one alone; false: the real one has it not. */
static bool fresh_with(int64_t hash)
{
    fresh();
    if (find_tag(hash) == 0)
        return false;
    for (size_t i = 0; i < HASHES; i++)
        if (hashes[i] != hash && find_tag(hashes[i]) > 0)
            put(find_tag(hashes[i]) - offsetof(Elf64_Dyn, d_un), DT_DEBUG);
    return true;
}

static void test_one_hash(void **state)
{
    unsigned tried = 0;

    (void)state;
    for (size_t i = 0; i < HASHES; i++) {
        struct err err = {""};

        if (!fresh_with(hashes[i]))
            continue;
        tried++;
        if (vdso_check(copy, len, &err) < 0)
            fail_msg("%s", err.text);
        /* where CRIU would read on behind it */
        fresh_with(hashes[i]);
        put(find_tag(hashes[i]), base + len - 12);
        refused(len, "hash table");
        put(find_tag(hashes[i]), base + UINT64_MAX - 7);
        refused(len, "hash table");
        /* no bucket, and too many */
        fresh_with(hashes[i]);
        memset(copy + find_table(hashes[i]), 0, 4);
        refused(len, "hash table");
        memset(copy + find_table(hashes[i]), 0xff, 4);
        refused(len, "hash table");
    }
    assert_true(tried > 0);
    fresh();
    for (size_t i = 0; i < HASHES; i++)
        if (find_tag(hashes[i]) > 0)
            put(find_tag(hashes[i]) - offsetof(Elf64_Dyn, d_un), DT_DEBUG);
    refused(len, "missing");
}

/* A word of the GNU hash table: the end of a bucket that is none, and buckets that lead elsewhere. */
static void test_gnu_hash(void **state)
{
    uint32_t h[4], odd;
    size_t at, buckets;

    (void)state;
    if (!fresh_with(DT_GNU_HASH)) {
        print_message("# SKIP gnu_hash: this kernel's vDSO has no such table\n");
        skip();
    }
    at = find_table(DT_GNU_HASH);
    memcpy(h, real + at, sizeof h);
    buckets = at + 16 + 8 * (size_t)h[2];
    for (size_t i = buckets; i < buckets + 4 * (size_t)h[0]; i += 4) {
        const uint32_t entries[] = {0x7fffffff, UINT32_MAX, h[1] - 1};

        for (size_t k = 0; k < sizeof entries / sizeof entries[0]; k++) {
            fresh_with(DT_GNU_HASH);
            if (k == 2 && h[1] <= 1) /* 0: nothing in that bucket */
                continue;
            memcpy(copy + i, &entries[k], 4);
            refused(len, "hash table");
        }
    }
    fresh_with(DT_GNU_HASH);
    for (size_t i = buckets + 4 * (size_t)h[0]; i + 4 <= len; i += 4) {
        memcpy(&odd, copy + i, 4);
        odd &= ~UINT32_C(1);
        memcpy(copy + i, &odd, 4);
    }
    assert_int_equal(vdso_check(copy, len, NULL), -1);
}

/* Offset of the first symbol whose name begins with "__vdso_" or "__kernel_". */
static size_t find_symbol(void)
{
    for (size_t at = find_table(DT_SYMTAB); at + sizeof(Elf64_Sym) <= len;
         at += sizeof(Elf64_Sym)) {
        Elf64_Sym s;

        memcpy(&s, real + at, sizeof s);
        if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_value == 0 || s.st_value - base > len ||
            s.st_size == 0 || s.st_size > len || s.st_name == 0 || s.st_name > len)
            continue;
        fresh();
        memset(copy + at + offsetof(Elf64_Sym, st_value), 0x7f, 8);
        if (vdso_check(copy, len, NULL) < 0)
            return at;
    }
    return 0;
}

static void test_forged_symbols(void **state)
{
    const size_t at = find_symbol(), symtab = find_tag(DT_SYMTAB);
    const uint64_t values[] = {len - 31,       len, len + 4096, UINT64_MAX, UINT64_C(1) << 63,
                               (uint64_t)-4096};

    (void)state;
    assert_true(at > 0 && symtab > 0);
    for (size_t k = 0; k < HASHES; k++)
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            if (!fresh_with(hashes[k]))
                continue;
            put(at + offsetof(Elf64_Sym, st_value), base + values[i]);
            refused(len, "outside");
        }
    /* an entry of the forger's own, where the real table is not */
    for (size_t k = 0; k < HASHES; k++) {
        const uint64_t number = (at - find_table(DT_SYMTAB)) / sizeof(Elf64_Sym);

        if (!fresh_with(hashes[k]))
            continue;
        memcpy(copy + len - 48, real + at, sizeof(Elf64_Sym));
        memset(copy + len - 48 + offsetof(Elf64_Sym, st_value), 0x11, 8);
        put(symtab, base + len - 48 - number * sizeof(Elf64_Sym));
        refused(len, "outside");
    }
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
        cmocka_unit_test(test_own),       cmocka_unit_test(test_one_hash),
        cmocka_unit_test(test_gnu_hash),  cmocka_unit_test(test_forged_symbols),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
