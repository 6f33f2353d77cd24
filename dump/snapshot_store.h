/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_store - the snapshots of one checkpoint into the pack, while the job runs.
 */
#ifndef DUMP_SNAPSHOT_STORE_H
#define DUMP_SNAPSHOT_STORE_H

#include "common/err.h"
#include "dump/images.h"
#include "dump/pack.h"
#include "dump/snapshot.h"
#include "dump/wanted.h"

#include <stdbool.h>
#include <stdint.h>

struct snapshot_store_opts {
    struct snapshot *snapshot;
    struct images *images;
    struct pack *pack;
    bool incremental;     /* frames are to be the same next time: snapshot_pages_cut() */
    struct wanted wanted; /* when it is not any more: give up */
    /* NULL, or looked at every SNAPSHOT_WATCH_MS: is there still room in memory?  -1 with a text: give up. */
    int (*watch)(void *arg, struct err *err);
    void *watch_arg;
};

#define SNAPSHOT_WATCH_MS 20

struct snapshot_store;

/* The opts must live as long.  NULL: no memory. */
struct snapshot_store *snapshot_store_create(const struct snapshot_store_opts *opts,
                                             struct err *err);
/* After capture_run: make the images what they would be without snapshots, submit the pages to the pack, which reads them
 * in its own threads, look whether all of them are there (snapshot_pages_prove), and wait until they have been read.  The
 * snapshots were alive then, and are killed: snapshot_end() waits for that. */
int snapshot_store_run(struct snapshot_store *st, struct err *err);

/* Then: wait until all is in the file. */
int snapshot_store_finish(const struct snapshot_store *st, struct err *err);

/* After pack_destroy, as the pack's threads use it.  NULL is fine. */
void snapshot_store_destroy(struct snapshot_store *st);

#endif
