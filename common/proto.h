/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * proto - words between shepherd, keeper and helpers.
 *
 * Shepherd -> keeper: one struct proto_request per packet on an AF_UNIX SOCK_SEQPACKET socket pair
 * made by checkpoint.so.  PROTO_DUMP carries exactly one descriptor (SCM_RIGHTS): a pidfd of the
 * root of the tree to be dumped; the others carry none.  One request at a time: while a helper runs
 * every verb but PROTO_CANCEL and PROTO_PING is answered EBUSY.
 *
 * Keeper -> shepherd: one struct proto_reply per packet.  A PROTO_RESTORE that succeeded carries
 * one descriptor, a pidfd of the restored root.  PROTO_EXITED (unsolicited, id 0) tells the wait
 * status of the restored root when it ends.
 *
 * Keeper -> helper (libexec dump, restore): descriptors by number, below; the request as the caller
 * sent it, verified by the keeper, in a pipe on HELPER_FD_REQUEST.  The helper writes one
 * struct proto_reply without descriptors to HELPER_FD_RESULT and exits 0 when it wrote one.
 *
 * All sizes are fixed; strings are NUL-terminated inside their arrays and only hold printable
 * ASCII; both sides treat anything else as a refusal.
 */
#ifndef COMMON_PROTO_H
#define COMMON_PROTO_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PROTO_MAGIC 0x53434b50u /* "SCKP" */
#define PROTO_VERSION 1u

enum proto_verb {
    PROTO_PING = 1, /* answered at once; the reply tells whether the keeper holds the capability */
    PROTO_DUMP = 2, /* dump the tree; flags: PROTO_F_STOP, PROTO_F_PLAIN */
    PROTO_RESTORE = 3, /* restore the newest generation older than `generation` ("": any) */
    PROTO_CANCEL = 4,  /* end the running helper; its request is answered ECANCELED */
    PROTO_EXITED = 5,  /* keeper -> shepherd only */
    PROTO_LAUNCH = 6,  /* the shepherd is about to fork a fresh tree: under private isolation its
                          pids  start at 300, apart from ours */
    PROTO_CONTINUE =
        7, /* let the tree go on that a PROTO_F_STOP dump left stopped.  Only needed under private
                           isolation, where no process outside can name those of the tree */
};

#define PROTO_F_STOP 1u  /* leave the tree stopped after a dump that was committed */
#define PROTO_F_PLAIN 8u /* no copy-on-write snapshot this time */
#define PROTO_F_EXACT 2u /* PROTO_RESTORE: `generation` itself, not an older one */
#define PROTO_F_CUT                                                                                \
    4u /* PROTO_RESTORE: nobody else writes the job's stdout and stderr: cut them back */

#define PROTO_F_SOURCE                                                                             \
    8u /* PROTO_RESTORE: of the job that the facts name as source, not of this one */

/* Error of a restore that an older generation would not mend: the job should be held. */
#define PROTO_E_HOLD ENOTRECOVERABLE

/* Helper descriptors */
#define HELPER_FD_FACTS 3   /* the sealed memfd of facts.h */
#define HELPER_FD_REQUEST 4 /* read end of a pipe that holds one struct proto_request */
#define HELPER_FD_RESULT 5  /* write end of a pipe for one struct proto_reply */
#define HELPER_FD_PIDFD 6   /* dump only: the root of the tree */

struct proto_request {
    uint32_t magic;
    uint32_t version;
    uint32_t verb;       /* enum proto_verb */
    uint32_t id;         /* echoed in the reply */
    uint32_t flags;      /* PROTO_F_* */
    char reason[24];     /* why: "interval", "request", "preempt", ... [a-z-] */
    char generation[32]; /* GENDIR_NAME form or "" */
};

#define PROTO_R_SNAPSHOT 1u  /* a dump: with copy-on-write snapshots */
#define PROTO_R_SUSPENDED 2u /* a restore: manifest.h, suspended */
#define PROTO_R_LOST 4u      /* a dump that failed: the tree has been ended, it must go on from its last checkpoint */

struct proto_reply {
    uint32_t magic;
    uint32_t version;
    uint32_t verb;
    uint32_t id;
    int32_t error;  /* 0 or an errno value; ENOENT from a restore: no generation is left to try */
    uint32_t pid;   /* pid of the restored root, as its own pid namespace numbers it */
    int32_t status; /* PROTO_EXITED: wait status */
    uint32_t pause_us; /* how long the tree stood still */
    uint32_t total_ms; /* from request to commit */
    uint32_t processes;
    uint32_t flags; /* PROTO_R_* */
    uint32_t reserved;
    uint64_t raw_bytes;    /* memory and data of the tree */
    uint64_t stored_bytes; /* in the generation directory */
    char generation[32]; /* which generation this is about; set on failures too where one was tried
                          */
    char
        text[512]; /* error != 0: one line, what failed, on what, what to do.  0: "" or a warning */
};

/* True when every field is in range for a request (verb, flags, strings). */
bool proto_request_ok(const struct proto_request *r);
bool proto_reply_ok(const struct proto_reply *r);

/* Start a reply to r. */
void proto_reply_init(struct proto_reply *reply, const struct proto_request *r);

/* Set error and text; text is cleaned of control characters. */
void proto_reply_fail(struct proto_reply *reply, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
