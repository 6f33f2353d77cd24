/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/shepherd.h"
#include "spank/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of KillWait (30 s by default); slurmctld answers in milliseconds unless it has much to do, as when it ends many jobs at
 * once. */
#define WHY_MS 5000
#define SCRIPT_MS 60000      /* until Slurm ends a job that is to be requeued */
#define SCRIPT_STOPS_MS 2000 /* until its script stands still then */
#define REQUEUE_AGAIN_S 3

bool shepherd_none_last(struct shepherd *s)
{
    static bool said;

    if (strcmp(s->facts.proctrack, "linuxproc") != 0)
        return false;
    if (!said)
        shepherd_say(
            "no last checkpoint: under proctrack/linuxproc the whole job gets SIGTERM at once; "
            "the newest earlier generation counts");
    said = true;
    return true;
}

/* What the end that Slurm forces is to us. */
static enum final_kind final_of(enum slurmjob_state state)
{
    switch (state) {
    case SLURMJOB_REQUEUED:
        return FINAL_REQUEUE;
    case SLURMJOB_TIMEOUT:
        return FINAL_TIMELIMIT;
    default:
        return FINAL_UNKNOWN;
    }
}

static const char *reason(const struct shepherd *s)
{
    switch (s->final) {
    case FINAL_TIMELIMIT:
        return s->preempted ? "preempt" : "timelimit";
    case FINAL_VACATE:
        return "vacate";
    case FINAL_REQUEUE:
        return s->preempted ? "preempt" : "requeue";
    default:
        return "requeue";
    }
}

void shepherd_final(struct shepherd *s)
{
    if (s->dumping) { /* when it is done, the last one follows */
        if (!s->early)
            shepherd_hooks_hurry(s);
        return;
    }
    if (s->disabled > 0)
        shepherd_disabled_tell(s, reason(s));
    else
        shepherd_dump(s, reason(s), true);
}

/* Under private isolation the end of the namespace's init ends everything in it at one blow; the
 * init, our keeper, ends when its socket closes. */
static void kill_stopped(struct shepherd *s)
{
    struct pollfd gone = {.fd = s->rootfd, .events = POLLIN};

    if (s->facts.isolation == ISOLATION_HOST) {
        tree_kill(s->root ? s->root : s->restored_pid);
        return;
    }
    io_close(&s->keeper);
    if (poll(&gone, 1, 5000) <= 0)
        syscall(SYS_pidfd_send_signal, s->rootfd, SIGKILL, NULL, 0);
}

/* The tree stands still, and to Slurm its end would be that of the job.  So while slurmctld does not answer it is asked
 * again and again; slurmd's SIGKILL ends that too. */
static int requeue_patiently(struct shepherd *s, enum slurmjob_how how, bool patient,
                             struct err *err)
{
    enum slurmjob_state state;
    bool told = false;

    while (shepherd_slurm_requeue(s, how, err) < 0) {
        if (errno == ESTALE || !patient)
            return -1;
        while ((state = shepherd_ask_slurm(s, 5000)) == SLURMJOB_UNKNOWN) {
            if (!told)
                shepherd_say("slurmctld does not answer: the job is requeued when it does");
            told = true;
            sleep(REQUEUE_AGAIN_S);
        }
        if (!told || state == SLURMJOB_CANCELLED || state == SLURMJOB_ENDED)
            return -1;
        told = false;
    }
    return 0;
}

/* Slurm does not requeue at its limit, nor for us. */
static int requeue(struct shepherd *s, bool patient, struct err *err)
{
    enum slurmjob_how how = s->final == FINAL_VACATE ? SLURMJOB_HELD : SLURMJOB_AGAIN;

    if (s->requeued)
        return 0;
    if (requeue_patiently(s, how, patient, err) < 0)
        return -1;
    s->requeued = true;
    shepherd_event(s, "requeue", "",
                   s->final != FINAL_TIMELIMIT ? "asked for"
                   : s->preempted              ? "for preemption"
                                               : "at the time limit",
                   NULL);
    return 0;
}

