/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * vdso - the kernel's code page, as an image has it.
 *
 * CRIU 4.1 and 4.2's restorer (pie/util-vdso.c, parasite-vdso.c) looks up "__vdso_..." and "__kernel_..." functions in the
 * image's vDSO by its hash table (DT_HASH, else DT_GNU_HASH: 64-bit ARM has only that since Linux 6.11) and, where it is
 * not this kernel's own, writes a jump at base + the symbol's value, which it does not check: with the
 * capability still held, a forged table makes it write over its own code.  So the whole hash table must lie inside, and so
 * must every function that it leads to.
 */
#ifndef RESTORE_VDSO_H
#define RESTORE_VDSO_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

#define VDSO_MAX_BYTES (64u << 10)

/* 0 when whatever CRIU can find in it lies inside it; -1 (EPERM) with a text.  64-bit little-endian ELF only. */
int vdso_check(const uint8_t *data, size_t len, struct err *err);

#endif
