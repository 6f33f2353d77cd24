/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/hook.h"

#include "common/io.h"
#include "common/runclock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#define GIVE_UP_MS 2000 /* for what SIGKILL does not end */

static void child(const char *path, int out, void (*prepare)(void *), void *arg)
{
    const char *slash = strrchr(path, '/');
    char *argv[] = {(char *)(uintptr_t)(slash ? slash + 1 : path), NULL};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    /* Every descriptor is close-on-exec already; slurmstepd's and libraries' are none of ours. */
    (void)syscall(SYS_close_range, 3u, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    setsid();
    prepare(arg);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        for (int sig = 1; sig < NSIG; sig++)
            signal(sig, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(path, argv);
    }
    dprintf(STDOUT_FILENO, "cannot be started: %s\n", strerror(errno));
    _exit(127);
}

int hook_start(struct hook *h, const char *path, int64_t limit_ms, void (*prepare)(void *),
               void *arg, struct err *err)
{
    int fds[2];
    pid_t pid;

    errno = EINVAL;
    if (strlen(path) >= sizeof h->path)
        return err_set(err, "the hook's path is too long");
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(err, "%s: pipe", path);
    pid = fork();
    if (pid == 0) {
        /* Only ours must not block. */
        (void)fcntl(fds[1], F_SETFL, 0);
        child(path, fds[1], prepare, arg);
    }
    io_close(&fds[1]);
    if (pid < 0) {
        io_close(&fds[0]);
        return err_sys(err, "%s: fork", path);
    }
    memset(h, 0, sizeof *h);
    h->pid = pid;
    h->out = fds[0];
    h->limit_ms = limit_ms;
    h->deadline_ms = runclock_ms() + limit_ms;
    memcpy(h->path, path, strlen(path) + 1);
    return 0;
}

/* All that is there; only the beginning is kept, but a hook that writes much must not wait for us. */
static void take(struct hook *h)
{
    char buf[4096];
    ssize_t n;

    while (h->out >= 0 && (n = read(h->out, buf, sizeof buf)) != 0) {
        size_t room = sizeof h->said - 1 - h->len;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        if (room > (size_t)n)
            room = (size_t)n;
        memcpy(h->said + h->len, buf, room);
        h->len += room;
    }
    io_close(&h->out);
}

static void kill_session(const struct hook *h)
{
    /* Its group, which is its session unless it has made more of them; and itself, before it has called setsid(). */
    (void)kill(-h->pid, SIGKILL);
    (void)kill(h->pid, SIGKILL);
}

bool hook_look(struct hook *h)
{
    if (h->pid <= 0)
        return false;
    take(h);
    if (runclock_ms() < h->deadline_ms)
        return false;
    if (h->shot)
        return true;
    h->shot = true;
    h->deadline_ms = runclock_ms() + GIVE_UP_MS;
    kill_session(h);
    return false;
}

void hook_hurry(struct hook *h, int64_t limit_ms)
{
    int64_t end = runclock_ms() + limit_ms;

    if (h->pid > 0 && !h->shot && end < h->deadline_ms) {
        h->limit_ms = limit_ms;
        h->deadline_ms = end;
    }
}

bool hook_end(struct hook *h, int status, char why[300])
{
    bool well = !h->shot && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    int len;

    take(h);
    /* Its own number may be another's by now; that of a group is nobody's while one of its processes is there. */
    if (h->pid > 0)
        (void)kill(-h->pid, SIGKILL);
    io_close(&h->out);
    h->pid = 0;
    if (well)
        return true;
    h->said[h->len] = '\0';
    h->said[strcspn(h->said, "\r\n")] = '\0';
    err_clean(h->said);
    len = snprintf(why, 300, "%.90s: ", h->path);
    why += len;
    if (h->shot)
        snprintf(why, 300 - (size_t)len, "it did not end within %lld s and was killed",
                 (long long)(h->limit_ms + 999) / 1000);
    else if (h->said[0])
        snprintf(why, 300 - (size_t)len, "%s", h->said);
    else if (WIFSIGNALED(status))
        snprintf(why, 300 - (size_t)len, "it ended by signal %d", WTERMSIG(status));
    else
        snprintf(why, 300 - (size_t)len, "it ended with status %d", WEXITSTATUS(status));
    return false;
}

void hook_kill(struct hook *h)
{
    if (h->pid <= 0)
        return;
    kill_session(h);
    io_close(&h->out);
    h->pid = 0;
}
