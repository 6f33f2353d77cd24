/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * io - whole reads and writes, and digests of files.
 */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include "common/err.h"

#include <stddef.h>
#include <sys/types.h>

/* Exactly len bytes or -1 (EIO when the file ends early). EINTR is retried. */
int io_read_full(int fd, void *buf, size_t len);
int io_write_full(int fd, const void *buf, size_t len);
int io_pread_full(int fd, void *buf, size_t len, off_t off);

/* Whole file into a malloc'ed buffer with a NUL behind it; EFBIG over max. *len without the NUL. */
char *io_slurp(int fd, size_t max, size_t *len, struct err *err);

/* What one read gives of a file of /proc, cut to size - 1 bytes, with a NUL behind it: its length, or -1 when it cannot
 * be read or is empty. */
ssize_t io_read_start(const char *path, char *text, size_t size);

/* close and set to -1; errno kept; nothing when *fd < 0. */
void io_close(int *fd);

#endif
