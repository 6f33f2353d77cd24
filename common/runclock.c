/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/runclock.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static struct {
    atomic_flag busy; /* no mutex: this is in programs without threads, too */
    bool running;
    int64_t last, lost;
} runclock = {.busy = ATOMIC_FLAG_INIT};

int64_t runclock_lost(int64_t now, int64_t last, int64_t lost)
{
    /* It ran a little before it was stopped. */
    return now - last > RUNCLOCK_GAP_MS ? lost + (now - last) - RUNCLOCK_TICK_MS : lost;
}

int64_t runclock_ms(void)
{
    struct timespec t;
    int64_t now;

    while (atomic_flag_test_and_set(&runclock.busy))
        sched_yield();
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    if (runclock.running)
        runclock.lost = runclock_lost(now, runclock.last, runclock.lost);
    runclock.running = true;
    runclock.last = now;
    now -= runclock.lost;
    atomic_flag_clear(&runclock.busy);
    return now;
}

int runclock_wait(int64_t deadline)
{
    int64_t left = deadline - runclock_ms();

    return left < 0 ? 0 : left > RUNCLOCK_TICK_MS ? RUNCLOCK_TICK_MS : (int)left;
}

struct timespec runclock_next(int64_t deadline)
{
    int ms = runclock_wait(deadline);
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}
