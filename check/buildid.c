/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/buildid.h"

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX (1u << 20)

static bool within(size_t at, size_t len, size_t size)
{
    return at <= size && len <= size - at;
}

static size_t padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* The notes of one segment: header, name, descriptor, each padded to 4. */
static size_t search(const uint8_t *p, size_t size, uint8_t *out)
{
    size_t at = 0;

    while (within(at, sizeof(Elf64_Nhdr), size)) {
        Elf64_Nhdr h; /* the same in 32 bits */
        size_t name, desc;

        memcpy(&h, p + at, sizeof h);
        name = at + sizeof h;
        if (!within(name, h.n_namesz, size))
            return 0;
        desc = name + padded(h.n_namesz);
        if (!within(desc, h.n_descsz, size))
            return 0;
        if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && memcmp(p + name, "GNU", 4) == 0) {
            if (h.n_descsz == 0 || h.n_descsz > BUILDID_MAX)
                return 0;
            memcpy(out, p + desc, h.n_descsz);
            return h.n_descsz;
        }
        at = desc + padded(h.n_descsz);
    }
    return 0;
}

static size_t find(const uint8_t *p, size_t size, uint8_t *out)
{
    Elf64_Ehdr e;

    if (size < sizeof e)
        return 0;
    memcpy(&e, p, sizeof e);
    if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_ident[EI_CLASS] != ELFCLASS64 ||
        e.e_phentsize != sizeof(Elf64_Phdr))
        return 0;
    for (size_t i = 0; i < e.e_phnum; i++) {
        Elf64_Phdr h;
        size_t len;

        if (e.e_phoff > size || !within(e.e_phoff + i * sizeof h, sizeof h, size))
            return 0;
        memcpy(&h, p + e.e_phoff + i * sizeof h, sizeof h);
        if (h.p_type != PT_NOTE || h.p_offset > size)
            continue;
        len = h.p_filesz < size - h.p_offset ? h.p_filesz : size - h.p_offset;
        len = search(p + h.p_offset, len, out);
        if (len)
            return len;
    }
    return 0;
}

size_t buildid_read(int fd, uint8_t out[BUILDID_MAX])
{
    uint8_t *p = malloc(HEAD_MAX);
    size_t used = 0, len;
    ssize_t n = 0;

    while (p && used < HEAD_MAX && (n = pread(fd, p + used, HEAD_MAX - used, (off_t)used)) > 0)
        used += (size_t)n;
    len = p ? find(p, used, out) : 0;
    free(p);
    return len;
}
