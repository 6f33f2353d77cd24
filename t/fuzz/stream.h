/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * stream - an input played to a server of CRIU's streaming protocol.
 *
 * The input is a list of steps, each a byte (modulo 4) and what it needs:
 *   0 LENGTH BYTES...   bytes into the socket
 *   1                   a byte with a descriptor: a pipe's end, as CRIU would send it
 *   2                   a byte with some other descriptor
 *   3 LENGTH BYTES...   bytes into the newest pipe (capture), or what came is read (serve)
 */
#ifndef FUZZ_STREAM_H
#define FUZZ_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_play {
    int sock;     /* CRIU's end of the socket */
    bool writing; /* capture: we write into the pipes and send their reading ends */
    int pipes[16];
    size_t npipes;
    const uint8_t *data;
    size_t len;
};

/* One step; false at the end of the input. */
bool stream_step(struct stream_play *p);
/* Close the pipes: their images are whole. */
void stream_end_pipes(struct stream_play *p);
/* Close all that is open. */
void stream_end(struct stream_play *p);

#endif
