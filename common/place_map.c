/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum level { PACKAGE, NUMA, CACHE, CORE };

struct core {
    size_t first, count; /* its places */
    uint32_t at[CORE];   /* package, NUMA node, cache */
    uint32_t used;       /* from: strands on it; to: strands that go there */
};

/* Places of one core that every binding has either all or none of: what is moved as a whole. */
struct strand {
    size_t core; /* of from */
    size_t rank; /* of its first place within the core */
    bool whole;  /* it is all of the core */
    size_t unit;
    size_t order; /* among the strands of its new core */
};

/* What gets a core of its own while there are enough: a core with its strands, or a strand. */
struct unit {
    size_t core; /* of from */
    size_t to;   /* its new core */
    bool done;
};

struct mapping {
    const struct places *from, *to;
    struct core *old, *new;
    size_t nold, nnew;
    struct strand *strands;
    size_t *strand_of; /* by place of from; SIZE_MAX: in no binding */
    size_t nstrands;
    struct unit *units;
    size_t nunits;
    bool *taken; /* by core of to */
};

static struct core *list_cores(const struct places *p, size_t *n)
{
    struct core *c;

    *n = p->p[p->n - 1].core + 1;
    c = calloc(*n, sizeof *c);
    for (size_t i = p->n; c && i-- > 0;) {
        struct core *x = &c[p->p[i].core];

        x->first = i;
        x->count++;
        x->at[PACKAGE] = p->p[i].package;
        x->at[NUMA] = p->p[i].numa;
        x->at[CACHE] = p->p[i].cache;
    }
    return c;
}

static bool same_bindings(const struct place_set *bound, size_t n, size_t a, size_t b)
{
    for (size_t i = 0; i < n; i++)
        if (place_set_has(&bound[i], a) != place_set_has(&bound[i], b))
            return false;
    return true;
}

static bool in_use(const struct place_set *bound, size_t n, size_t place)
{
    for (size_t i = 0; i < n; i++)
        if (place_set_has(&bound[i], place))
            return true;
    return false;
}

static void find_strands(struct mapping *m, const struct place_set *bound, size_t n)
{
    for (size_t c = 0; c < m->nold; c++) {
        const struct core *core = &m->old[c];

        for (size_t i = core->first; i < core->first + core->count; i++) {
            size_t k = core->first, members = 0;

            m->strand_of[i] = SIZE_MAX;
            if (!in_use(bound, n, i))
                continue;
            while (k < i && (m->strand_of[k] == SIZE_MAX || !same_bindings(bound, n, k, i)))
                k++;
            if (k < i) {
                m->strand_of[i] = m->strand_of[k];
                continue;
            }
            for (size_t j = i; j < core->first + core->count; j++)
                members += same_bindings(bound, n, i, j);
            m->strand_of[i] = m->nstrands;
            m->strands[m->nstrands++] = (struct strand){
                .core = c, .rank = i - core->first, .whole = members == core->count};
            m->old[c].used++;
        }
    }
}

/* Rule 4: hyperthreads that would have to share one count as cores. */
static void make_units(struct mapping *m)
{
    size_t fewest = SIZE_MAX, most = 0;
    bool apart;

    for (size_t i = 0; i < m->nnew; i++)
        fewest = m->new[i].count < fewest ? m->new[i].count : fewest;
    for (size_t i = 0; i < m->nold; i++)
        most = m->old[i].used > most ? m->old[i].used : most;
    apart = most > fewest;
    for (size_t i = 0; i < m->nstrands; i++) {
        if (apart || i == 0 || m->strands[i].core != m->strands[i - 1].core)
            m->units[m->nunits++].core = m->strands[i].core;
        m->strands[i].unit = m->nunits - 1;
    }
}

/* ---- rule 2 ---- */

static uint32_t old_at(const struct mapping *m, size_t unit, enum level level)
{
    return m->old[m->units[unit].core].at[level];
}

