/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * openmp - a team of OpenMP threads whose sums must come out right, and stay the same threads.
 *
 *   openmp STOP
 */
#include "prog.h"

#include <omp.h>
#include <sys/syscall.h>

#define N 200000
#define TEAM 4

static int data[N];

int main(int argc, char **argv)
{
    long first[TEAM] = {0};

    prog_need(argc, 1, "openmp STOP");
    omp_set_num_threads(TEAM);
    omp_set_dynamic(0);
    prog_print("start %d threads\n", TEAM);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        long long sum = 0, wanted = (long long)N * n;
        int moved = 0;

#pragma omp parallel for schedule(static)
        for (int i = 0; i < N; i++)
            data[i]++;
#pragma omp parallel reduction(+ : sum) reduction(+ : moved)
        {
            long tid = syscall(SYS_gettid);
            int me = omp_get_thread_num();

            if (n == 1)
                first[me] = tid;
            moved += first[me] != tid;
#pragma omp for schedule(dynamic, 1000)
            for (int i = 0; i < N; i++)
                sum += data[i];
        }
        if (moved)
            prog_broken("%d threads have another id", moved);
        if (sum != wanted)
            prog_broken("sum %lld instead of %lld", sum, wanted);
        prog_step(n);
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    return 0;
}
