/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (PLACE_MAX / 64)

bool place_set_is_empty(const struct place_set *s)
{
    for (size_t i = 0; i < WORDS; i++)
        if (s->bits[i])
            return false;
    return true;
}

bool place_set_equal(const struct place_set *a, const struct place_set *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void place_set_format(const struct place_set *s, char *out, size_t size)
{
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; i < PLACE_MAX; i++) {
        size_t last = i;
        int n;

        if (!place_set_has(s, i))
            continue;
        while (last + 1 < PLACE_MAX && place_set_has(s, last + 1))
            last++;
        n = last > i ? snprintf(out + used, size - used, "%s%zu-%zu", used ? "," : "", i, last)
                     : snprintf(out + used, size - used, "%s%zu", used ? "," : "", i);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
        i = last;
    }
}

static bool parse_number(const char **at, size_t below, size_t *v)
{
    char *end;
    unsigned long got;

    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    got = strtoul(*at, &end, 10);
    if (errno || got >= below)
        return false;
    *at = end;
    *v = got;
    return true;
}

bool place_set_parse(const char *text, size_t n, struct place_set *s)
{
    struct place_set got = {{0}};

    if (n > PLACE_MAX)
        return false;
    for (const char *at = text;; at++) {
        size_t first, last;

        if (!parse_number(&at, n, &first))
            return false;
        last = first;
        if (*at == '-' && (at++, !parse_number(&at, n, &last) || last <= first))
            return false;
        for (size_t i = first; i <= last; i++)
            place_set_add(&got, i);
        if (!*at)
            break;
        if (*at != ',')
            return false;
    }
    *s = got;
    return true;
}

bool places_ok(const struct places *p)
{
    unsigned char seen[(PLACE_OS_MAX + 8) / 8] = {0};

    if (p->n < 1 || p->n > PLACE_MAX)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        const struct place *x = &p->p[i], *before = i ? x - 1 : NULL;

        if (x->os > PLACE_OS_MAX || seen[x->os / 8] >> (x->os % 8) & 1)
            return false;
        seen[x->os / 8] = (unsigned char)(seen[x->os / 8] | 1u << (x->os % 8));
        if (x->package >= p->n || x->numa >= p->n || x->cache >= p->n)
            return false;
        if (!before ? x->core != 0 : x->core != before->core && x->core != before->core + 1)
            return false;
        if (before && x->core == before->core &&
            (x->package != before->package || x->numa != before->numa || x->cache != before->cache))
            return false;
    }
    return true;
}

bool places_same_shape(const struct places *a, const struct places *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->p[i].package != b->p[i].package || a->p[i].numa != b->p[i].numa ||
            a->p[i].cache != b->p[i].cache || a->p[i].core != b->p[i].core)
            return false;
    return true;
}
