/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * serve - the server of `criu restore --stream`.
 *
 * Protocol (CRIU 4.2, img-streamer.c): over one stream socket, request after request, a u32 length
 * and an ImgStreamerRequestEntry; our answer likewise, an ImgStreamerReplyEntry; when the image
 * exists, one byte with a descriptor follows, the write end of a pipe that takes the image and is
 * then closed.  CRIU's forked tasks share the socket and read their pipes side by side, in any
 * order, each front to back; a reader may leave early.
 *
 * Small images come from memory.  Bulk images are decompressed a few frames ahead while there is
 * room; each open pipe is sure of one frame, so that none can starve the others.
 */
#ifndef RESTORE_SERVE_H
#define RESTORE_SERVE_H

#include "common/err.h"
#include "common/facts.h"
#include "restore/bundle.h"
#include "restore/index.h"

#include <stdbool.h>
#include <stdint.h>

struct serve;

struct serve_opts {
    int sock; /* our end of the socket; taken over */
    const struct bundle *bundle;
    const struct index *index;
    const struct pages *pages; /* stay the caller's */
    enum facts_compress compress;
    unsigned threads; /* that decompress, >= 1 */
};

struct serve *serve_create(const struct serve_opts *o, struct err *err);

/* One descriptor to poll for POLLIN, whatever happens inside. */
int serve_fd(const struct serve *s);
/* Do what can be done without waiting.  -1 with a text: an image is damaged or the protocol was
 * broken; the attempt must be ended. */
int serve_step(struct serve *s, struct err *err);

/* Bytes written to pipes so far. */
uint64_t serve_bytes(const struct serve *s);

/* False: a thread hangs in the kernel; the process should exit soon.  NULL is fine. */
bool serve_destroy(struct serve *s);

#endif
