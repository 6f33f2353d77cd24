/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * pack - bulk images (memory, deleted files) into pages.zst and its index.
 *
 * One thread (or several) feeds frames of at most MANIFEST_FRAME_MAX raw bytes; a pool compresses and digests them;
 * one writer puts them into the file in the order in which they were fed.  Uncompressed ones the pool itself
 * writes, each at its place (plain.h).  Memory is bounded: 2 frames per thread (raw and compressed), and nothing is
 * taken in while all are in use.  The feeding thread never waits for the disk: it polls pack_eventfd() instead.
 *
 * index: one text line per frame in the order in which they were fed (common/frameline.h); that is the order in the file,
 * but for incremental ones.  An image's frames keep their order but need not be neighbours.
 */
#ifndef DUMP_PACK_H
#define DUMP_PACK_H

#include "common/err.h"
#include "common/facts.h"
#include "dump/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack;

struct pack_frame {
    uint8_t *raw;
    size_t room; /* bytes that raw holds at most */
    size_t len;  /* bytes in it: the feeder's */
    char image[64];
    /* NULL, or called by a thread of the pool to put the bytes into raw: what begins at `at` of the image.  -1
     * with errno: the pack fails.  arg must outlive the pack. */
    int (*fill)(const void *arg, uint64_t at, uint8_t *raw, size_t len);
    const void *arg;
    uint64_t at;
};

struct pack_sums {
    uint64_t frames, raw_bytes;
    uint64_t stored_bytes; /* in the file */
};

/* fd: pages.zst, open for writing, empty; stays the caller's and must outlive the pack.  threads >= 1.
 * max_bytes: refuse to write more (0: no limit). */
struct pack *pack_create(int fd, unsigned threads, enum facts_compress compress, int level,
                         uint64_t max_bytes, struct err *err);

/* The same where memory is short: frames of frame_bytes (at most MANIFEST_FRAME_MAX), and less that waits to be
 * written. */
#define PACK_FRAME_SMALL (256u << 10)
struct pack *pack_create_sized(int fd, unsigned threads, size_t frame_bytes,
                               enum facts_compress compress, int level, uint64_t max_bytes,
                               struct err *err);

/* What it then uses, an estimate in bytes. */
uint64_t pack_memory(unsigned threads, size_t frame_bytes, enum facts_compress compress, int level);

/* Before the first frame: the index is to be one of an incremental generation, and what `base` has (NULL: nothing) is taken
 * over and not written.  The base stays the caller's and must outlive the pack. */
void pack_incremental(struct pack *p, struct base *base);
const struct base *pack_base(const struct pack *p);
/* Frames of such a pack: so small that what changes in one place does not make much be written again. */
#define PACK_FRAME_INCREMENTAL (1u << 20)

/* Before the first frame, for what is not compressed: fd is the same file opened with O_DIRECT, -1: it cannot be;
 * stays the caller's.  About `bytes` will come: room for them is reserved. */
void pack_direct(struct pack *p, int fd, uint64_t bytes);

/* An empty frame, or NULL when all are in use, or their memory is still being made (*idle: and none of them is being
 * worked on, so that waiting would be for ever: submit one). */
struct pack_frame *pack_get(struct pack *p, bool *idle);
/* Hand it over (never touched again by the caller).  An empty frame is just given back. */
void pack_submit(struct pack *p, struct pack_frame *f);

/* Readable when a frame has become free or the pack has failed; pack_clear_event() before looking. */
int pack_eventfd(const struct pack *p);
void pack_clear_event(struct pack *p);
/* -1 with errno and text once a thread has failed (disk full ...): what is fed from then on is dropped. */
int pack_failed(struct pack *p, struct err *err);

/* All that was submitted is in the pack's own memory: what fill() read from is not used any more.  When that has become
 * true, pack_eventfd() is readable. */
bool pack_filled(struct pack *p);

/* Wait until everything submitted is in the file, at most until `deadline` (of runclock_ms()); ETIMEDOUT,
 * and it may be called again.  Then: the index text, owned by the pack, and the sums. */
int pack_finish(struct pack *p, int64_t deadline, struct err *err);
const char *pack_index(const struct pack *p, size_t *len);
void pack_sums(const struct pack *p, struct pack_sums *sums);

/* Ends the threads; false when one of them hangs in the kernel (a dead file server) for longer than
 * two seconds: then memory is left to it and the process should exit.  NULL is fine. */
bool pack_destroy(struct pack *p);

#endif
