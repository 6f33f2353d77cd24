/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * threads - POSIX threads that meet at a barrier, share a mutex, a condition and a semaphore, and keep
 * their thread ids and thread-local storage.
 *
 *   threads STOP
 */
#include "prog.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>

#define THREADS 6

static pthread_barrier_t barrier;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t never;
static unsigned long total;
static int stop;
static __thread unsigned long mine;

static int tid(void)
{
    return (int)syscall(SYS_gettid);
}

static void *work(void *arg)
{
    int own = tid();

    (void)arg;
    while (pthread_barrier_wait(&barrier), !stop) {
        mine++;
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
        if (tid() != own)
            prog_broken("thread %d instead of %d", tid(), own);
        pthread_barrier_wait(&barrier);
        if (total != mine * THREADS)
            prog_broken("%lu turns of all, %lu of each", total, mine);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* Both sleep through all checkpoints and restores. */
static void *wait_condition(void *arg)
{
    struct timespec until;
    int rc;

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 600;
    pthread_mutex_lock(&lock);
    do
        rc = pthread_cond_timedwait(&cond, &lock, &until);
    while (rc == 0 && !stop);
    pthread_mutex_unlock(&lock);
    if (rc != 0)
        prog_broken("pthread_cond_timedwait: %s", strerror(rc));
    return NULL;
}

static void *wait_semaphore(void *arg)
{
    struct timespec until;

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 600;
    if (sem_timedwait(&never, &until) < 0)
        prog_broken("sem_timedwait: %s", strerror(errno));
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[THREADS + 2];

    prog_need(argc, 1, "threads STOP");
    sem_init(&never, 0, 0);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, work, NULL);
    pthread_create(&t[THREADS], NULL, wait_condition, NULL);
    pthread_create(&t[THREADS + 1], NULL, wait_semaphore, NULL);
    prog_print("start %d threads\n", THREADS + 3);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        prog_step(n);
        prog_sleep_ms(30);
    }
    stop = 1;
    pthread_barrier_wait(&barrier);
    sem_post(&never);
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < THREADS + 2; i++)
        pthread_join(t[i], NULL);
    prog_print("result ok\n");
    return 0;
}
