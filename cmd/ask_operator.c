/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"

#include <errno.h>
#include <string.h>

#define LOOK_MS 500
#define RING_AGAIN_MS 5000
#define SILENT_MS 20000 /* nobody is there who would answer */

void ask_operator_begin(struct ask *k)
{
    struct err err = {{0}};

    if (k->kind->looks) {
        ask_end(k, CMD_REFUSED, "refused", NULL,
                "only its owner (user id %u) may look into it: sudo -u '#%u' scheckpoint able %u; "
                "why a "
                "checkpoint failed is in its comment after scheckpoint create",
                (unsigned)k->job.uid, (unsigned)k->job.uid, k->job.id);
    } else if (k->kind->counts) {
        ask_end(k, CMD_REFUSED, "refused", NULL,
                "only its owner (user id %u) disables and enables its checkpoints",
                (unsigned)k->job.uid);
    } else if (k->c->no_wait && k->kind->requeues) {
        ask_end(k, CMD_REFUSED, "refused", NULL,
                "another user's job is requeued when its checkpoint is made: not with --no-wait");
    } else if (job_note(&k->job, k->note, &err) < 0 || job_ring(&k->job, &err) < 0) {
        int status = errno == EIO ? CMD_FAILED : CMD_REFUSED;

        ask_end(k, status, status == CMD_FAILED ? "failed" : "refused", NULL, "%s", err.text);
    } else if (k->c->no_wait) {
        ask_end(
            k, CMD_DONE, "asked", NULL,
            "asked for a checkpoint, if it was submitted with --checkpoint; the verdict will be "
            "in its comment and its standard error");
    }
}

static void saved(struct ask *k, const char *generation)
{
    struct err err = {{0}};

    if (!k->kind->requeues)
        ask_end(k, CMD_DONE, "done", NULL, "saved: %s", generation);
    else if (job_requeue(&k->job, k->kind->holds, &err) < 0)
        ask_end(k, CMD_FAILED, "failed", NULL, "saved (%s), but it runs on: %s", generation,
                err.text);
    else /* Slurm's SIGTERM has it make one checkpoint more */
        ask_end(k, CMD_DONE, "done", NULL, "saved: %s; requeued%s", generation,
                k->kind->holds ? " and held (scontrol release)" : "");
}

/* "TIME: saved: GENERATION" and the like, from spank/shepherd_request.c. */
static void hear(struct ask *k, const char *note)
{
    const char *text = strstr(note, ": ");

    text = text ? text + 2 : note;
    memcpy(k->note, note, sizeof k->note);
    k->heard = true;
    k->now = k->kind->doing;
    if (strncmp(text, "saved: ", 7) == 0)
        saved(k, text + 7);
    else if (strncmp(text, "failed: ", 8) == 0)
        ask_end(k, CMD_FAILED, "failed", NULL, "not saved: %s%s", text + 8,
                k->kind->requeues ? " (the job runs on)" : "");
    else if (strncmp(text, "refused: ", 9) == 0)
        ask_end(k, CMD_REFUSED, "refused", NULL, "%s", text + 9);
}

void ask_operator_step(struct ask *k, int64_t elapsed)
{
    struct err err = {{0}};
    char note[sizeof k->note];
    struct job now;

    if (elapsed >= k->limit_ms) {
        ask_end(k, CMD_TIMEOUT, "timeout", NULL,
                "no verdict within %lld s; it will be in the job's comment",
                (long long)(k->limit_ms / 1000));
        return;
    }
    if (elapsed - k->asked_slurm_ms < LOOK_MS)
        return;
    k->asked_slurm_ms = elapsed;
    if (job_note(&k->job, note, &err) < 0) {
        if (errno == ESRCH)
            ask_end(k, CMD_FAILED, "failed", NULL, "Slurm does not know it any more");
        return;
    }
    if (strcmp(note, k->note) != 0) {
        hear(k, note);
        return;
    }
    if (job_load(&k->job.name, &now, NULL) < 0)
        return;
    if (now.phase == JOB_PHASE_SUSPENDED && !k->heard) {
        ask_end(k, CMD_REFUSED, "refused", NULL, "it is suspended: scontrol resume %u first",
                k->job.id);
    } else if (now.phase == JOB_PHASE_SUSPENDED) {
        k->now = "suspended; it goes on with the job";
        k->limit_ms += LOOK_MS;
    } else if (now.restarts != k->job.restarts || now.requeueing || now.phase == JOB_PHASE_OVER) {
        ask_end(k, CMD_FAILED, "failed", NULL, "its run ended before the verdict was there");
    } else if (!k->heard && elapsed >= SILENT_MS) {
        ask_end(k, CMD_REFUSED, "refused", NULL,
                "it does not answer: was it submitted with --checkpoint?");
    } else if (!k->heard && elapsed - k->rang_ms >= RING_AGAIN_MS) {
        k->rang_ms = elapsed;
        (void)job_ring(&k->job, NULL);
    }
}
