/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * capture - the server of CRIU's streaming protocol at a dump.
 *
 * CRIU asks over the stream socket (u32 little-endian length, ImgStreamerRequestEntry, then one byte with one
 * descriptor, the reading end of a pipe); the image's bytes come through that pipe until its end.
 * Many pipes are open at once.  CRIU closes the socket when the tree runs again (or is left stopped) and
 * no image will follow.  Source: CRIU 4.2, img-streamer.c, image.c.
 *
 * criu is started before all is ready for it, as it looks at the kernel for longer than at the job.  Its plugin, which CRIU
 * loads before it stops anything, waits for one byte from the drain socket (dump_capture sends it); at the socket's end it
 * gives up.
 *
 * What lies in the pipes is the job's own memory, by reference.  So before CRIU lets the tree go its plugin
 * (criu-plugin.c) sends one byte through the drain socket and waits for one; it gets it when all pipes are
 * empty.
 */
#ifndef DUMP_CAPTURE_H
#define DUMP_CAPTURE_H

#include "common/criurun.h"
#include "common/err.h"
#include "dump/images.h"
#include "dump/pack.h"
#include "dump/snapshot.h"
#include "dump/wanted.h"

#include <stdint.h>
#include <sys/types.h>

struct capture_opts {
    struct criurun *run;
    struct images *images;
    struct pack *pack;
    struct snapshot *snapshot; /* NULL: none are made */
    int drain_fd;              /* our end of the drain socket (SOCK_STREAM) */
    pid_t root;                /* of the tree: must stand still when the plugin asks */
    int root_fd;               /* its pidfd: the pid is still that process's then */
    struct wanted wanted;      /* when it is not any more: give up */
    /* NULL, or called once when all images are in and the tree still stands: what must be consistent with
     * them is taken now, as fast as can be.  The pack's frames are all free or on their way then.  -1 with a
     * text: the dump fails, the tree goes on. */
    int (*frozen)(void *arg, struct err *err);
    void *frozen_arg;
};

/* After criurun_go: take everything in until criu has ended.  0: criu ended well, all images came to
 * their end, and everything had been taken in before the tree was let go; what is bulk has been submitted to the pack (not: written).
 *
 * -1: the text is the cause.  criu is ended then: the stream is closed first, so that it fails by
 * itself, takes its code out of the tree and lets it run; only when it has not done so within
 * CAPTURE_GRACE_MS is it killed, and the text says so. */
int capture_run(const struct capture_opts *opts, struct err *err);

#define CAPTURE_GRACE_MS 20000

int64_t capture_now_ms(void);

#endif
