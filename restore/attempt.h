/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * attempt - one run of `criu restore` over a verified checkpoint, from the first word to criu until
 * the tree runs, or until nothing of it is left.
 *
 * Who is whose parent: criu's tasks are its children; with --restore-detached criu ends when the
 * tree runs, and the tree's root becomes a child of the nearest child subreaper: this process.  It
 * never waits for the root; when it ends, root (or its zombie) goes on to the keeper, the next
 * subreaper.
 */
#ifndef RESTORE_ATTEMPT_H
#define RESTORE_ATTEMPT_H

#include "common/criurun.h"
#include "common/err.h"
#include "common/facts.h"
#include "restore/tree.h"
#include "restore/verify.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Fork criu's launcher; needs the capability permitted and a single thread.  Makes this process a
 * child subreaper. */
struct criurun *attempt_prepare(const struct facts *f, struct err *err);

struct attempt {
    const struct facts *f;
    struct criurun *run;
    const struct checkpoint *c; /* filtered */
    const struct tree *t;
    int64_t deadline; /* CLOCK_MONOTONIC ms */
    int cancelfd;     /* readable: give up (ECANCELED) */
    bool hung;        /* out: a thread of ours is stuck in the kernel */
};

/* Without capabilities, SIGPIPE ignored.  0: the tree runs and holds no capability.  -1 with a
 * text: all of it has been killed (or the text says what was left). */
int attempt_run(struct attempt *a, struct err *err);

int64_t attempt_now_ms(void);

#endif
