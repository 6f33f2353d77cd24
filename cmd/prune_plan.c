/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/prune_plan.h"

#include <stdlib.h>

static int newest_first(const void *a, const void *b)
{
    const struct prune_item *x = a, *y = b;

    return gendir_compare(y->id, x->id);
}

void prune_plan_sort(struct prune_item *items, size_t n)
{
    if (n > 1)
        qsort(items, n, sizeof *items, newest_first);
}

size_t prune_plan(const struct prune_rules *r, struct prune_item *items, size_t n)
{
    const uint32_t keep = r->keep > 0 || r->ended ? r->keep : 1;
    uint32_t kept = 0;
    size_t removed = 0;

    for (size_t i = 0; i < n; i++) {
        struct prune_item *it = &items[i];
        const bool old = r->before == INT64_MAX || it->created < r->before;

        if (it->partial) {
            it->remove = r->ended && old;
        } else {
            it->remove = kept >= keep && old;
            kept += it->good && kept < keep;
        }
        removed += it->remove;
    }
    return removed;
}
