/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/clerk.h"

#include "common/io.h"
#include "common/runclock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct verdict {
    int error;
    struct err err;
};

static void child(clerk_work work, void *arg, size_t size, int fd)
{
    struct verdict v = {0, {{0}}};
    void *result = calloc(1, size + 1);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    errno = 0;
    if (!result || work(arg, result, &v.err) < 0)
        v.error = errno ? errno : EIO;
    if (io_write_full(fd, &v, sizeof v) < 0 || io_write_full(fd, result, size) < 0)
        _exit(1);
    _exit(0);
}

static int read_until(int fd, void *buf, size_t len, int64_t end)
{
    char *p = buf;

    while (len > 0) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&pfd, 1, runclock_wait(end)) == 0) {
            if (runclock_ms() < end)
                continue;
            errno = ETIMEDOUT;
            return -1;
        }
        n = read(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int clerk_run(clerk_work work, void *arg, void *result, size_t size, int timeout_ms,
              struct err *err)
{
    int64_t end = runclock_ms() + timeout_ms;
    static pid_t left; /* by the call before */
    struct verdict v;
    int fds[2], rc = -1;
    pid_t pid;

    if (left > 0 && waitpid(left, NULL, WNOHANG) != 0)
        left = 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    pid = fork();
    if (pid < 0) {
        err_sys(err, "fork");
        io_close(&fds[0]);
        io_close(&fds[1]);
        return -1;
    }
    if (pid == 0)
        child(work, arg, size, fds[1]);
    io_close(&fds[1]);
    if (read_until(fds[0], &v, sizeof v, end) < 0 ||
        (size && read_until(fds[0], result, size, end) < 0)) {
        if (errno == ETIMEDOUT)
            err_set(err, "no answer within %d s", (timeout_ms + 999) / 1000);
        else
            err_sys(err, "the child ended without a result");
    } else if (v.error) {
        if (err)
            *err = v.err;
        errno = v.error;
    } else {
        rc = 0;
    }
    io_close(&fds[0]);
    /* It ended, or is killed; one stuck in the kernel must not hold us: the main loop reaps it
     * later, or the next call does. */
    if (rc < 0 && errno == ETIMEDOUT) {
        kill(pid, SIGKILL);
        left = pid;
    } else {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return rc;
}
