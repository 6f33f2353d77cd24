/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * steps - which srun step is which, when the batch script is run once more.
 *
 *   JOBDIR/steps/
 *     epoch           the newest start of the job (gendir_fence)
 *     asked.NODE      what slurmctld told the tasks of a node last (shepherd.h)
 *     run             how the script runs now: "EPOCH start|tree"
 *     WORD-N          claim: the N-th step (from 0) with this WORD since the script was last started from its
 *                     beginning; "ORDER COMMAND".  WORD: digest of srun's command line, or the user's name for it
 *     former          claims of the run before: "ORDER WORD-N COMMAND" per line
 *     hold            while it is there no step is claimed: the script's tree is being dumped
 *     after-GEN       claims that there were when the dump after generation GEN ("0": none) began, a line each
 *     rerun           "EPOCH GEN": the script held a live srun when a checkpoint was due; it is to be started from
 *                     its beginning unless there is a generation newer than GEN
 *   JOBDIR/step-KEY.TASKID/    KEY is WORD-N: directory of one task, as gendir.h has it, and in it
 *     exit            wait status of a task that has ended by itself: "EPOCH STATUS NTASKS"
 *     live            "EPOCH STEPID NODE" while its shepherd runs
 *     last            the same of the last one that has ended
 *
 * Not the step id: that starts at 0 again whenever the job does, and steps that are started side by side
 * get theirs in any order.  Counting equal commands gives each step of a script the same key however the others
 * are timed.
 *
 * All of it runs as the job's user, in the shepherd's clerks and in srun's helper.
 */
#ifndef SPANK_STEPS_H
#define SPANK_STEPS_H

#include "common/err.h"
#include "common/facts.h"
#include "common/gendir.h"

#include <stdbool.h>
#include <stdint.h>

#define STEPS_DIR "steps"
#define STEPS_WORD_MAX 32
#define STEPS_KEY_MAX 44
#define STEPS_EXIT "exit"
#define STEPS_LIVE "live"
#define STEPS_LAST "last"

/* JOBDIR/steps of f's job; `create` makes it. */
int steps_open(const struct facts *f, bool create, struct err *err);

struct steps_run {
    uint32_t epoch;
    bool from_start; /* or restored as a tree */
};
int steps_run_write(int fd, const struct steps_run *r, struct err *err);
/* ENOENT: the script's shepherd has written none (or there is no script: salloc). */
int steps_run_read(int fd, struct steps_run *r, struct err *err);

/* May a user call a step so: [A-Za-z0-9_]{1,24}? */
bool steps_name_ok(const char *name);

/* Claim the next key of this word; waits up to wait_ms while claims are held. *order: how many were claimed before. */
int steps_claim(int fd, const char *word, const char *command, int wait_ms, char key[STEPS_KEY_MAX],
                unsigned *order, struct err *err);
/* What stood at this place in the run before, if that was another key and none like this has come yet: 1 and its
 * command; else 0. */
int steps_changed(int fd, const char *key, unsigned order, char *command, size_t size);

/* The script starts from its beginning: claims become `former`. */
int steps_reset(int fd, struct err *err);
int steps_hold(int fd, bool hold, struct err *err);
/* Before a dump of the tree; `newest` NULL: there is no generation yet. */
int steps_snapshot(int fd, const struct gendir_id *newest, struct err *err);
/* Before generation g of the tree is restored: only the claims that it knows stay. ENOENT: nobody wrote them down
 * and there are some. */
int steps_rewind(int fd, struct gendir_id g, struct err *err);

int steps_mark(int fd, uint32_t epoch, const struct gendir_id *newest, struct err *err);
/* Is the mark newer than this generation (NULL: there is none)? */
bool steps_marked(int fd, const struct gendir_id *newest);

struct steps_exit {
    uint32_t epoch;
    int status; /* wait status */
    uint32_t ntasks;
};
int steps_exit_write(int taskfd, const struct steps_exit *e, struct err *err);
int steps_exit_read(int taskfd, struct steps_exit *e, struct err *err);

/* The exit code that srun would give for a whole step, from the records of all its tasks before `epoch`: as srun
 * has it the largest, or 128 + signal.  -1, ENOENT: not all have ended. */
int steps_exit_code(const struct facts *f, const char *key, uint32_t epoch, int *code,
                    struct err *err);

struct steps_live {
    uint32_t epoch, step;
    char node[64];
};
int steps_live_write(int taskfd, const struct steps_live *l, struct err *err);
int steps_live_read(int taskfd, struct steps_live *l, struct err *err);
/* It ends: live becomes last. */
void steps_live_end(int taskfd);
/* live, else last.  ENOENT: neither (it has not begun). */
int steps_last_read(int taskfd, struct steps_live *l, struct err *err);

#endif
