/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * threads - threads of the stories' jobs.  Linked statically: it runs on each release.
 *
 *   threads many N STOP     N threads that wait
 *   threads places STOP     four threads bound to CPUs 0, 2, 2 and 3, 1, and with memory policies: bind to NUMA node 0,
 *                           bind to 1, interleave over both, none
 *   threads memory STOP     its memory, of which it fills 8 MiB, is bound to node 1
 *
 * The first one prints "step I" (many: "step I pid PID"), until the file STOP exists; "area ADDRESS" of 1 MiB that is bound
 * to node 1 (places), or of the 8 MiB.
 */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static const struct place {
    unsigned cpus, nodes; /* as bits */
    int policy;
} places[4] = {
    {1u << 0, 1u << 0, MPOL_BIND},
    {1u << 2, 1u << 1, MPOL_BIND},
    {1u << 2 | 1u << 3, 3, MPOL_INTERLEAVE},
    {1u << 1, 0, MPOL_DEFAULT},
};
static const char *stop;
static pthread_barrier_t ready;

static void need(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void nap(void)
{
    nanosleep(&(struct timespec){0, 200000000}, NULL);
}

static void set_policy(int policy, unsigned nodes)
{
    unsigned long mask = nodes;

    need(syscall(SYS_set_mempolicy, policy, nodes ? &mask : NULL, nodes ? 64UL : 0UL) == 0,
         "set_mempolicy");
}

static void *work(void *arg)
{
    const struct place *p = arg;
    cpu_set_t set;

    if (p) {
        CPU_ZERO(&set);
        for (int i = 0; i < 4; i++)
            if (p->cpus >> i & 1)
                CPU_SET(i, &set);
        need(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
        set_policy(p->policy, p->nodes);
    }
    pthread_barrier_wait(&ready);
    while (access(stop, F_OK) != 0)
        nap();
    return NULL;
}

static void *area(size_t size, int bound)
{
    unsigned long node1 = 2;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(at != MAP_FAILED, "mmap");
    need(!bound || syscall(SYS_mbind, at, size, MPOL_BIND, &node1, 64UL, 0) == 0, "mbind");
    memset(at, 'x', size);
    printf("area %lx\n", (unsigned long)at);
    return at;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    int n = 0;
    pthread_t t;
    int many;

    if (strcmp(mode, "many") == 0 && argc == 4)
        n = (int)strtol(argv[2], NULL, 10);
    else if (strcmp(mode, "places") == 0)
        n = 4;
    many = n != 0 && argc == 4;
    if (n == 0 && strcmp(mode, "memory") != 0)
        return 2;
    stop = argv[argc - 1];
    setlinebuf(stdout);
    need(pthread_barrier_init(&ready, NULL, (unsigned)n + 1) == 0, "barrier");
    for (int i = 0; i < n; i++)
        need(pthread_create(&t, NULL, work, many ? NULL : (void *)&places[i]) == 0,
             "pthread_create");
    pthread_barrier_wait(&ready);
    if (strcmp(mode, "memory") == 0)
        set_policy(MPOL_BIND, 2);
    if (!many)
        area(n ? MIB : 8 * MIB, n != 0);
    for (unsigned long i = 1; access(stop, F_OK) != 0; i++) {
        printf(many ? "step %lu pid %d\n" : "step %lu\n", i, (int)getpid());
        nap();
    }
    printf("end\n");
    return 0;
}
