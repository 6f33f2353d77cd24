/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/event.h"
#include "common/gendir.h"
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/elsewhere.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VAIN_MOST 2 /* restarts in a row without a new checkpoint */
#define DELAY_S 120
#define DELAY_MOST_S 1800

struct past {
    bool some;      /* something was saved, or somebody has looked */
    uint32_t saved; /* epoch of the newest checkpoint */
    uint32_t held;  /* in which it was held last; whoever released it has looked */
    uint32_t
        elsewhere; /* runs since then that were over before they began: another node was looked for */
    char newest[40];
};

static int look_at(const struct event *e, void *arg)
{
    struct past *p = arg;

    if (strcmp(e->event, ELSEWHERE_EVENT) == 0)
        p->elsewhere++;
    else if (strcmp(e->event, "held") == 0 || strcmp(e->event, "checkpoint") == 0)
        p->elsewhere = 0;
    if (strcmp(e->event, "held") == 0 && e->epoch > p->held)
        p->held = e->epoch;
    /* Also that of a script that is started once more: its steps have their own. */
    if (strcmp(e->event, "checkpoint") == 0 && e->epoch > p->saved)
        p->saved = e->epoch;
    return 0;
}

static int read_past(void *arg, void *result, struct err *err)
{
    int taskfd = gendir_open_task(arg, false, err), n;
    struct gendir_id *ids = NULL;
    struct past *p = result;

    if (taskfd < 0)
        return -1;
    n = gendir_list(taskfd, &ids, err);
    if (n > 0) {
        p->some = true;
        p->saved = ids[0].epoch;
        gendir_format_name(ids[0], false, p->newest);
    }
    free(ids);
    if (n >= 0)
        n = event_each(taskfd, look_at, p, err);
    io_close(&taskfd);
    return n < 0 ? -1 : 0;
}

uint32_t shepherd_caps_vain(uint32_t epoch, uint32_t saved, uint32_t held)
{
    uint32_t since = saved > held ? saved : held;

    return epoch > since ? epoch - since : 0;
}

bool shepherd_caps_exceeded(struct shepherd *s, char why[256])
{
    const struct facts *f = &s->facts;
    struct past p;

    /* What cannot be read the restore will tell. */
    if (s->step || f->epoch == 0 ||
        clerk_run(read_past, &s->facts, &p, sizeof p, SHEPHERD_FILES_TIMEOUT_MS, NULL) < 0)
        return false;
    s->vain = shepherd_caps_vain(f->epoch, p.saved, p.held);
    s->vain -= s->vain < p.elsewhere ? s->vain : p.elsewhere;
    if (f->max_restarts > 0 && f->epoch > p.held && f->epoch - p.held > f->max_restarts) {
        snprintf(why, 256, "the job has been restarted %u times, MaxRestarts allows %u",
                 f->epoch - p.held, f->max_restarts);
        return true;
    }
    if (s->vain <= VAIN_MOST)
        return false;
    if (p.some)
        snprintf(why, 256,
                 "%u restarts in a row brought no checkpoint newer than %s (scheckpoint error %u)",
                 s->vain - 1, p.newest, f->job);
    else
        snprintf(why, 256, "%u restarts in a row brought no checkpoint (scheckpoint error %u)",
                 s->vain - 1, f->job);
    return true;
}

struct delay_work {
    uint32_t job;
    int64_t when;
};

static int delay_job(void *arg, void *result, struct err *err)
{
    const struct delay_work *w = arg;

    (void)result;
    return slurmjob_delay(w->job, w->when, err);
}

/* Whatever made this run end early would only do it again at once. */
void shepherd_caps_delay(struct shepherd *s)
{
    int64_t delay = DELAY_S;
    struct delay_work w = {.job = s->facts.job};
    char text[128];

    if (s->step || s->fruitful)
        return;
    for (uint32_t i = 0; i < s->vain && delay < DELAY_MOST_S; i++)
        delay *= 2;
    delay = delay < DELAY_MOST_S ? delay : DELAY_MOST_S;
    w.when = (int64_t)time(NULL) + delay;
    if (clerk_run(delay_job, &w, NULL, 0, 3000, NULL) < 0)
        return; /* then Slurm's own delay of two minutes counts */
    snprintf(text, sizeof text, "nothing was saved in this run: it starts again after %lld s",
             (long long)delay);
    shepherd_event(s, "note", "", text, NULL);
}
