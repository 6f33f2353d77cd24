/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * policy - threads and an area of memory with NUMA policies of their own.
 *
 *   policy STOP
 *
 * The first thread interleaves, the second binds, the third keeps the kernel's default; all of node 0.  An area
 * prefers node 0.  Prints "area ADDRESS" first.
 */
#include "prog.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define AREA (1u << 20)

static const char *stop;
static pthread_barrier_t ready;
static const unsigned long node0 = 1;

static void set_policy(int mode)
{
    if (syscall(SYS_set_mempolicy, mode, mode == MPOL_DEFAULT ? NULL : &node0,
                mode == MPOL_DEFAULT ? 0UL : 64UL) < 0) {
        perror("set_mempolicy");
        exit(1);
    }
}

static void *run(void *arg)
{
    const int *mode = arg;

    set_policy(*mode);
    pthread_barrier_wait(&ready);
    while (!prog_stop(stop))
        prog_sleep_ms(50);
    return NULL;
}

int main(int argc, char **argv)
{
    static int modes[] = {MPOL_BIND, MPOL_DEFAULT};
    pthread_t threads[2];
    char *area;

    prog_need(argc, 1, "policy STOP");
    stop = argv[1];
    pthread_barrier_init(&ready, NULL, 3);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, &modes[i]) != 0)
            return 1;
    set_policy(MPOL_INTERLEAVE);
    area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || syscall(SYS_mbind, area, AREA, MPOL_PREFERRED, &node0, 64UL, 0) < 0) {
        perror("mbind");
        return 1;
    }
    area[0] = 1;
    pthread_barrier_wait(&ready);
    prog_print("area %lx\n", (unsigned long)area);
    for (unsigned n = 1; !prog_stop(stop); n++) {
        prog_step(n);
        prog_sleep_ms(50);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    prog_print("result ok\n");
    return area[0] == 1 ? 0 : 1;
}
