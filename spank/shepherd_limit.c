/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/shepherd.h"
#include "spank/submit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LEAD_MIN_S 120
#define LEAD_MARGIN_S 90
/* Slurm looks at limits about twice a minute and an administrator may move them: look again. */
#define LOOK_AGAIN_S 600
#define LIMITS_EVERY_S 60
/* slurmctld is away: tasks without number ask it again when it comes back. */
#define AWAY_MIN_S 10
#define AWAY_SPREAD_S 20

/* How long before the limit the last checkpoint starts: three times what the slowest one so far
 * took and a margin, at least two minutes; but in a short job no more than a fifth of its time, as
 * long as that is enough for twice the measured cost. */
int64_t shepherd_limit_lead(int64_t limit_s, int64_t dump_ms)
{
    int64_t lead = 3 * dump_ms / 1000 + LEAD_MARGIN_S;
    int64_t needed = 2 * dump_ms / 1000 + 5;

    if (lead < LEAD_MIN_S)
        lead = LEAD_MIN_S;
    if (lead > limit_s / 5)
        lead = limit_s / 5;
    return lead < needed ? needed : lead;
}

/* sbatch refuses --no-requeue where it can see it; a site's JobRequeue=0 or a script read from standard input it cannot. */
static void tell_if_never_requeued(const struct shepherd *s, const struct slurmjob *job)
{
    static bool told;

    if (told || s->step || job->state != SLURMJOB_RUNNING || job->may_requeue)
        return;
    told = true;
    shepherd_say(
        "this job may not be requeued, so that no checkpoint of it would be restored: scontrol "
        "update job=%u requeue=1",
        s->facts.job);
}

static time_t away_s(void)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = 0;
    return AWAY_MIN_S + (time_t)(random % AWAY_SPREAD_S);
}

void shepherd_limit_later(struct shepherd *s)
{
    struct itimerspec t = {{0, 0}, {away_s(), 0}};

    if (!s->away_told)
        shepherd_say(
            "slurmctld does not answer: the job goes on, and is saved and requeued when it does");
    s->away_told = s->limit_due = true;
    timerfd_settime(s->limit_timer, 0, &t, NULL);
}

/* The last checkpoint is worth nothing when the job cannot be requeued then.  Nobody ends it at its limit meanwhile: that
 * is slurmctld's work too, and its SIGTERM a second chance. */
static bool must_wait(struct shepherd *s)
{
    if (s->step)
        return false;
    if (shepherd_ask_slurm(s, 5000) == SLURMJOB_UNKNOWN) {
        shepherd_limit_later(s);
        return true;
    }
    s->away_told = false;
    return false;
}

/* max-runtime ends as the time limit does, but the job is held. */
static void look_at_budget(struct shepherd *s, struct timespec *wait)
{
    int64_t left = shepherd_budget_left(s);

    if (left == INT64_MAX)
        return;
    left -= 2 * (int64_t)s->slowest_ms / 1000;
    s->budget_due = left <= 0;
    if (left < (int64_t)wait->tv_sec)
        wait->tv_sec = left > 0 ? (time_t)left : 1;
}

void shepherd_limit_arm(struct shepherd *s)
{
    struct itimerspec t = {{0, 0}, {LOOK_AGAIN_S, 0}};
    int64_t now = (int64_t)time(NULL), wait;
    struct slurmjob job;

    if (!s->files || s->final != FINAL_NONE)
        return;
    s->limit_due = s->limit_near = false;
    if (shepherd_slurm_load(s, 5000, &job) == 0)
        tell_if_never_requeued(s, &job);
    else {
        job.state = SLURMJOB_UNKNOWN;
        t.it_value.tv_sec = away_s();
        s->limit_due = s->limit_at > 0 && now >= s->limit_at;
    }
    if (job.state == SLURMJOB_RUNNING && job.may_requeue && job.end_time > 0 &&
        job.end_time < INT32_MAX) {
        s->preempted = job.preempted;
        s->limit_near = job.end_time - now <= SUBMIT_WARNING_S + LIMITS_EVERY_S;
        s->lead_s = shepherd_limit_lead(job.end_time - job.start_time, s->slowest_ms);
        s->limit_at = job.end_time - s->lead_s;
        wait = s->limit_at - now;
        s->limit_due = wait <= 0;
        if (wait < LOOK_AGAIN_S)
            t.it_value.tv_sec = wait > 0 ? (time_t)wait : 1;
    }
    look_at_budget(s, &t.it_value);
    timerfd_settime(s->limit_timer, 0, &t, NULL);
}

void shepherd_limit_reached(struct shepherd *s)
{
    uint64_t n;

    if (read(s->limit_timer, &n, sizeof n) != (ssize_t)sizeof n || s->final != FINAL_NONE)
        return;
    if (shepherd_budget_left(s) != INT64_MAX && !s->budget_due && !s->limit_due)
        shepherd_limit_arm(s);
    if (s->budget_due && s->disabled == 0) {
        shepherd_say("max-runtime is over: the job is saved and held");
        shepherd_slurm_note(s, "max-runtime is over; saved and held");
        s->final = FINAL_VACATE;
        s->early = false;
        shepherd_final(s);
        return;
    }
    if (!s->limit_due) {
        shepherd_limit_arm(s); /* the limit may have been moved since */
        if (!s->limit_due)
            return;
    }
    if (s->disabled > 0) {
        shepherd_disabled_tell(s, s->preempted ? "preempt" : "timelimit");
        return; /* the enable looks again */
    }
    if (must_wait(s))
        return;
    s->limit_due = false;
    /* The script's shepherd decides when to stop; until then a fresh generation cannot hurt. */
    if (s->step) {
        if (!s->dumping)
            shepherd_dump(s, "timelimit", false);
        return;
    }
    s->final = FINAL_TIMELIMIT;
    s->early = true;
    shepherd_final(s);
}
