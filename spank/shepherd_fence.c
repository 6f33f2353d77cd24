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

static int read_fence(void *arg, void *result, struct err *err)
{
    int taskfd = gendir_open_task(arg, false, err), rc;

    if (taskfd < 0)
        return -1;
    rc = gendir_fence_read(taskfd, result, err);
    io_close(&taskfd);
    return rc;
}

/* A job that comes back to a node very soon may find there a count of its restarts that is too small (state.h). */
int shepherd_fence_refuses(struct shepherd *s)
{
    uint32_t fence = UINT32_MAX;
    struct slurmjob job;

    if (clerk_run(read_fence, &s->facts, &fence, sizeof fence, SHEPHERD_FILES_TIMEOUT_MS, NULL) ==
            0 &&
        shepherd_slurm_load(s, 5000, &job) == 0 && job.state == SLURMJOB_RUNNING &&
        job.restart_count > fence)
        return shepherd_elsewhere(
            s, "it came back to this node too soon for slurmd to count its restarts");
    shepherd_say("the job has been started again elsewhere: this start of it ends");
    return 1;
}