bool shepherd_final_requeue(struct shepherd *s, const struct proto_reply *r)
{
    bool asked = s->final == FINAL_ASKED || s->final == FINAL_VACATE;
    struct err err = {{0}};
    char text[500];

    /* Of a step's task that is the script's business. */
    if (s->step || (!asked && s->final != FINAL_TIMELIMIT) ||
        requeue(s, !s->early || (!asked && !r->generation[0]), &err) == 0)
        return true;
    if (!asked && s->early && shepherd_ask_slurm(s, 5000) == SLURMJOB_UNKNOWN) {
        s->final = FINAL_NONE;
        s->early = false;
        shepherd_limit_later(s);
        return false;
    }
    if (asked && s->early) {
        snprintf(text, sizeof text, SAVED_ONLY "cannot be requeued: %.400s", err.text);
        shepherd_say("%s", text);
        s->final = FINAL_NONE;
        s->early = false;
        shepherd_requests_answer(s, r, "failed", text);
        return false;
    }
    shepherd_say("cannot requeue the job: %s; scontrol requeue %u continues it", err.text,
                 s->facts.job);
    return true;
}

bool shepherd_final_saved(struct shepherd *s, const struct proto_reply *r)
{
    if (!shepherd_final_requeue(s, r))
        return false;
    if (!relay_drain(&s->relay, DRAIN_MS))
        shepherd_say("the end of the output is lost: slurmstepd does not take it");
    shepherd_requests_answer(s, r, "done", r->text);
    kill_stopped(s);
    s->ended = true;
    s->status = SIGTERM; /* as a wait status: killed by SIGTERM */
    return true;
}

/* srun, and the script that waits for it, must not see the task end: it would go on to its next command.  The SIGTERM of
 * the requeue comes to the task and to the script's shepherd, which has the script stand still then. */
static void outlast_script(const struct shepherd *s)
{
    const int64_t end = shepherd_now_ms() + SCRIPT_MS;
    struct pollfd p = {.fd = s->signals, .events = POLLIN};
    struct signalfd_siginfo si = {.ssi_signo = 0};

    for (int64_t left = SCRIPT_MS; left > 0 && si.ssi_signo != SIGTERM;
         left = end - shepherd_now_ms())
        if (poll(&p, 1, (int)left) > 0 && read(s->signals, &si, sizeof si) != (ssize_t)sizeof si)
            si.ssi_signo = 0;
    if (si.ssi_signo == SIGTERM)
        (void)poll(NULL, 0, SCRIPT_STOPS_MS);
}

void shepherd_final_lost(struct shepherd *s, const struct proto_reply *r)
{
    const char *from = s->last_generation[0] ? s->last_generation : "its newest checkpoint, if any";
    struct err err = {{0}};

    s->dumping = false;
    shepherd_event(s, "checkpoint-failed", r->generation, r->text, r);
    if (s->requeued || shepherd_slurm_requeue(s, SLURMJOB_AGAIN, &err) == 0) {
        s->requeued = true;
        shepherd_event(s, "requeue", "", "a process was lost in a checkpoint", NULL);
        shepherd_say("%s: the job is requeued and goes on from %s", r->text, from);
    } else {
        shepherd_say("%s, and the job cannot be requeued (%s): scontrol requeue %u continues it "
                     "from %s",
                     r->text, err.text, s->facts.job, from);
    }
    (void)relay_drain(&s->relay, DRAIN_MS);
    shepherd_requests_answer(s, r, "failed", r->text);
    kill_stopped(s);
    if (s->step && s->script && s->requeued)
        outlast_script(s);
    s->ended = true;
    s->status = SIGKILL;
}

/* Perhaps while this node could not be reached: nothing that this copy still does is wanted. */
void shepherd_final_stale(struct shepherd *s)
{
    shepherd_say("the job has been started again elsewhere: this copy of it ends");
    kill_stopped(s);
    s->ended = s->stale = true;
    s->status = SIGKILL;
}

/* The limit is there and nothing can be saved any more: what was saved before is not given up for that. */
static void requeue_to_earlier(struct shepherd *s)
{
    struct err err = {{0}};

    if (s->step || s->requeued || !s->last_generation[0])
        return;
    if (requeue(s, false, &err) < 0)
        shepherd_say("cannot requeue the job at its time limit: %s", err.text);
    else
        shepherd_say("requeued at the time limit: without a last checkpoint it goes on from %s",
                     s->last_generation);
}

