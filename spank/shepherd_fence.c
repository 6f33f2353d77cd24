/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

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

struct here {
    struct slurmjob job;
    bool here;
};

static int load_here(void *arg, void *result, struct err *err)
{
    const struct shepherd *s = arg;
    struct here *h = result;

    return slurmjob_load_at(s->facts.job, s->facts.node, !s->step, &h->job, &h->here, err);
}

/* Either this is an old start, or it is the present one and was not told so: the prolog has not run, and slurmctld could not
 * be asked, or is not for a step (policy_start.c).  To end would be to fail, so that the answer is waited for. */
int shepherd_fence_refuses(struct shepherd *s)
{
    struct here h = {.here = false};
    bool told = false;

    while (clerk_run(load_here, s, &h, sizeof h, LOOK_MS, NULL) < 0 && errno != ESRCH) {
        if (!told)
            shepherd_say("the job seems to have been started again elsewhere, and slurmctld does "
                         "not answer: this start of it waits");
        told = true;
        sleep(LOOK_STILL_S);
        if (shepherd_terminated(s))
            return 128 + SIGTERM;
    }
    if (h.here && h.job.restart_count == s->facts.epoch && !s->sure) {
        s->sure = true;
        return 0;
    }
    if (h.here && !s->sure)
        return shepherd_elsewhere(
            s, "it is not told how often the job was started: slurmd has run no prolog");
    shepherd_say("the job has been started again elsewhere: this start of it ends");
    /* A step's script would go on to its next command. */
    return s->step ? shepherd_wait_end(s) : 1;
}
