/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/vdso.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define JUMP_MAX 32u /* bytes that CRIU writes for one jump: 16 on x86-64 */
#define NONE UINT64_MAX

struct elf {
    const uint8_t *data;
    size_t len;
    uint64_t base;           /* p_vaddr of PT_LOAD */
    uint64_t symtab, strtab; /* offsets, modulo 2^64, as CRIU computes them */
    uint64_t hash, gnu_hash; /* NONE: it has no such table */
    struct err *err;
};

static int refuse(const struct elf *e, const char *why)
{
    errno = EPERM;
    return err_set(e->err, "the vDSO in the image is forged or of an unknown kind: %s", why);
}

/* Copy out: the data has no alignment. */
static bool get(const struct elf *e, uint64_t at, void *to, size_t n)
{
    if (at > e->len || n > e->len - at)
        return false;
    memcpy(to, e->data + at, n);
    return true;
}

static int find_headers(struct elf *e, Elf64_Phdr *dynamic)
{
    static const uint8_t ident[] = {ELFMAG0,    ELFMAG1,     ELFMAG2,   ELFMAG3,
                                    ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
    bool load = false, dyn = false;
    Elf64_Ehdr h;

    if (!get(e, 0, &h, sizeof h) || memcmp(h.e_ident, ident, sizeof ident) != 0)
        return refuse(e, "not a 64-bit ELF file (a 32-bit program?)");
    for (unsigned i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;

        if (!get(e, h.e_phoff + i * sizeof p, &p, sizeof p))
            return refuse(e, "program headers");
        if ((p.p_type == PT_LOAD && load) || (p.p_type == PT_DYNAMIC && dyn))
            return refuse(e, "a program header twice");
        if (p.p_type == PT_LOAD) {
            load = true;
            e->base = p.p_vaddr;
        } else if (p.p_type == PT_DYNAMIC) {
            dyn = true;
            *dynamic = p;
        }
    }
    return load && dyn ? 0 : refuse(e, "a program header is missing");
}

/* Where a tag's table belongs; NULL: it is none of those that CRIU reads. */
static uint64_t *table_of(struct elf *e, int64_t tag)
{
    switch (tag) {
    case DT_SYMTAB:
        return &e->symtab;
    case DT_STRTAB:
        return &e->strtab;
    case DT_HASH:
        return &e->hash;
    case DT_GNU_HASH:
        return &e->gnu_hash;
    default:
        return NULL;
    }
}

static int find_tables(struct elf *e, const Elf64_Phdr *dynamic)
{
    e->symtab = e->strtab = e->hash = e->gnu_hash = NONE;
    for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn); i++) {
        uint64_t *table;
        Elf64_Dyn d;

        if (!get(e, dynamic->p_offset + i * sizeof d, &d, sizeof d))
            return refuse(e, "dynamic section");
        if (d.d_tag == DT_NULL)
            break;
        table = table_of(e, d.d_tag);
        if (table && *table != NONE)
            return refuse(e, "a table twice");
        if (table)
            *table = d.d_un.d_ptr - e->base;
    }
    if (e->symtab == NONE || e->strtab == NONE || (e->hash == NONE && e->gnu_hash == NONE))
        return refuse(e, "a table is missing");
    return 0;
}

/* Names that CRIU looks for on any machine of ours begin so. */
static bool is_function(const struct elf *e, const Elf64_Sym *s)
{
    static const char *const prefixes[] = {"__vdso_", "__kernel_"};

    if (ELF64_ST_TYPE(s->st_info) != STT_FUNC && ELF64_ST_BIND(s->st_info) != STB_GLOBAL)
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        char name[16];
        size_t n = strlen(prefixes[i]);

        if (get(e, e->strtab + s->st_name, name, n) && memcmp(name, prefixes[i], n) == 0)
            return true;
    }
    return false;
}

/* The entry with that number, which may be anywhere: CRIU looks at it when it lies inside. */
static int check_entry(const struct elf *e, uint32_t number)
{
    Elf64_Sym s;
    uint64_t offset;

    if (!get(e, e->symtab + (uint64_t)number * sizeof s, &s, sizeof s) || s.st_value == 0 ||
        !is_function(e, &s))
        return 0;
    offset = s.st_value - e->base;
    return e->len < JUMP_MAX || offset > e->len - JUMP_MAX
               ? refuse(e, "a function lies outside of it")
               : 0;
}

static bool word(const struct elf *e, uint64_t at, uint32_t *to)
{
    return get(e, at, to, sizeof *to);
}

/* DT_HASH: numbers of buckets and of entries, the first entry of each bucket, the next one after each entry.  CRIU believes a
 * number that is smaller than that of the entries. */
static int check_hash(const struct elf *e)
{
    uint32_t buckets, entries;

    if (!word(e, e->hash, &buckets) || !word(e, e->hash + 4, &entries) || buckets == 0 ||
        8 + 4 * ((uint64_t)buckets + entries) > e->len - e->hash)
        return refuse(e, "hash table");
    for (uint32_t i = 0; i < entries; i++)
        if (check_entry(e, i) < 0)
            return -1;
    return 0;
}

/* DT_GNU_HASH: numbers of buckets, of the first entry that is in it, and of 64-bit words of a filter; the shift of that; the
 * filter; the first entry of each bucket; a word for each entry, odd for the last of a bucket.  Computed in
 * 32 bits, as CRIU does. */
static int check_gnu_hash(const struct elf *e)
{
    uint32_t buckets, first, filter, shift;
    uint64_t at = e->gnu_hash + 16, steps = 0;

    if (!word(e, e->gnu_hash, &buckets) || !word(e, e->gnu_hash + 4, &first) ||
        !word(e, e->gnu_hash + 8, &filter) || !word(e, e->gnu_hash + 12, &shift) || buckets == 0 ||
        16 + 8 * (uint64_t)filter + 4 * (uint64_t)buckets > e->len - e->gnu_hash)
        return refuse(e, "hash table");
    at += 8 * (uint64_t)filter;
    for (uint32_t i = 0; i < buckets; i++) {
        uint32_t number, last;

        if (!word(e, at + 4 * (uint64_t)i, &number))
            return refuse(e, "hash table");
        if (number == 0)
            continue;
        do {
            const uint32_t k = number - first;

            /* No two buckets of a true one share an entry. */
            if (!word(e, at + 4 * ((uint64_t)buckets + k), &last) || ++steps > e->len / 4)
                return refuse(e, "hash table");
            if (check_entry(e, number++) < 0)
                return -1;
        } while (!(last & 1));
    }
    return 0;
}

int vdso_check(const uint8_t *data, size_t len, struct err *err)
{
    struct elf e = {.data = data, .len = len, .err = err};
    Elf64_Phdr dynamic = {0};

    if (len > VDSO_MAX_BYTES)
        return refuse(&e, "too large");
    if (find_headers(&e, &dynamic) < 0 || find_tables(&e, &dynamic) < 0)
        return -1;
    /* Of two hash tables CRIU takes one. */
    if ((e.hash != NONE && check_hash(&e) < 0) || (e.gnu_hash != NONE && check_gnu_hash(&e) < 0))
        return -1;
    return 0;
}
