/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/preflight.h"
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/elsewhere.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFLIGHT_MS 60000

/* ---- preflight ---- */

static int look(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    int taskfd = gendir_open_task(f, false, err), n;
    struct gendir_id *ids = NULL;

    if (taskfd < 0)
        return -1;
    n = gendir_list(taskfd, &ids, err);
    if (n > 0)
        preflight_run(taskfd, ids[0], f, false, result);
    free(ids);
    io_close(&taskfd);
    return n < 0 ? -1 : 0;
}

bool shepherd_preflight(struct shepherd *s, char why[512])
{
    struct preflight *p = calloc(1, sizeof *p);
    bool fits = true;

    if (p && clerk_run(look, &s->facts, p, sizeof *p, PREFLIGHT_MS + (int)s->facts.busy_wait * 1000,
                       NULL) == 0)
        for (size_t i = 0; i < p->n; i++) {
            const struct preflight_point *x = &p->points[i];

            if (x->verdict == PREFLIGHT_FAIL)
                shepherd_say("before the restore of %s: %s: %s", p->generation, x->name, x->text);
            if (x->verdict == PREFLIGHT_FAIL && x->node && fits) {
                fits = false;
                snprintf(why, 512, "%s: %s", x->name, x->text);
            }
        }
    free(p); /* what it could not look at, the restore itself will tell */
    return fits;
}

/* ---- on to another node ---- */

static int count(const struct event *event, void *arg)
{
    elsewhere_count(arg, event);
    return 0;
}

static int count_tries(void *arg, void *result, struct err *err)
{
    int taskfd = gendir_open_task(arg, false, err), rc;

    if (taskfd < 0)
        return -1;
    rc = event_each(taskfd, count, result, err);
    io_close(&taskfd);
    return rc;
}

struct send_work {
    uint32_t job, delay;
    const char *node;
    char text[400];
};

static int send_on(void *arg, void *result, struct err *err)
{
    const struct send_work *w = arg;

    return slurmjob_elsewhere(w->job, w->node, w->delay, w->text, result, err);
}

int shepherd_elsewhere(struct shepherd *s, const char *why)
{
    struct send_work w = {.job = s->facts.job, .node = s->facts.node};
    struct elsewhere e = {0};
    struct err err = {{0}};
    bool excluded = false;
    char text[600];

    if (clerk_run(count_tries, &s->facts, &e, sizeof e, SHEPHERD_FILES_TIMEOUT_MS, NULL) < 0 ||
        e.tries >= s->facts.busy_retries) {
        snprintf(text, sizeof text, "%.400s (and %u nodes before could not have it either)", why,
                 e.tries);
        return shepherd_hold(s, e.tries ? text : why);
    }
    w.delay = elsewhere_delay(e.tries);
    snprintf(w.text, sizeof w.text, "%.250s on %s; requeued", why, s->facts.node);
    /* Written first: the next start must count it, whatever becomes of this one. */
    shepherd_event(s, ELSEWHERE_EVENT, "", why, NULL);
    if (clerk_run(send_on, &w, &excluded, sizeof excluded, 20000, &err) < 0) {
        /* Another task of the job may have done it. */
        if (shepherd_ask_slurm(s, 5000) == SLURMJOB_REQUEUED)
            return shepherd_wait_end(s);
        shepherd_say("cannot send the job to another node: %s", err.text);
        return shepherd_hold(s, why);
    }
    shepherd_say("this node cannot have the job: %s; requeued%s, not before %u s from now", why,
                 excluded ? ", without this node" : "; there is no other node", w.delay);
    return shepherd_wait_end(s);
}