/* Cores of from in the same domains as `core`, down to `level`, and how many of them are in use. */
static void count_domain(const struct mapping *m, const struct core *core, enum level level,
                         size_t *all, size_t *used)
{
    *all = *used = 0;
    for (size_t i = 0; i < m->nold; i++) {
        bool same = true;

        for (int l = PACKAGE; l <= (int)level; l++)
            same = same && m->old[i].at[l] == core->at[l];
        *all += same;
        *used += same && m->old[i].used > 0;
    }
}

/* Did the units follow each other without a gap: domains side by side, all but the last full? */
static bool is_compact(const struct mapping *m, const size_t *unit, size_t n, enum level level)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const struct core *a = &m->old[m->units[unit[i]].core];
        const struct core *b = &m->old[m->units[unit[i + 1]].core];
        size_t all, used;

        if (level == CORE) {
            if (b - a > 1)
                return false;
            continue;
        }
        if (a->at[level] == b->at[level])
            continue;
        count_domain(m, a, level, &all, &used);
        if (b->at[level] != a->at[level] + 1 || used < all)
            return false;
    }
    return true;
}

static size_t target(size_t i, size_t groups, size_t domains, bool compact)
{
    return groups <= domains && compact ? i : i * domains / groups;
}

static void put(struct mapping *m, size_t unit, size_t core)
{
    m->units[unit].to = core;
    m->units[unit].done = true;
    m->taken[core] = true;
}

static void place_units(struct mapping *m, const size_t *unit, size_t n, const size_t *core,
                        size_t ncores, enum level level);

/* The free ones of core[] that lie in domain `at`. */
static size_t free_in(const struct mapping *m, const size_t *core, size_t n, enum level level,
                      uint32_t at, size_t *out)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        if (m->new[core[i]].at[level] == at && !m->taken[core[i]])
            out[k++] = core[i];
    return k;
}

/* Units that were in one domain: the first domain from `start` on that has room for all of them, else the
 * roomiest. */
static void place_group(struct mapping *m, const size_t *unit, size_t n, const size_t *core,
                        size_t ncores, enum level level, const uint32_t *domain, size_t ndomains,
                        size_t start)
{
    size_t *room = calloc(ncores, sizeof *room), best = 0, most = 0, got;

    if (!room)
        return; /* they are put anywhere */
    for (size_t i = 0; i < ndomains && most < n; i++) {
        size_t d = (start + i) % ndomains;

        got = free_in(m, core, ncores, level, domain[d], room);
        if (got > most) {
            most = got;
            best = d;
        }
    }
    got = free_in(m, core, ncores, level, domain[best], room);
    place_units(m, unit, n < got ? n : got, room, got, level + 1);
    free(room);
}

/* n units into ncores free cores, which are enough: each gets one. */
static void place_units(struct mapping *m, const size_t *unit, size_t n, const size_t *core,
                        size_t ncores, enum level level)
{
    const bool compact = is_compact(m, unit, n, level);
    size_t groups = n > 0, ndomains = 0, g = 0;
    uint32_t *domain;

    if (level == CORE) {
        for (size_t i = 0; i < n; i++)
            put(m, unit[i], core[target(i, n, ncores, compact)]);
        return;
    }
    domain = calloc(ncores + 1, sizeof *domain);
    for (size_t i = 0; domain && i < ncores; i++)
        if (ndomains == 0 || m->new[core[i]].at[level] != domain[ndomains - 1])
            domain[ndomains++] = m->new[core[i]].at[level];
    for (size_t i = 1; i < n; i++)
        groups += old_at(m, unit[i], level) != old_at(m, unit[i - 1], level);
    for (size_t i = 0, k; domain && i < n; i = k) {
        const size_t to = target(g, groups, ndomains, compact);

        /* Groups that must share a domain are laid out in it together. */
        for (k = i; k < n && target(g, groups, ndomains, compact) == to; g++)
            for (k++; k < n && old_at(m, unit[k], level) == old_at(m, unit[k - 1], level);)
                k++;
        place_group(m, unit + i, k - i, core, ncores, level, domain, ndomains, to);
    }
    free(domain);
    /* What found no room with its neighbours. */
    for (size_t i = 0, c = 0; i < n; i++) {
        if (m->units[unit[i]].done)
            continue;
        while (c < ncores && m->taken[core[c]])
            c++;
        if (c < ncores)
            put(m, unit[i], core[c]);
    }
}

