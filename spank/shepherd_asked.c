/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/shepherd.h"
#include "spank/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define ASKED_MAX 256u

int64_t shepherd_asked_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t); /* the same for all processes of a node */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The file of this node; locked, which ends with the descriptor. */
static int open_locked(const struct facts *f)
{
    char name[80];
    int stepsfd = steps_open(f, false, NULL), fd = -1;

    snprintf(name, sizeof name, "asked.%s", f->node);
    for (char *c = name; *c; c++)
        if (*c == '-') /* or it might look like a claim */
            *c = '_';
    for (int i = 0; i < 3 && fd < 0 && stepsfd >= 0; i++) {
        fd = gendir_open_file(stepsfd, name, O_RDWR, 0, NULL);
        if (fd < 0 && errno == ENOENT)
            fd = gendir_open_file(stepsfd, name, O_RDWR | O_CREAT, 0600, NULL);
        else if (fd < 0)
            break;
    }
    io_close(&stepsfd);
    if (fd >= 0 && flock(fd, LOCK_EX) < 0)
        io_close(&fd);
    return fd;
}

static bool read_answer(int fd, const struct facts *f, int64_t since, struct slurmjob *job)
{
    char text[ASKED_MAX + 1];
    ssize_t n = pread(fd, text, ASKED_MAX, 0);
    unsigned epoch, state, restarts, batch, may, completing, preempted;
    long long when, start, end;

    if (n != (ssize_t)ASKED_MAX)
        return false;
    text[n] = '\0';
    if (sscanf(text, "%lld %u %u %u %u %u %lld %lld %u %u", &when, &epoch, &state, &restarts,
               &batch, &may, &start, &end, &completing, &preempted) != 10 ||
        when < since || epoch != f->epoch || state == SLURMJOB_UNKNOWN || state > SLURMJOB_ENDED)
        return false;
    *job = (struct slurmjob){.state = (enum slurmjob_state)state,
                             .restart_count = restarts,
                             .batch = batch != 0,
                             .may_requeue = may != 0,
                             .start_time = start,
                             .end_time = end,
                             .completing = completing != 0,
                             .preempted = preempted != 0};
    return true;
}

/* Always so many bytes: one cut short is not read. */
static void write_answer(int fd, const struct facts *f, int64_t when, const struct slurmjob *job)
{
    char text[ASKED_MAX];

    memset(text, '\n', sizeof text);
    snprintf(text, sizeof text, "%lld %u %u %u %u %u %lld %lld %u %u\n", (long long)when, f->epoch,
             (unsigned)job->state, job->restart_count, job->batch, job->may_requeue,
             (long long)job->start_time, (long long)job->end_time, job->completing, job->preempted);
    if (pwrite(fd, text, sizeof text, 0) != (ssize_t)sizeof text)
        errno = EIO; /* then the next one asks itself */
}

int shepherd_asked_load(const struct facts *f, int64_t since, struct slurmjob *job, struct err *err)
{
    int fd = open_locked(f), rc = 0;
    int64_t now;

    if (fd < 0 || !read_answer(fd, f, since, job)) {
        now = shepherd_asked_now();
        rc = slurmjob_load(f->job, job, err);
        if (rc == 0 && fd >= 0)
            write_answer(fd, f, now, job);
    }
    io_close(&fd);
    return rc;
}
