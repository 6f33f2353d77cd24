/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * partly - changes a part of its memory when it is told to, and knows of every page when that was.
 *
 *   partly STOP MIB PERCENT
 *
 * With each turn the next PERCENT of the pages are written anew, one after the other, and the heap, below all other memory,
 * grows by three pages.  The file STOP.turns says how many turns are to be made; "turn N" is printed after each.  All
 * pages are looked at in every step: one that is older or newer than it should be is seen as well as one that is torn.
 */
#include "prog.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#define WORDS (4096 / sizeof(uint64_t))
#define HEAP_PAGES 3

static uint64_t word(uint64_t page, uint64_t turn, uint64_t i)
{
    uint64_t v = (page + 1) * 0x9e3779b97f4a7c15u ^ (turn << 17) ^ (i * 0xc2b2ae3d27d4eb4fu);

    return v ^ v >> 29;
}

static void fill(uint64_t *p, uint64_t page, uint64_t turn)
{
    p[0] = turn;
    for (uint64_t i = 1; i < WORDS; i++)
        p[i] = word(page, turn, i);
}

static void check(const uint64_t *p, uint64_t page, uint64_t turn)
{
    if (p[0] != turn)
        prog_broken("page %llu is of turn %llu, not %llu", (unsigned long long)page,
                    (unsigned long long)p[0], (unsigned long long)turn);
    for (uint64_t i = 1; i < WORDS; i++)
        if (p[i] != word(page, turn, i))
            prog_broken("page %llu, word %llu", (unsigned long long)page, (unsigned long long)i);
}

static uint64_t wanted(const char *stop, uint64_t now)
{
    char path[4096], text[24];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s.turns", stop);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return now;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? strtoull(text, NULL, 10) : now;
}

/* When page was written last: of turn t are those from (t - 1) * each to t * each, counted on without end. */
static uint64_t last_turn(uint64_t page, uint64_t pages, uint64_t each, uint64_t turns)
{
    const uint64_t all = turns * each;

    if (page >= all)
        return 0;
    return (page + (all - 1 - page) / pages * pages) / each + 1;
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 3 ? strtoull(argv[2], NULL, 10) : 1, turns = 0;
    uint64_t pages = mib * 256, each = argc > 3 ? pages * strtoull(argv[3], NULL, 10) / 100 : 1;
    uint64_t *mem, *heap;

    prog_need(argc, 3, "partly STOP MIB PERCENT");
    heap = sbrk(0);
    mem = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED || each < 1)
        prog_broken("mmap: %s", strerror(errno));
    for (uint64_t i = 0; i < pages; i++)
        fill(mem + i * WORDS, i, 0);
    prog_print("start %llu MiB\n", (unsigned long long)mib);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        for (const uint64_t end = wanted(argv[1], turns); turns < end; turns++) {
            uint64_t *more = sbrk(HEAP_PAGES * 4096);

            if (more != heap + turns * HEAP_PAGES * WORDS)
                prog_broken("the heap is elsewhere");
            for (uint64_t i = 0; i < HEAP_PAGES; i++)
                fill(more + i * WORDS, pages + i, turns);
            for (uint64_t i = turns * each; i < (turns + 1) * each; i++)
                fill(mem + i % pages * WORDS, i % pages, turns + 1);
            prog_print("turn %llu\n", (unsigned long long)turns + 1);
        }
        for (uint64_t i = 0; i < pages; i++)
            check(mem + i * WORDS, i, last_turn(i, pages, each, turns));
        for (uint64_t i = 0; i < turns * HEAP_PAGES; i++)
            check(heap + i * WORDS, pages + i % HEAP_PAGES, i / HEAP_PAGES);
        prog_step(n);
        prog_sleep_ms(20);
    }
    prog_print("result ok\n");
    return 0;
}
