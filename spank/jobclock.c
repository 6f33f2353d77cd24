/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/jobclock.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <slurm/slurm.h>
#include <slurm/spank.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* Between unshare() and exec other plugins may use posix_spawn(), which shares memory: Linux takes that since 6.1. */
bool jobclock_possible(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        pid_t child;

        signal(SIGCHLD, SIG_DFL);
        if (unshare(CLONE_NEWUSER | CLONE_NEWTIME) < 0)
            _exit(1);
        child =
            vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): it is what is asked */
        if (child == 0)
            _exit(0);
        _exit(child < 0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The offset of CLOCK_MONOTONIC that this process's time namespace has from the machine's: a node may be one itself. */
static bool monotonic_offset(int64_t *seconds, int64_t *nanoseconds)
{
    char text[256], *at;
    int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    io_close(&fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    at = strstr(text, "monotonic");
    return at && sscanf(at, "monotonic %" SCNd64 " %" SCNd64, seconds, nanoseconds) == 2;
}

void jobclock_set(void)
{
    int64_t seconds, nanoseconds;
    struct timespec real, now;
    char text[80];
    int fd;

    if (!monotonic_offset(&seconds, &nanoseconds))
        return;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &now);
    seconds += (int64_t)real.tv_sec - JOBCLOCK_ORIGIN - (int64_t)now.tv_sec;
    nanoseconds += (int64_t)real.tv_nsec - (int64_t)now.tv_nsec;
    for (; nanoseconds < 0; nanoseconds += 1000000000)
        seconds--;
    for (; nanoseconds >= 1000000000; nanoseconds -= 1000000000)
        seconds++;
    if (unshare(CLONE_NEWTIME) < 0)
        return;
    snprintf(text, sizeof text, "monotonic %" PRId64 " %" PRId64 "\n", seconds, nanoseconds);
    fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && io_write_full(fd, text, strlen(text)) < 0)
        slurm_error("checkpoint: the clock of the job is the node's: %s", strerror(errno));
    io_close(&fd);
}
