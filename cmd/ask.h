/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ask - verbs that ask running jobs for something, and wait for what comes of it.
 *
 *   ask.c           from the command line to the jobs; waiting for all of them; what is printed
 *   ask_owner.c     the caller's own: a request in the job's directory (common/request.h), a ring, an answer
 *   ask_steps.c     the tasks of srun's steps: each has a directory, and answers, of its own
 *   ask_operator.c  somebody else's: a ring through Slurm, which knows who may; the verdict is in the job's
 *                   comment, which its owner may have written: it decides about nothing but that job
 */
#ifndef CMD_ASK_H
#define CMD_ASK_H

#include "cmd/cmd.h"
#include "cmd/job.h"
#include "common/request.h"

#include <stdint.h>

struct ask_kind {
    const char *verb;     /* of the request */
    const char *wish;     /* "checkpoint": what was asked for */
    const char *doing;    /* progress: "making the checkpoint" */
    bool counts;          /* disable, enable: the owner's business, and no checkpoint comes of it */
    bool looks;           /* able: the owner's business too */
    bool requeues, holds; /* the run of the job ends by it */
};

/* Ask all jobs that the arguments name; without one the job that this process runs in.  Prints what comes of it,
 * and returns the highest of the exit statuses. */
int ask_run(const struct cmd *c, const struct ask_kind *kind);

/* ---- for ask_*.c ---- */

struct ask {
    const struct cmd *c;
    const struct ask_kind *kind;
    struct job job;
    uint32_t self;                             /* the job that this process runs in, or 0 */
    char task[64];                             /* directory: "batch", "step-KEY.TASKID" */
    uint32_t step;                             /* of a step's task: Slurm's id of the step */
    char label[64];                            /* "job 12", "job 12.0 task 3" */
    int status;                                /* -1: not over */
    json_t *result;                            /* with --json: what became of it */
    const char *now;                           /* for the progress line */
    int64_t limit_ms, asked_slurm_ms, rang_ms; /* since the beginning */
    /* owner */
    int taskfd;
    struct request request;
    bool running;    /* inside the job: the request was taken */
    int64_t gone_ms; /* when the job was seen to be requeued, or restored; 0: not yet */
    /* operator */
    char note[512]; /* the job's, before */
    bool heard;     /* somebody has answered the ring */
};

/* The running tasks of srun's steps in a job of the caller's: fn for each.  -1: some could not be looked at. */
int ask_steps_each(const struct cmd *c, const struct job *job, const struct job_name *name,
                   int (*fn)(void *arg, const char *task, uint32_t step), void *arg);
/* Why there is none, of a step or a task that was named, to *err. */
void ask_steps_none(const struct cmd *c, const struct job *job, const struct job_name *name,
                    struct err *err);
bool ask_is_step(const struct ask *k);
/* Is it (still) one of those? */
bool ask_steps_live(const struct ask *k);

/* It is over.  Prints "LABEL: TEXT", to stdout for CMD_DONE, else to stderr; keeps it for --json with
 * `state`.  a: the answer's figures, or NULL. */
void ask_end(struct ask *k, int status, const char *state, const struct answer *a, const char *fmt,
             ...) __attribute__((format(printf, 5, 6)));

/* able.c: the answer to able. */
void ask_end_able(struct ask *k, const struct answer *a);

/* Send the request, and look what has come of it; elapsed is in ms since the beginning. */
void ask_owner_begin(struct ask *k);
void ask_owner_step(struct ask *k, int64_t elapsed);
void ask_owner_close(struct ask *k);
void ask_operator_begin(struct ask *k);
void ask_operator_step(struct ask *k, int64_t elapsed);

#endif
