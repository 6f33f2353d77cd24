/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * pages - memory of which every page tells by itself whether it is right: its first word is how often it was written anew, its
 * other words are a function of that, of the page's number and of where they stand.
 */
#ifndef T_PROGS_PAGES_H
#define T_PROGS_PAGES_H

#include "prog.h"

#include <stdint.h>

#define WORDS (4096 / sizeof(uint64_t))

static inline uint64_t word(uint64_t page, uint64_t turn, uint64_t i)
{
    return (page + 1) * 0x9e3779b97f4a7c15u ^ (turn << 17) ^ (i * 0xc2b2ae3d27d4eb4fu);
}

static inline void fill(uint64_t *p, uint64_t page, uint64_t turn)
{
    p[0] = turn;
    for (uint64_t i = 1; i < WORDS; i++)
        p[i] = word(page, turn, i);
}

/* The first word that is wrong, or 0: none. */
static inline uint64_t wrong_word(const uint64_t *p, uint64_t page)
{
    for (uint64_t i = 1; i < WORDS; i++)
        if (p[i] != word(page, p[0], i))
            return i;
    return 0;
}

static inline void check_page(const uint64_t *p, uint64_t page)
{
    const uint64_t i = wrong_word(p, page);

    if (i)
        prog_broken("page %llu, word %llu", (unsigned long long)page, (unsigned long long)i);
}

#endif
