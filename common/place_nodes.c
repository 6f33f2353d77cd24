/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t places_nodes(const struct places *p)
{
    uint32_t most = 0;

    for (size_t i = 0; i < p->n; i++)
        most = p->p[i].numa > most ? p->p[i].numa : most;
    return (size_t)most + 1;
}

/* What is bound in this node, by whichever binding. */
static bool bound_in(const struct places *from, const struct place_set *bound, size_t n,
                     size_t node, struct place_set *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < from->n; i++)
        for (size_t k = 0; from->p[i].numa == node && k < n; k++)
            if (place_set_has(&bound[k], i))
                place_set_add(out, i);
    return !place_set_is_empty(out);
}

static void nodes_of(const struct places *to, const struct place_set *s, struct place_set *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < to->n; i++)
        if (place_set_has(s, i))
            place_set_add(out, to->p[i].numa);
}

int place_map_nodes(const struct places *from, const struct place_set *bound, size_t n,
                    const struct places *to, struct place_set *nodes, struct err *err)
{
    struct place_set *sets, *mapped;
    size_t old = 1, new = 1, all = n;
    int rc = -1;

    if (places_ok(from) && places_ok(to)) {
        old = places_nodes(from);
        new = places_nodes(to);
    }
    sets = calloc(n + old, sizeof *sets);
    mapped = calloc(n + old, sizeof *mapped);
    if (!sets || !mapped) {
        err_sys(err, "places");
    } else {
        /* More bindings that lie within those that are there change nothing in where they go. */
        if (n > 0)
            memcpy(sets, bound, n * sizeof *sets);
        for (size_t i = 0; i < old; i++)
            all += bound_in(from, bound, n, i, &sets[all]);
        rc = place_map(from, sets, all, to, mapped, err);
    }
    for (size_t i = 0, k = n; rc == 0 && i < old; i++) {
        struct place_set here;

        memset(&nodes[i], 0, sizeof nodes[i]);
        if (bound_in(from, bound, n, i, &here))
            nodes_of(to, &mapped[k++], &nodes[i]);
        else
            place_set_add(&nodes[i], i * new / old);
    }
    free(sets);
    free(mapped);
    return rc;
}
