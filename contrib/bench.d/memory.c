/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * memory BYTES 4k|huge - fills memory with random bytes and goes on changing a little of it: "ready", then every 10 ms a line
 * NOW-NS WORK LONGEST-GAP-NS.  SIGUSR1: the threads compute or rest.  SIGUSR2: a line with what fork() takes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t busy, asked;
static volatile uint64_t done[256][8];
static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static void toggle(int sig)
{
    (void)sig;
    busy = !busy;
}
static void ask(int sig)
{
    (void)sig;
    asked = 1;
}
static void time_fork(void)
{
    char line[60];
    uint64_t begin = now(), end;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    end = now();
    if (child < 0 || waitpid(child, NULL, 0) < 0 ||
        write(1, line,
              (size_t)snprintf(line, sizeof line, "fork %llu\n",
                               (unsigned long long)(end - begin))) < 0)
        _exit(5);
}
static void *compute(void *arg)
{
    (void)arg;
    for (;;) {
        while (!busy)
            usleep(5000);
#pragma omp parallel
        {
            int me = omp_get_thread_num() & 255;
            double x = me + 1;
            while (busy) {
                for (int i = 0; i < 20000; i++)
                    x = x * 1.0000001 + 1.0 / (x + i);
                done[me][0] += 1 + (x < 0);
            }
        }
    }
    return NULL;
}
int main(int argc, char **argv)
{
    size_t bytes = strtoull(argv[1], NULL, 10);
    int huge = argc > 2 && !strcmp(argv[2], "huge");
    struct sigaction a = {.sa_handler = toggle, .sa_flags = SA_RESTART};
    uint8_t *raw = mmap(NULL, bytes + (2 << 20), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t r = 88172645463325252u, at = 0, last, longest = 0, told = 0, work;
    uint64_t *m = (uint64_t *)(((uintptr_t)raw + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
    pthread_t t;
    if (raw == MAP_FAILED || madvise(m, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) < 0)
        return 3;
    for (size_t i = 0; i < bytes / 8; i++) {
        r ^= r << 13, r ^= r >> 7, r ^= r << 17;
        m[i] = r;
    }
    sigaction(SIGUSR1, &a, NULL);
    a.sa_handler = ask;
    sigaction(SIGUSR2, &a, NULL);
    pthread_create(&t, NULL, compute, NULL);
    puts("ready");
    fflush(stdout);
    for (last = now();;) {
        struct timespec ms = {0, 500000};
        char line[100];
        uint64_t n;
        nanosleep(&ms, NULL);
        m[at] ^= 1; /* some pages a second */
        at = (at + 512 * 1021) % (bytes / 8);
        n = now();
        if (n - last > longest)
            longest = n - last;
        if (asked) {
            asked = 0;
            time_fork();
            n = now();
        }
        last = n;
        if (n - told < 10000000)
            continue;
        work = 0;
        for (int i = 0; i < 256; i++)
            work += done[i][0];
        n = (uint64_t)snprintf(line, sizeof line, "tick %llu %llu %llu\n", (unsigned long long)last,
                               (unsigned long long)work, (unsigned long long)longest);
        if (write(1, line, n) < 0)
            return 4;
        longest = 0;
        told = last;
    }
}
