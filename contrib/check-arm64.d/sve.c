/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sve - keeps its data in scalable vector registers, and looks whether they are still there.
 *
 *   sve STOP
 */
#include "t/progs/prog.h"

#include <stdint.h>
#include <sys/auxv.h>

#define HWCAP_SVE_BIT (1ul << 22)
#define ROUNDS                                                                                     \
    100000000u /* of a loop of nothing: between two steps nearly all time is spent there */

/* Lanes of z8 and p1 that are not what they were made to be. */
static uint64_t wrong_lanes(uint64_t value)
{
    uint64_t bad, lanes, all, rounds = ROUNDS;

    __asm__ volatile(
        "ptrue p1.d\n\t"
        "index z8.d, %[value], #1\n"
        "1:\n\t"
        "subs %[rounds], %[rounds], #1\n\t"
        "b.ne 1b\n\t"
        "index z9.d, %[value], #1\n\t"
        "ptrue p2.d\n\t"
        "cntp %[lanes], p2, p1.d\n\t"
        "cmpne p3.d, p2/z, z8.d, z9.d\n\t"
        "cntp %[bad], p2, p3.d\n\t"
        "cntd %[all]"
        : [bad] "=&r"(bad), [lanes] "=&r"(lanes), [all] "=&r"(all), [rounds] "+r"(rounds)
        : [value] "r"(value)
        : "z8", "z9", "p1", "p2", "p3", "cc");
    return bad + all - lanes;
}

int main(int argc, char **argv)
{
    prog_need(argc, 1, "sve STOP");
    if (!(getauxval(AT_HWCAP) & HWCAP_SVE_BIT)) {
        prog_print("cannot: this processor has no SVE\n");
        return 0;
    }
    prog_print("start\n");
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        const uint64_t bad = wrong_lanes(n * UINT64_C(0x9e3779b97f4a7c15));

        if (bad > 0)
            prog_broken("%llu lanes in step %u", (unsigned long long)bad, n);
        prog_step(n);
    }
    prog_print("result ok\n");
    return 0;
}
