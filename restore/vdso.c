/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/vdso.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define JUMP_MAX 32u /* bytes that CRIU writes for one jump: 16 on x86-64 */

struct elf {
    const uint8_t *data;
    size_t len;
    uint64_t base;           /* p_vaddr of PT_LOAD */
    uint64_t symtab, strtab; /* offsets, modulo 2^64, as CRIU computes them */
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

static int find_tables(struct elf *e, const Elf64_Phdr *dynamic)
{
    bool symtab = false, strtab = false;

    for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn); i++) {
        Elf64_Dyn d;

        if (!get(e, dynamic->p_offset + i * sizeof d, &d, sizeof d))
            return refuse(e, "dynamic section");
        if (d.d_tag == DT_NULL)
            break;
        if ((d.d_tag == DT_SYMTAB && symtab) || (d.d_tag == DT_STRTAB && strtab))
            return refuse(e, "a table twice");
        if (d.d_tag == DT_SYMTAB) {
            symtab = true;
            e->symtab = d.d_un.d_ptr - e->base;
        } else if (d.d_tag == DT_STRTAB) {
            strtab = true;
            e->strtab = d.d_un.d_ptr - e->base;
        }
    }
    return symtab && strtab ? 0 : refuse(e, "a table is missing");
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

int vdso_check(const uint8_t *data, size_t len, struct err *err)
{
    struct elf e = {.data = data, .len = len, .err = err};
    Elf64_Phdr dynamic = {0};
    Elf64_Sym s;

    if (len > VDSO_MAX_BYTES)
        return refuse(&e, "too large");
    if (find_headers(&e, &dynamic) < 0 || find_tables(&e, &dynamic) < 0)
        return -1;
    /* The hash table leads CRIU to any index: so every place that could be an entry is one. (Entries are 24 bytes,
     * the sum may wrap round: what stays is the remainder modulo 8.) */
    for (uint64_t at = e.symtab % 8; get(&e, at, &s, sizeof s); at += 8) {
        uint64_t offset = s.st_value - e.base;

        if (s.st_value == 0 || !is_function(&e, &s))
            continue;
        if (len < JUMP_MAX || offset > len - JUMP_MAX)
            return refuse(&e, "a function lies outside of it");
    }
    return 0;
}
