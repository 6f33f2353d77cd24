/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * buildid - the build id of an ELF file: the note NT_GNU_BUILD_ID that the linker writes.
 */
#ifndef CHECK_BUILDID_H
#define CHECK_BUILDID_H

#include <stddef.h>
#include <stdint.h>

#define BUILDID_MAX 512 /* as CRIU has it */

/* Looks at the first MiB only, as CRIU does.  Bytes of the id, 0: it has none, or is no ELF file of this machine's
 * word size and byte order. */
size_t buildid_read(int fd, uint8_t out[BUILDID_MAX]);

#endif
