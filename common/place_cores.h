/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * place_cores - for unit tests: which cores the places of a binding lie on.
 *
 * The rule that a mapping is held to: two bindings that shared no core share one afterwards only where none is free.
 */
#ifndef COMMON_PLACE_CORES_H
#define COMMON_PLACE_CORES_H

#include "common/place.h"

#include <stdbool.h>
#include <stddef.h>

/* Mark the cores of s; core has PLACE_MAX entries. */
static inline void place_cores_of(const struct places *p, const struct place_set *s, bool core[])
{
    for (size_t i = 0; i < p->n; i++)
        if (place_set_has(s, i))
            core[p->p[i].core] = true;
}

static inline bool place_cores_share(const struct places *p, const struct place_set *a,
                                     const struct place_set *b)
{
    bool x[PLACE_MAX] = {false}, y[PLACE_MAX] = {false};

    place_cores_of(p, a, x);
    place_cores_of(p, b, y);
    for (size_t i = 0; i < p->n; i++) /* as many cores as places, at most */
        if (x[i] && y[i])
            return true;
    return false;
}

/* Has p a core that none of the n bindings lies on? */
static inline bool place_cores_free(const struct places *p, const struct place_set s[], size_t n)
{
    bool used[PLACE_MAX] = {false};

    for (size_t i = 0; i < n; i++)
        place_cores_of(p, &s[i], used);
    for (size_t i = 0; i <= p->p[p->n - 1].core; i++)
        if (!used[i])
            return true;
    return false;
}

#endif
