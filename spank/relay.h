/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * relay - the shepherd between slurmstepd and the tree of a step's task.
 *
 * A step's task has pipes (or, for srun -u, a terminal) to slurmstepd as its standard files: others at every start,
 * and with their ends in other processes.  The tree gets FIFOs of the task's directory instead, which CRIU opens
 * again by their names, and the shepherd carries what comes through them.
 *
 * Who has a byte at a checkpoint: what the tree has written is the shepherd's, and CRIU saves nothing of it (a write
 * end holds no data); what was given to the tree on its standard input is the tree's, and CRIU saves what it has not
 * read yet.  How much that was is what `input` counts: at a restore so much of the new step's input is skipped.
 * Between relay_pause() and relay_resume() nothing more is given.
 *
 * Files that are not pipes or terminals are left to the tree, but for output: that is carried too, because the new
 * step may have another file.
 */
#ifndef SPANK_RELAY_H
#define SPANK_RELAY_H

#include "common/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_STDIN "stdin"
#define RELAY_STDOUT "stdout"
#define RELAY_STDERR "stderr"
#define RELAY_NFDS 3
#define RELAY_BUFFER 65536u

struct relay_flow {
    int from, to; /* -1: none, or over */
    size_t start, len;
    char buf[RELAY_BUFFER];
};

struct relay {
    bool used;
    bool merged; /* standard output and error are one file */
    bool paused;
    uint64_t input; /* bytes given to the tree since its first start */
    uint64_t skip;  /* of the new step's input, still to be thrown away */
    struct relay_flow flow[3];
};

/* The names that relay_open will want, made in the task's directory (in a clerk). */
int relay_make(int taskfd, struct err *err);

/* Take over descriptors 0 to 2 of this process, as far as they lead to slurmstepd; `dir`: the task's directory.  -1: nothing
 * was changed. ENOTTY: standard input is a terminal. */
int relay_open(struct relay *r, const char *dir, struct err *err);

/* In the child that becomes the tree's root: the other ends as 0 to 2. */
int relay_attach(const struct relay *r, const char *dir, struct err *err);

/* Before each attempt of a restore: what the one before has put into the tree's input is gone. */
void relay_empty(struct relay *r);

/* After a restore: so much of the new input has been given already. */
void relay_skip(struct relay *r, uint64_t bytes);

void relay_pause(struct relay *r);
void relay_resume(struct relay *r);

/* What to poll for now; entries with fd -1 wait for nothing. */
void relay_pollfds(const struct relay *r, struct pollfd fds[RELAY_NFDS]);
/* Carry what can be carried without waiting. */
void relay_pump(struct relay *r);

/* All that the tree has written, to its end, at most `ms` milliseconds. False: not all. */
bool relay_drain(struct relay *r, int ms);

#endif
