/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * witness - was a signal meant for the process group, or for the shepherd alone?
 *
 * `scancel --batch --signal` signals a batch script, `scancel --full --signal` its process group (slurmstepd's kill and
 * killpg of the task's number).  signalfd(2) does not tell one from the other, and the script is in another group than the
 * shepherd, for CRIU wants it in a session of its own.  A child in the shepherd's group, which blocks all signals and
 * does nothing else, has got the same signal in the second case.
 */
#ifndef SPANK_WITNESS_H
#define SPANK_WITNESS_H

#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct witness {
    pid_t pid; /* 0: there is none */
    int sock;  /* to be polled for answers; -1: there is none */
};

#define WITNESS_NONE                                                                               \
    {                                                                                              \
        0, -1                                                                                      \
    }

/* A child of the caller, in its process group; it ends with the caller.  All signals must be blocked already.  -1 with a
 * text, *w as it was. */
int witness_start(struct witness *w, struct err *err);

/* It ends before this returns. Slurm counts a second when a process outlives its task. */
void witness_end(struct witness *w);

/* Ask about a signal that the caller has got.  False: there is none to be asked (any more). */
bool witness_ask(struct witness *w, int sig);

/* The next answer, at most a tenth of a second after its question.  False: none is there; the witness may be gone. */
bool witness_answer(struct witness *w, int *sig, bool *group);

#endif
