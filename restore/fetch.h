/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fetch - bytes of an image's file for one reader, past the page cache where they are not in it.
 *
 * An image is read once.  Through the page cache that costs a page to be found, and a copy, for each page of it: more
 * than the disk does, and memory which counts as the job's just when it gets its own back.  What is in the cache already
 * (it was written on this node a moment ago) is taken from there.
 */
#ifndef RESTORE_FETCH_H
#define RESTORE_FETCH_H

#include <stddef.h>
#include <stdint.h>

/* Of offsets, lengths and buffers that may go past the cache. */
#define FETCH_ALIGN 4096u

/* The regular file of fd once more, opened with O_DIRECT: close it.  -1 with errno: it cannot be (the filesystem, no
 * /proc), and everything is read through fd. */
int fetch_open_direct(int fd);

/* Room for len bytes wherever they lie in the file, in huge pages where the kernel has them: of scattered small ones a
 * disk gets as many requests (measured: half as fast).  A mapping of its own: keep it for the next, for a mapping is dear
 * (faults, zeros).  NULL: no memory. */
uint8_t *fetch_room(size_t len);
/* Unmaps it; len as it was made with.  NULL is fine. */
void fetch_room_free(uint8_t *room, size_t len);

/* Read len bytes at `at` into room, of fetch_room(len or more).  Where in it they begin; NULL with errno (EIO: the file
 * ends before).  direct: of fetch_open_direct(fd), or -1. */
uint8_t *fetch_read(int fd, int direct, uint8_t *room, size_t len, uint64_t at);

#endif
