/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * prog - what the test programs share.
 *
 * Each works in steps and prints "step N pid P" when one is done, in one write, so that a checkpoint falls before
 * or after the line.  It ends with "result ok" when the file STOP is there.  What may never happen to a
 * program that knows nothing of checkpoints (another pid, EINTR without a handler, a torn page) ends it with
 * "broken: WHAT" and status 9.
 */
#ifndef T_PROGS_PROG_H
#define T_PROGS_PROG_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 1, 2))) static inline void prog_print(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || write(STDOUT_FILENO, line, (size_t)n) != n)
        _exit(8);
}

#define prog_broken(...)                                                                           \
    do {                                                                                           \
        prog_print("broken: " __VA_ARGS__);                                                        \
        prog_print("\n");                                                                          \
        _exit(9);                                                                                  \
    } while (0)

static inline long prog_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void prog_sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    long start = prog_ms();

    if (nanosleep(&t, NULL) < 0)
        prog_broken("nanosleep: %s", strerror(errno));
    if (prog_ms() - start < ms)
        prog_broken("nanosleep: %ld instead of %ld ms", prog_ms() - start, ms);
}

static inline int prog_stop(const char *file)
{
    return access(file, F_OK) == 0;
}

static inline void prog_step(unsigned n)
{
    static pid_t pid;

    if (pid == 0)
        pid = getpid();
    if (getpid() != pid)
        prog_broken("pid %d instead of %d", (int)getpid(), (int)pid);
    prog_print("step %u pid %d\n", n, (int)pid);
}

static inline void prog_need(int argc, int least, const char *usage)
{
    if (argc < least + 1) {
        fprintf(stderr, "usage: %s\n", usage);
        exit(2);
    }
}

#endif
