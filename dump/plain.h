/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * plain - uncompressed frames into pages.zst.
 *
 * Runs of zeros become holes.  The rest goes past the page cache (O_DIRECT) where the filesystem takes it so and is
 * quick: that spares a copy and the job's own cache.  While the tree stands still a slow disk must not hold it
 * up: then writes go through the page cache, and their way to the disk begins at once.
 */
#ifndef DUMP_PLAIN_H
#define DUMP_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIN_ALIGN 4096u      /* of a buffer, offset and length that may go past the page cache */
#define PLAIN_HOLE (64u << 10) /* shorter runs of zeros are written: each hole is an extent */
#define PLAIN_SLOW_NS 25000000 /* per MiB: a disk that is slower is written to through the cache */

struct plain {
    int fd;     /* the file, the caller's */
    int direct; /* the same opened with O_DIRECT, the caller's; -1: none */
    bool
        allocated; /* it had blocks before it had contents: ext4 then lets direct writes go side by side */
    _Atomic bool slow; /* direct writes were, or are not possible: set by any thread */
    struct plain_run *zeros;
    size_t nzeros, room;
};

struct plain_run {
    uint64_t at, len;
};

/* Room for frames, in huge pages where the kernel has them.  free() it.  NULL: no memory. */
uint8_t *plain_buffer(size_t len);

/* The pages of such room are there after it; its contents are not. */
void plain_touch(uint8_t *buf, size_t len);

/* Does what is written now go past the page cache? */
bool plain_past_cache(const struct plain *p);

/* Are these bytes all zero?  Quick when they are not. */
bool plain_is_zero(const uint8_t *data, size_t len);

/* Reserve about so many bytes; whether that can be does not matter. */
void plain_allocate(struct plain *p, uint64_t bytes);

/* Put them at `at`; several threads may do so for different places.  1: they are all zero, and nothing was written; -1
 * with errno. */
int plain_write(struct plain *p, const uint8_t *data, size_t len, uint64_t at);

/* Zeros for which plain_write did nothing, in the order of the file; one thread. */
int plain_hole(struct plain *p, uint64_t at, uint64_t len);

/* After the last write: give the file its size and take back what was reserved for zeros. */
int plain_end(struct plain *p, uint64_t size);

void plain_free(struct plain *p);

#endif
