/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/runclock.h"
#include "spank/shepherd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

/* While Slurm ends the job: what is left of KillWait is the checkpoint's. */
#define HURRY_MS 2000
/* A veto before the time limit: how soon the hook is asked again. */
#define ASK_AGAIN_S 10

static const char *const moments[] = {
    [HOOK_BEFORE] = "before", [HOOK_AFTER] = "after", [HOOK_RESTORED] = "restored"};

static const char *path_of(const struct facts_hooks *h, enum hook_moment moment)
{
    switch (moment) {
    case HOOK_BEFORE:
        return h->before;
    case HOOK_AFTER:
        return h->after;
    default:
        return h->restored;
    }
}

/* The site's, then the user's. */
static const char *nth(const struct shepherd *s, unsigned n)
{
    return path_of(n == 0 ? &s->facts.site_hooks : &s->facts.hooks, s->hooks.moment);
}

static const char *result(const struct shepherd *s)
{
    return s->vetoed ? "vetoed" : s->hooks.reply.error ? "failed" : "saved";
}

static void set_number(const char *name, long value)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

/* In the child, which is where the job's processes are, so that it sees the root as they do. */
static void environment(void *arg)
{
    const struct shepherd *s = arg;
    bool after = s->hooks.moment == HOOK_AFTER;

    setenv("CHECKPOINT_WHEN", moments[s->hooks.moment], 1);
    setenv("CHECKPOINT_REASON", s->dump_reason, 1);
    setenv("CHECKPOINT_TASK", s->facts.task, 1);
    setenv("CHECKPOINT_RESULT", after ? result(s) : "", 1);
    setenv("CHECKPOINT_TEXT", after ? s->hooks.reply.text : "", 1);
    setenv("CHECKPOINT_GENERATION",
           s->hooks.moment == HOOK_BEFORE ? ""
           : after                        ? s->hooks.reply.generation
                                          : s->last_generation,
           1);
    set_number("CHECKPOINT_LAST", s->hooks.moment != HOOK_RESTORED && s->dump_stop);
    set_number("CHECKPOINT_ROOT", (long)shepherd_root_pid(s->rootfd));
}

/* Of our own decision there is time; nothing of it may be taken from the checkpoint. */
static int64_t time_ms(const struct shepherd *s)
{
    int64_t ms = (int64_t)s->facts.hook_timeout * 1000, most = INT64_MAX;

    if (s->final != FINAL_NONE && !s->early)
        most = HURRY_MS;
    else if (s->final == FINAL_TIMELIMIT && s->lead_s > 0)
        most = s->lead_s * 1000 / 4;
    return ms < most ? ms : most;
}

/* What stands in the way of the dump, when it does. */
static bool overruled(const struct shepherd *s)
{
    return s->final != FINAL_NONE && !s->early && s->dump_stop && !s->last_generation[0];
}

static void over(struct shepherd *s)
{
    struct hooks *h = &s->hooks;

    h->running = false;
    switch (h->moment) {
    case HOOK_BEFORE:
        if (h->veto[0] && !overruled(s)) {
            shepherd_dump_vetoed(s, h->veto);
            return;
        }
        if (h->veto[0])
            shepherd_say("%s: but nothing is saved yet, and the job is being ended: the last "
                         "checkpoint is made all the same",
                         h->veto);
        shepherd_dump_go(s);
        break;
    case HOOK_AFTER:
        shepherd_dump_over(s, &h->reply);
        break;
    case HOOK_RESTORED:
        shepherd_dump_idle(s);
        break;
    }
}

static void failed(struct shepherd *s, const char *why)
{
    struct hooks *h = &s->hooks;

    if (h->moment == HOOK_BEFORE)
        snprintf(h->veto, sizeof h->veto, "%.299s", why);
    else
        shepherd_say("the hook '%s' failed: %s", moments[h->moment], why);
}

/* Start the next one; what there is none of is over. */
static void next(struct shepherd *s)
{
    struct hooks *h = &s->hooks;
    struct err err = {{0}};
    int64_t left;

    for (; h->n < 2 && !h->veto[0]; h->n++) {
        if (!nth(s, h->n)[0])
            continue;
        left = h->end_ms - runclock_ms();
        if (hook_start(&h->hook, nth(s, h->n), left > 0 ? left : 0, environment, s, &err) == 0)
            return;
        failed(s, err.text);
    }
    over(s);
}

bool shepherd_hooks_begin(struct shepherd *s, enum hook_moment moment)
{
    struct hooks *h = &s->hooks;

    if (!path_of(&s->facts.site_hooks, moment)[0] && !path_of(&s->facts.hooks, moment)[0])
        return false;
    h->moment = moment;
    h->running = true;
    h->n = 0;
    h->veto[0] = '\0';
    h->end_ms = runclock_ms() + time_ms(s);
    next(s);
    return true;
}

static void ended(struct shepherd *s, int status)
{
    struct hooks *h = &s->hooks;
    char why[300];

    if (!hook_end(&h->hook, status, why))
        failed(s, why);
    h->n++;
    next(s);
}

bool shepherd_hooks_reaped(struct shepherd *s, pid_t pid, int status)
{
    if (!s->hooks.running || pid != s->hooks.hook.pid)
        return false;
    ended(s, status);
    return true;
}

void shepherd_hooks_look(struct shepherd *s)
{
    if (s->hooks.running && hook_look(&s->hooks.hook))
        ended(s, 0);
}

void shepherd_hooks_hurry(struct shepherd *s)
{
    struct hooks *h = &s->hooks;

    if (!h->running)
        return;
    if (h->end_ms > runclock_ms() + HURRY_MS)
        h->end_ms = runclock_ms() + HURRY_MS;
    hook_hurry(&h->hook, HURRY_MS);
}

void shepherd_hooks_again(struct shepherd *s)
{
    struct itimerspec t = {{0, 0}, {ASK_AGAIN_S, 0}};

    timerfd_settime(s->limit_timer, 0, &t, NULL);
}
