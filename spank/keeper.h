/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * keeper - holds CAP_CHECKPOINT_RESTORE for one task and starts dump and restore for its shepherd.
 *
 * Its caller, the shepherd, is an ordinary process of the user and so anything: it is believed
 * nothing but the fixed-size requests of common/proto.h.  What a dump or restore may touch is
 * decided by the sealed facts and checked again by the helpers.  It never opens a file of the
 * user's and parses nothing.  It ends when the shepherd's end of the socket closes.
 *
 * Under isolation=private it is the init of the job's pid namespace.
 */
#ifndef SPANK_KEEPER_H
#define SPANK_KEEPER_H

#include "common/facts.h"
#include "common/proto.h"

#include <stdbool.h>
#include <sys/types.h>

#define KEEPER_FD_FACTS 3
#define KEEPER_FD_SOCKET 4
#define KEEPER_FD_SLOTS 5 /* slots.h; may be missing */
#define KEEPER_FD_TALLY 6 /* tally.h; may be missing */

/* The helpers have their own clocks; the keeper's is for one that hangs. */
#define KEEPER_GRACE_MS 30000

struct keeper_run {
    pid_t pid; /* the helper, leader of its own process group; 0: none runs */
    int result;
    int64_t deadline_ms; /* runclock_ms */
    bool cancelled;
    bool shot;     /* past its deadline, it got SIGKILL */
    bool answered; /* `answer` holds what it wrote; it may still be there */
    struct proto_reply answer;
    struct proto_request request;
};

/* Start the helper that r asks for.  pidfd: the root of the tree for PROTO_DUMP, else -1.  Returns
 * -1 with a text; then nothing runs. */
int keeper_run_start(struct keeper_run *run, const struct facts *f, const struct proto_request *r,
                     int pidfd, struct err *err);

/* The result pipe is readable: take the answer.  A helper that has a thread stuck in the kernel answers, but cannot
 * end; from now on it has a few seconds. */
void keeper_run_answer(struct keeper_run *run);

/* The helper has been reaped, or is given up (status -1): collect what it wrote into *reply (a failure when it wrote nothing
 * valid). */
void keeper_run_finish(struct keeper_run *run, int status, struct proto_reply *reply);

/* SIGTERM to the helper's group, or SIGKILL. */
void keeper_run_kill(const struct keeper_run *run, int sig);

int64_t keeper_now_ms(void);

/* Set the allocator of the current pid namespace so that the next pid is above `last`.  Needs the
 * capability, raises it for the write only. */
int keeper_set_last_pid(unsigned last, struct err *err);

#endif
