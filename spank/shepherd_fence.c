/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>

/* Slurm gives a node up after SlurmdTimeout, by default five minutes. */
#define LOOK_EVERY_S 60
#define LOOK_STILL_S 5
#define LOOK_MS 5000

int shepherd_fence_open(const struct facts *f, struct err *err)
{
    int taskfd = gendir_open_task(f, false, err), rc;

    if (taskfd < 0)
        return -1;
    rc = gendir_fence_check(taskfd, f->epoch, err);
    io_close(&taskfd);
    return rc;
}

static int look(void *arg, void *result, struct err *err)
{
    bool *successor = result;

    if (shepherd_fence_open(arg, err) == 0)
        return 0;
    *successor = errno == ESTALE;
    return *successor ? 0 : -1;
}

static void stand_still(struct shepherd *s)
{
    if (s->still)
        return;
    s->still = true;
    shepherd_say("the job has been started again elsewhere, and slurmctld does not answer: this "
                 "copy of it stands still");
    shepherd_stand_still(s);
}

void shepherd_fence_look(struct shepherd *s)
{
    bool successor = false;

    s->fence_s = shepherd_now_s() + (s->dumping ? LOOK_STILL_S : LOOK_EVERY_S);
    if (!s->files || s->dumping ||
        clerk_run(look, &s->facts, &successor, sizeof successor, LOOK_MS, NULL) < 0 || !successor)
        return;
    switch (shepherd_ask_slurm(s, LOOK_MS)) {
    case SLURMJOB_UNKNOWN:
        stand_still(s);
        s->fence_s = shepherd_now_s() + LOOK_STILL_S;
        return;
    case SLURMJOB_RUNNING: /* only its owner can have written that */
        if (s->still)
            shepherd_script_continue(s);
        s->still = false;
        return;
    default:
        shepherd_final_stale(s);
        return;
    }
}
