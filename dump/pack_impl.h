/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * pack_impl - what the pack's two sides share: its interface (pack.c) and its threads (pack_work.c).  Not for others:
 * pack.h is the interface.
 */
#ifndef DUMP_PACK_IMPL_H
#define DUMP_PACK_IMPL_H

#include "dump/pack.h"
#include "dump/plain.h"

#include <pthread.h>

/* COLD: its memory was never touched, which the threads do first: the first touch takes longer than to write to it. */
enum pack_state { COLD, WARMING, FREE, FILLING, QUEUED, BUSY, DONE };

struct pack_work {
    struct pack_frame pub; /* first: the caller's pointer is ours */
    enum pack_state state;
    uint64_t at;  /* where in the file */
    uint8_t *own; /* compressed */
    size_t stored_len;
    bool zero;                          /* uncompressed: nothing but zeros */
    uint8_t sha256[32], raw_sha256[32]; /* the second: incremental */
    const struct base_frame *taken;     /* NULL: it is in the file */
};

struct pack {
    int fd, event;
    struct plain plain;
    enum facts_compress compress;
    int level;
    uint64_t max_bytes;
    size_t frame_bytes;
    bool incremental;
    struct base *base;

    pthread_mutex_t lock;
    pthread_cond_t work;  /* something was queued, or the end */
    pthread_cond_t ready; /* a frame was done, or the end: for the writer */
    pthread_cond_t drained;
    pthread_cond_t turn; /* one thread less writes, or the end */
    bool stop;
    int failed; /* errno of the first failure */
    struct err err;

    struct pack_work *frames;
    unsigned nframes;
    struct pack_work **queue; /* ring of nframes: [head, tail) submitted and not yet written */
    uint64_t head, next, tail;
    unsigned cold;     /* frames that are COLD or WARMING */
    uint64_t unfilled; /* submitted frames whose fill() has not come back */
    uint64_t placed;   /* uncompressed: bytes of the file that are given to frames */

    pthread_t *threads;
    unsigned nthreads, started, running;
    unsigned writing, writers; /* threads that write uncompressed frames; at most so many do */

    char *index;
    size_t index_len, index_room;
    struct pack_sums sums;
    uint64_t flushed, cleaned;
};

/* The next `len` bytes of an uncompressed file: where they begin.  With the lock held. */
uint64_t pack_place(struct pack *p, size_t len);

/* The threads: each of the pool compresses, digests or (uncompressed) writes frames, the one writer puts them into the file.
 * They end when p->stop is set. */
void *pack_compressor(void *pack);
void *pack_writer(void *pack);

#endif
