/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * dump - the parts of the helper dump, in the order in which they run, and what they share.
 *
 * One struct dump per process.  All functions are for the main thread and return 0, or -1 with errno and a text; what
 * has been begun is ended by dump.c in each case.
 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include "common/criurun.h"
#include "common/err.h"
#include "common/facts.h"
#include "common/manifest.h"
#include "common/proto.h"
#include "dump/files.h"
#include "dump/generation.h"
#include "dump/images.h"
#include "dump/pack.h"
#include "dump/snapshot_policy.h"
#include "dump/snapshot_store.h"
#include "dump/target.h"
#include "dump/wanted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dump {
    struct facts facts;
    struct proto_request request;
    struct proto_reply reply;
    pid_t pid;
    int64_t start;
    struct wanted wanted; /* cancelled by a signal */
    int drain;
    const char *doing; /* for the watchdog */
    struct criurun_version criu_version;
    struct criurun *run;
    struct images *images;
    struct base *base; /* of what is taken over; NULL: nothing */
    struct pack *pack;
    struct snapshot *snapshot;
    struct snapshot_policy *policy;
    struct snapshot_store *store;
    struct snapshot_store_opts store_opts;
    struct files *files;
    uint32_t held_ms; /* because memory was short */
    uint64_t own;     /* bytes that we will come to use */
    struct generation gen;
    struct target_note *noted; /* the tree, before CRIU */
    size_t nnoted;
    struct manifest_process *processes;
    uint32_t *states;
    size_t nprocesses;
    bool lost;      /* a process of the job did not survive criu: the tree was ended */
    bool log;       /* CRIU's log tells something */
    bool stopped;   /* the tree stands still until somebody sends SIGCONT */
    bool committed; /* the generation counts */
};

/* What the keeper wants, from HELPER_FD_REQUEST: only a dump, well formed and in time. */
int dump_read_request(struct proto_request *r, struct err *err);
/* Everything that is done while holding the capability: who we are, whom we dump, and the launcher that becomes criu,
 * which waits.  Nothing of the user's is read but /proc. */
int dump_prepare(struct dump *d, struct err *err);

/* From here on without the capability. */

/* While the job runs: may there be a checkpoint, and what it will be written to. */
int dump_begin(struct dump *d, struct err *err);
/* CRIU's part: when it returns, the job runs on (or was left stopped: d->stopped). */
int dump_capture(struct dump *d, struct err *err);
/* Write what is left, and make it count.  d->committed: it does, whatever is returned. */
int dump_store(struct dump *d, struct err *err);

#endif
