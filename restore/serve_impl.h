/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the files of serve: the protocol with CRIU (serve.c) and the images on their way into its pipes (serve_stream.c).
 */
#ifndef RESTORE_SERVE_IMPL_H
#define RESTORE_SERVE_IMPL_H

#include "common/err.h"
#include "restore/serve.h"
#include "restore/unpack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AHEAD_MAX                                                                                  \
    16u /* frames of one image that are decompressed ahead, or are still in the pipe */
#define REQUEST_MAX 4096u

/* An image on its way into a pipe. */
struct stream {
    int fd; /* -1: the reader has left, or all is written; waiting for jobs to come back */
    const uint8_t *data; /* the piece being written */
    size_t len, off;
    const struct bulk *bulk;            /* NULL: from memory */
    uint32_t next;                      /* next frame to decompress */
    struct unpack_job *jobs[AHEAD_MAX]; /* ring: [head, head + n), in the order of the image */
    uint64_t ends[AHEAD_MAX];           /* of those that are put: `put` after their last byte */
    unsigned head, n;
    unsigned held; /* the first ones of the ring: wholly put, but the pipe has their pages */
    uint64_t put;  /* bytes in all */
    bool splices;  /* data goes into the pipe as the pages that it is in */
    bool armed;    /* epoll waits for room in the pipe */
    struct stream *prev, *after;
};

struct serve {
    int sock, epoll;
    const struct bundle *bundle;
    const struct index *index;
    struct unpack *unpack;
    struct stream *streams;
    unsigned nstreams;
    unsigned ahead; /* frames beyond one per stream, of all streams */
    unsigned ahead_max;
    uint8_t request[4 + REQUEST_MAX];
    size_t have;        /* of it */
    const char *wanted; /* name of an image whose pipe is to come */
    uint64_t bytes;
};

/* epoll_ctl; -1 with a text. */
int serve_watch(struct serve *s, int op, int fd, uint32_t events, void *tag, struct err *err);

/* The image of that name, which is there, begins to go into the pipe fd, which is taken over, whatever comes of it.  0, or -1 with a text. */
int stream_start(struct serve *s, int fd, const char *name, struct err *err);

/* Write what the pipe takes; 0, or -1 with a text.  The stream may be gone afterwards. */
int stream_write(struct serve *s, struct stream *st, struct err *err);

/* The reader has left, or all is written: jobs that are done are let go; the stream goes with the last. */
void stream_wind_up(struct serve *s, struct stream *st);

/* Frames have come: the streams that waited for them go on.  0, or -1 with a text. */
int stream_distribute(struct serve *s, struct err *err);

/* All of them, when no thread works on a frame any more. */
void stream_end_all(struct serve *s);

#endif