static int place_all(struct mapping *m)
{
    size_t most = m->nunits > m->nnew ? m->nunits : m->nnew;
    size_t *index = calloc(most, sizeof *index);

    if (!index)
        return -1;
    for (size_t i = 0; i < most; i++)
        index[i] = i;
    if (m->nunits <= m->nnew) {
        place_units(m, index, m->nunits, index, m->nnew, PACKAGE);
    } else {
        for (size_t i = 0; i < m->nunits; i++)
            m->units[i].to = i * m->nnew / m->nunits;
    }
    free(index);
    return 0;
}

/* ---- within the new core ---- */

static void strand_places(const struct mapping *m, const struct strand *s, struct place_set *out)
{
    const struct core *c = &m->new[m->units[s->unit].to];
    size_t first, end;

    if (c->used == 1) {
        first = s->whole ? 0 : s->rank % c->count;
        end = s->whole ? c->count : first + 1;
    } else {
        first = s->order * c->count / c->used;
        end = c->used <= c->count ? (s->order + 1) * c->count / c->used : first + 1;
    }
    for (size_t i = first; i < end; i++)
        place_set_add(out, c->first + i);
}

static void result(const struct mapping *m, const struct place_set *bound, size_t n,
                   struct place_set *out)
{
    for (size_t i = 0; i < m->nstrands; i++)
        m->strands[i].order = m->new[m->units[m->strands[i].unit].to].used++;
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < m->from->n; p++)
            if (place_set_has(&bound[i], p))
                strand_places(m, &m->strands[m->strand_of[p]], &out[i]);
}

static int prepare(struct mapping *m)
{
    m->old = list_cores(m->from, &m->nold);
    m->new = list_cores(m->to, &m->nnew);
    m->strands = calloc(m->from->n, sizeof *m->strands);
    m->strand_of = calloc(m->from->n, sizeof *m->strand_of);
    m->units = calloc(m->from->n, sizeof *m->units);
    m->taken = calloc(m->nnew, sizeof *m->taken);
    return m->old && m->new && m->strands && m->strand_of && m->units && m->taken ? 0 : -1;
}

static void release(struct mapping *m)
{
    free(m->old);
    free(m->new);
    free(m->strands);
    free(m->strand_of);
    free(m->units);
    free(m->taken);
}

static bool within(const struct place_set *s, size_t n)
{
    for (size_t i = n; i < PLACE_MAX; i++)
        if (place_set_has(s, i))
            return false;
    return !place_set_is_empty(s);
}

int place_map(const struct places *from, const struct place_set *bound, size_t n,
              const struct places *to, struct place_set *out, struct err *err)
{
    struct mapping m = {.from = from, .to = to};
    bool ok = places_ok(from) && places_ok(to);
    int rc = -1;

    for (size_t i = 0; i < n; i++)
        ok = ok && within(&bound[i], from->n);
    if (!ok) {
        errno = EINVAL;
        return err_set(err, "not a table of places, or a binding outside it");
    }
    if (n == 0)
        return 0;
    if (places_same_shape(from, to)) {
        memcpy(out, bound, n * sizeof *out);
        return 0;
    }
    if (prepare(&m) == 0) {
        find_strands(&m, bound, n);
        make_units(&m);
        rc = place_all(&m);
    }
    if (rc == 0)
        result(&m, bound, n, out);
    else
        err_sys(err, "places");
    release(&m);
    return rc;
}
