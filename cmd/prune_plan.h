/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * prune_plan - which generations of a job go.
 *
 * Kept are the `keep` newest good ones, and everything newer than the last of those: what is damaged
 * there may be a reading error, and a restore tries it first.  Of a job that has not ended at least
 * the newest good one is kept, whatever `keep` says.  When there are fewer good ones than must be
 * kept, nothing goes.  Of the rest goes what is older than `before`.  What a dump left half
 * written goes when the job has ended.
 */
#ifndef CMD_PRUNE_PLAN_H
#define CMD_PRUNE_PLAN_H

#include "common/gendir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prune_item {
    struct gendir_id id;
    bool partial;
    bool good;
    int64_t created; /* seconds since 1970; INT64_MAX: not known, so never older */
    uint64_t bytes;
    bool remove; /* the answer */
};

struct prune_rules {
    bool ended;
    uint32_t keep;
    int64_t before; /* seconds since 1970; INT64_MAX: of any age */
};

/* Sort, newest first. */
void prune_plan_sort(struct prune_item *items, size_t n);
/* Set `remove` in each of sorted items; returns how many. */
size_t prune_plan(const struct prune_rules *r, struct prune_item *items, size_t n);

#endif
