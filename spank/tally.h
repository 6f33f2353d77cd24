/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tally - numbers about the checkpoints of a node, for its monitoring.
 *
 * Each task has a small file in the state directory, made by root before the task starts: STATEDIR/tally.JOB.STEP.TASK.NODE
 * (STEP and TASK as Slurm numbers them).  Its keeper, which alone has it besides root, keeps it mapped and counts into
 * it.  When a step ends its files are added to STATEDIR/tallied.NODE and removed, else a job of a hundred thousand steps
 * would fill the file system of /run; the epilog does so with what is left.  Root reads nothing but these numbers, of fixed
 * size, and takes what they are about from the file's name, which is its own.
 *
 * The numbers are what dump and restore, which run as the job's user, told the keeper: a user who defeats those
 * can make his own numbers wrong, and what is added to the node's.
 */
#ifndef SPANK_TALLY_H
#define SPANK_TALLY_H

#include "common/err.h"
#include "common/proto.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tally {
    uint64_t dumps, dump_failures, restores, restore_failures;
    uint64_t pause_us, dump_ms, stored_bytes; /* of dumps that succeeded, summed up */
    int64_t last_dump; /* the newest good one: CLOCK_REALTIME seconds; 0: none */
    int64_t began;     /* root's: when the task was started */
};

/* Keeper: map the file at fd, which must be root's, regular, and of the right size.  NULL: there is none to
 * count into. */
struct tally *tally_map(int fd);
/* Keeper: count what a helper told; t may be NULL.  A refusal for MaxDumps or a cancelled request is no failure. */
void tally_count(struct tally *t, const struct proto_reply *reply);

/* What a file is about. */
struct tally_name {
    uint32_t job, step, task;
    char node[64];
};

/* As root, before a task starts: its file, open for reading and writing; -1 with a text. */
int tally_open(const char *state_dir, const struct tally_name *name, struct err *err);

/* As root, at the end of a job on this node, or of one of its steps (NULL: all). */
int tally_fold(const char *state_dir, uint32_t job, const uint32_t *step, const char *node,
               struct err *err);

/* As root: *sum: all that was counted on the node, of ended jobs and those that run; fn for each task that runs.  A state
 * directory that is not there: nothing was counted.  */
typedef void (*tally_fn)(const struct tally_name *name, const struct tally *t, void *arg);
int tally_read(const char *state_dir, const char *node, struct tally *sum, tally_fn fn, void *arg,
               struct err *err);

/* As root: was anything ever counted there, since the state directory was made (which is when the node was started)? */
bool tally_any(const char *state_dir, const char *node);

#endif
