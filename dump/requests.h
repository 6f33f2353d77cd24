/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * requests - what CRIU sends through the stream socket at a dump.
 *
 * Each request is a u32 little-endian length, an ImgStreamerRequestEntry with the image's name, and one byte
 * with one descriptor, the reading end of a pipe.  Reads on the socket stop at the byte that carries a
 * descriptor, so requests are taken piecewise.  Source: CRIU 4.2, img-streamer.c.
 */
#ifndef DUMP_REQUESTS_H
#define DUMP_REQUESTS_H

#include "common/crimg.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUESTS_MESSAGE_MAX 512u /* a name has at most CRIMG_NAME_MAX bytes */

struct requests {
    int sock; /* -1: ended */
    int stage;
    uint8_t buf[REQUESTS_MESSAGE_MAX];
    size_t have, want;
    char name[CRIMG_NAME_MAX + 1]; /* of the request that requests_next returned; not yet judged */
};

/* Takes the socket over. */
void requests_init(struct requests *r, int sock);

/* 1: r->name and *fd (the caller's, close-on-exec) are a request; 0: none just now, or the end (r->sock is -1
 * then); -1 with EBADMSG: not the protocol.  Never blocks. */
int requests_next(struct requests *r, int *fd, struct err *err);

/* Is it in the middle of a request?  After the end: was it cut off? */
bool requests_inside(const struct requests *r);

/* Is there nothing unread in the socket?  false when it has ended. */
bool requests_idle(const struct requests *r);

void requests_close(struct requests *r);

#endif
