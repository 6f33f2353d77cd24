/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * unpack - frames of pages.zst, verified and decompressed by a pool of threads.
 *
 * Every byte is read once: a frame's digest is taken over what was read, and that is what is
 * decompressed and served.  A file that changes under us can only make the digest wrong.
 */
#ifndef RESTORE_UNPACK_H
#define RESTORE_UNPACK_H

#include "common/err.h"
#include "common/facts.h"
#include "restore/index.h"

#include <stdbool.h>

struct unpack;

/* Threads beside those that verify and decompress: a disk that several ask at a time is never without work.  So many
 * frames more should be on their way. */
#define UNPACK_READERS 4u

/* One frame on its way.  The caller owns it; between unpack_submit and done it belongs to the pool.
 */
struct unpack_job {
    const struct bulk *image;
    const struct frame *frame;
    uint8_t *
        data; /* when done: frame->raw bytes, until unpack_release or unpack_forget; NULL when it failed */
    bool done; /* written by unpack_collect only */
    struct unpack_job *next;
    uint8_t *room; /* the pool's: data lies in it */
    size_t room_len;
};

/* pages: stay the caller's, and must outlive it.  threads: so many at most verify and decompress side by side, >= 1. */
struct unpack *unpack_create(const struct pages *pages, enum facts_compress compress,
                             unsigned threads, struct err *err);
/* job: zeroed but for image and frame, or one that was released or forgotten. */
void unpack_submit(struct unpack *u, struct unpack_job *job);
/* The job's data has been used: its memory is for another frame.  A job without data is fine. */
void unpack_release(struct unpack *u, struct unpack_job *job);
/* The same where others may still look at these very pages (a pipe that they were put into): they are only unmapped, and
 * never written to again.  Also after unpack_destroy. */
void unpack_forget(struct unpack_job *job);

/* Readable when jobs have been finished. */
int unpack_eventfd(const struct unpack *u);
/* Clear the event and mark finished jobs done.  -1 with a text when any has failed, now or before.
 */
int unpack_collect(struct unpack *u, struct err *err);

/* Ends the threads.  False when one hangs in the kernel (a dead file server) for over a second:
 * then it keeps its memory and the process should exit.  Jobs still queued are not touched again.
 * NULL is fine. */
bool unpack_destroy(struct unpack *u);

#endif
