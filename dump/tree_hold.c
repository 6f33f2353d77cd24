/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/tree_hold.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#define EVENT_STOP 128 /* PTRACE_EVENT_STOP */
#define WAIT_MS 5000
#define ROUNDS 100

struct tree_hold {
    pid_t *tids;
    size_t n, room;
};

struct tree_hold *tree_hold_create(void)
{
    return calloc(1, sizeof(struct tree_hold));
}

static bool held(const struct tree_hold *h, pid_t tid)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->tids[i] == tid)
            return true;
    return false;
}

/* What arrives before the stop that we asked for is the thread's own business. */
static int await_stop(pid_t tid)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < WAIT_MS; i++) {
        int status;
        pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

        if (got < 0 && errno != EINTR)
            return -1;
        if (got == tid) {
            if (!WIFSTOPPED(status))
                return 1; /* it has ended */
            if (status >> 16 == EVENT_STOP)
                return 0;
            if (ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)WSTOPSIG(status)) < 0)
                return errno == ESRCH ? 1 : -1;
            continue;
        }
        nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return -1;
}

/* 1: stopped, 0: it is gone. */
static int stop(struct tree_hold *h, pid_t tid)
{
    int rc;

    if (h->n == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        pid_t *tids = realloc(h->tids, room * sizeof *tids);

        if (!tids)
            return -1;
        h->tids = tids;
        h->room = room;
    }
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
        return errno == ESRCH ? 0 : -1;
    h->tids[h->n++] = tid;
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
        return errno == ESRCH ? 0 : -1;
    rc = await_stop(tid);
    if (rc == 1)
        h->n--;
    return rc < 0 ? -1 : rc == 0;
}

/* How many were new; -1. */
static int stop_round(struct tree_hold *h, pid_t pid)
{
    char path[40];
    struct dirent *e;
    int fresh = 0;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -1;
    while (fresh >= 0 && (e = readdir(d))) {
        pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
        int rc;

        if (tid <= 0 || held(h, tid))
            continue;
        rc = stop(h, tid);
        fresh = rc < 0 ? -1 : fresh + rc;
    }
    closedir(d);
    return fresh;
}

/* Threads that ran until just now may have made others. */
int tree_hold_add(struct tree_hold *h, pid_t pid, struct err *err)
{
    int fresh = 1;

    for (int i = 0; i < ROUNDS && fresh > 0; i++)
        fresh = stop_round(h, pid);
    if (fresh < 0)
        return err_sys(err, "cannot hold process %d", (int)pid);
    if (fresh > 0) {
        errno = EAGAIN;
        return err_set(err, "process %d makes threads faster than they can be held", (int)pid);
    }
    return 0;
}

void tree_hold_destroy(struct tree_hold *h)
{
    int saved = errno;

    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        (void)ptrace(PTRACE_DETACH, h->tids[i], NULL, NULL);
    free(h->tids);
    free(h);
    errno = saved;
}
