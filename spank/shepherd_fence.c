/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>

/* Slurm gives a node up after SlurmdTimeout, by default five minutes. */
#define LOOK_EVERY_S 60
#define LOOK_STILL_S 5
#define LOOK_MS 5000
#define REFUSED_TRIES 6

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

static int runs_here(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;

    return slurmjob_runs_on(f->job, f->node, result, err);
}

/* The prolog has not run, and slurmctld could not be asked (policy_start.c); or a lost copy of the script has come to its
 * next step. */
int shepherd_fence_refuses(struct shepherd *s)
{
    bool here = false;
    int rc = -1;

    for (int i = 0; i < REFUSED_TRIES && rc < 0; i++)
        rc = clerk_run(runs_here, &s->facts, &here, sizeof here, LOOK_MS, NULL);
    if (rc == 0 && here)
        return shepherd_elsewhere(
            s, "it is not told how often the job was started: slurmd has run no prolog");
    shepherd_say("the job has been started again elsewhere: this start of it ends");
    /* Its script would go on to its next command. */
    return s->step ? shepherd_wait_end(s) : 1;
}
