/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * invariant - changes its memory all the time and checks what it finds there before each change.
 *
 *   invariant STOP [MIB]
 *
 * Every page carries how often it was rewritten, and its words are a function of that and of where they
 * stand: a page that is torn, old, missing or another's is seen at its next turn, at the latest at the end.
 */
#include "pages.h"
#include "prog.h"

#include <stdint.h>
#include <sys/mman.h>

#define TURNS 2000 /* pages rewritten in a step */

int main(int argc, char **argv)
{
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 256;
    uint64_t pages = mib * 256, total = 0, sum = 0, random = 88172645463325252u;
    uint64_t *mem;

    prog_need(argc, 1, "invariant STOP [MIB]");
    mem = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED)
        prog_broken("mmap: %s", strerror(errno));
    for (uint64_t i = 0; i < pages; i++)
        fill(mem + i * WORDS, i, 0);
    prog_print("start %llu MiB\n", (unsigned long long)mib);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        for (int i = 0; i < TURNS; i++) {
            uint64_t page, *p;

            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            page = random % pages;
            p = mem + page * WORDS;
            check_page(p, page);
            fill(p, page, p[0] + 1);
            total++;
        }
        prog_step(n);
        prog_sleep_ms(20);
    }
    for (uint64_t i = 0; i < pages; i++) {
        check_page(mem + i * WORDS, i);
        sum += mem[i * WORDS];
    }
    if (sum != total)
        prog_broken("%llu turns instead of %llu", (unsigned long long)sum,
                    (unsigned long long)total);
    prog_print("result ok\n");
    return 0;
}
