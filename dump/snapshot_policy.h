/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_policy - whether this checkpoint may have copy-on-write snapshots, and whether they may stay.
 *
 * A snapshot costs what the job writes to while it exists: at most as much again as it has.  How much is needed
 * beforehand: all of it where running out kills more than the snapshot (a control group that dies as a whole), else a
 * quarter; the rest is watched for.  When it gets tight the job is held (tree_hold.h) until all is written, or the
 * snapshot is given up, as the site wants it (SnapshotTight).  The snapshot is the kernel's first choice when memory
 * runs out, so the job is in no danger even when we look too late.
 */
#ifndef DUMP_SNAPSHOT_POLICY_H
#define DUMP_SNAPSHOT_POLICY_H

#include "common/err.h"
#include "common/facts.h"
#include "dump/snapshot.h"

#include <stdbool.h>
#include <sys/types.h>

struct snapshot_policy;

/* Before criu stops anything: tell the plugin what it may do (snapshot_plan), or note why there is to be none
 * (snapshot_forgo).  root: of the tree; own: bytes that we ourselves will come to use; stop: it is to stand still for good anyway.  plain: the last snapshot went wrong.
 * Returns what the watch needs; NULL: no memory, or the plugin is gone. */
struct snapshot_policy *snapshot_policy_apply(struct snapshot *s, const struct facts *f, pid_t root,
                                              uint64_t own, bool stop, bool plain, struct err *err);
void snapshot_policy_destroy(struct snapshot_policy *p); /* NULL is fine */

/* After snapshot_end: who was held runs on.  Milliseconds for which it was; 0: it was not necessary. */
uint32_t snapshot_policy_release(struct snapshot_policy *p);

/* For snapshot_store_opts.watch; arg: the struct snapshot_policy. */
int snapshot_policy_watch(void *arg, struct err *err);

#endif
