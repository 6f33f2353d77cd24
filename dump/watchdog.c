/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/watchdog.h"

#include "common/runclock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    pthread_t thread;
    bool started, stop;
    int64_t deadline;
    void (*fire)(void *);
    void *arg;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&dog.lock);
    /* Its ticks are the clock's, also while the main thread hangs. */
    while (!dog.stop && runclock_ms() < dog.deadline) {
        struct timespec until = runclock_next(dog.deadline);

        (void)pthread_cond_timedwait(&dog.cond, &dog.lock, &until);
    }
    /* With the lock held: watchdog_stop() cannot say that all is well any more. */
    if (!dog.stop)
        dog.fire(dog.arg);
    pthread_mutex_unlock(&dog.lock);
    return NULL;
}

int watchdog_start(int64_t deadline, void (*fire)(void *), void *arg, struct err *err)
{
    pthread_condattr_t monotonic;
    int rc;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog.cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    dog.deadline = deadline;
    dog.fire = fire;
    dog.arg = arg;
    dog.stop = false;
    rc = pthread_create(&dog.thread, NULL, watch, NULL);
    if (rc != 0) {
        errno = rc;
        return err_sys(err, "cannot start the watchdog");
    }
    dog.started = true;
    return 0;
}

void watchdog_stop(void)
{
    if (!dog.started)
        return;
    pthread_mutex_lock(&dog.lock);
    dog.stop = true;
    pthread_cond_signal(&dog.cond);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    dog.started = false;
}
