/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * prune_say - what prune did, or would do: a table, or JSON with --json.
 */
#ifndef CMD_PRUNE_SAY_H
#define CMD_PRUNE_SAY_H

#include "cmd/base.h"
#include "cmd/prune_plan.h"

/* What became of one job. */
struct prune_done {
    const struct base_job *job;
    bool known; /* slurmctld could tell */
    bool ended;
    size_t generations, removed; /* left-over halves count too */
    uint64_t bytes, freed;       /* of those */
    bool whole;                  /* everything of the job went */
};

struct prune_say;
struct prune_say *prune_say_create(const struct cmd *c);
/* -1 without memory. */
int prune_say_job(struct prune_say *s, const struct prune_done *d, const struct prune_item *items,
                  size_t n);
/* Print and free it; -1 when that failed.  NULL is fine. */
int prune_say_end(struct prune_say *s);

#endif