void shepherd_final_failed(struct shepherd *s)
{
    if (s->stopping)
        shepherd_script_continue(s);
    /* Before the limit Slurm's own SIGTERM gives a second chance; what was asked for by a verb fails. */
    if (!s->early) {
        if (s->final == FINAL_TIMELIMIT)
            requeue_to_earlier(s);
        shepherd_forward(s, SIGTERM);
        if (s->final == FINAL_REQUEUE)
            shepherd_caps_delay(s);
    }
    s->final = FINAL_NONE;
    s->early = false;
}

/* For the next run: SIGKILL may come before it is done. */
void shepherd_final_begun(struct shepherd *s)
{
    if (s->dumping && s->final != FINAL_NONE && !s->early)
        shepherd_event(s, "last-begun", "", s->dump_reason, NULL);
}

/* SIGTERM came while the last checkpoint is being made, or waits to be. */
static void terminate_again(struct shepherd *s, enum slurmjob_state state)
{
    switch (state) {
    case SLURMJOB_RUNNING: /* the user's own scancel --signal=TERM */
        shepherd_pass(s, SIGTERM);
        return;
    case SLURMJOB_CANCELLED:
    case SLURMJOB_ENDED: /* not to be requeued by us */
        s->final = FINAL_CANCELLED;
        break;
    case SLURMJOB_REQUEUED:
        if (s->final != FINAL_VACATE)
            s->final = FINAL_REQUEUE;
        break;
    default:
        break;
    }
    s->early = false;
    if (!s->dumping && s->final == FINAL_CANCELLED)
        shepherd_final_failed(s);
    else if (s->final != FINAL_CANCELLED)
        shepherd_final_begun(s);
}

/* Many were told to end at once, and slurmctld had no time for an answer when it was asked; now that the tree is saved and
 * stands still there may be one. */
void shepherd_final_find_out(struct shepherd *s)
{
    if (s->final == FINAL_UNKNOWN)
        s->final = final_of(shepherd_ask_slurm(s, 2 * WHY_MS));
}

/* At the beginning of a preemption's grace time Slurm sends SIGTERM to the steps, and not to the batch script, which
 * would go on to its next command if they ended.  So it is a warning: the end comes with the requeue. */
static bool only_warned(struct shepherd *s, enum slurmjob_state state)
{
    struct slurmjob job;

    if (!s->step || !s->script || state != SLURMJOB_RUNNING ||
        shepherd_slurm_load(s, 2000, &job) < 0 || !job.preempted)
        return false;
    if (!s->dumping && s->disabled == 0)
        shepherd_dump(s, "preempt", false);
    return true;
}

/* SIGTERM is all that Slurm says; slurmctld knows why. */
void shepherd_terminate(struct shepherd *s)
{
    enum slurmjob_state state = shepherd_ask_slurm(s, WHY_MS);
    const bool dumping = s->dumping;

    if (s->final != FINAL_NONE) {
        terminate_again(s, state);
        return;
    }
    if (only_warned(s, state))
        return;
    switch (state) {
    case SLURMJOB_RUNNING: /* the user's own scancel --signal=TERM */
        shepherd_pass(s, SIGTERM);
        return;
    case SLURMJOB_CANCELLED:
    case SLURMJOB_ENDED:
        shepherd_forward(s, SIGTERM);
        return;
    default:
        s->final = final_of(state);
        break;
    }
    s->early = false;
    if (shepherd_none_last(s) || (s->final == FINAL_UNKNOWN && s->disabled > 0)) {
        shepherd_final_failed(s);
        return;
    }
    if (s->final == FINAL_UNKNOWN && !s->dumping)
        shepherd_dump(s, "terminate", true);
    else if (s->final != FINAL_UNKNOWN)
        shepherd_final(s);
    if (dumping)
        shepherd_final_begun(s);
    /* It may stay disabled until SIGKILL. */
    if (s->final == FINAL_TIMELIMIT && s->disabled > 0)
        requeue_to_earlier(s);
}
