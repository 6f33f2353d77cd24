/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/criurun.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 5000

static void child(const char *criu, int out)
{
    char *argv[] = {(char[]){"criu"}, (char[]){"--version"}, NULL};
    char *envp[] = {NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(null, 2) >= 0 &&
        syscall(SYS_close_range, 3U, ~0U, 0) == 0)
        execve(criu, argv, envp);
    _exit(127);
}

/* The first PATIENCE_MS of its output; a criu that does not end in that time is killed. */
static size_t collect(pid_t pid, int fd, char *buf, size_t size)
{
    size_t len = 0;

    while (len + 1 < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, PATIENCE_MS) <= 0)
            break;
        n = read(fd, buf + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    buf[len] = '\0';
    /* Our child and not yet reaped: the pid is its own. */
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return len;
}

void criurun_version_ask(const char *criu, struct criurun_version *v)
{
    int out[2];

    *v = (struct criurun_version){.pid = -1, .fd = -1};
    if (pipe2(out, O_CLOEXEC) < 0)
        return;
    v->pid = fork();
    if (v->pid == 0)
        child(criu, out[1]);
    io_close(&out[1]);
    v->fd = out[0];
}

void criurun_version_tell(struct criurun_version *v, char *text, size_t size)
{
    static const char key[] = "Version: ";
    const char *at = NULL;
    char buf[512];

    snprintf(text, size, "unknown");
    if (v->pid > 0 && collect(v->pid, v->fd, buf, sizeof buf) > 0)
        at = strstr(buf, key);
    io_close(&v->fd);
    v->pid = -1;
    if (at) {
        at += sizeof key - 1;
        snprintf(text, size, "%.*s", (int)strcspn(at, "\n "), at);
        err_clean(text);
    }
}

/* "4.1.1" to 4001001; 0: no version. */
static unsigned number(const char *text)
{
    unsigned major = 0, minor = 0, sub = 0;

    if (sscanf(text, "%3u.%3u.%3u", &major, &minor, &sub) < 2)
        return 0;
    return major * 1000000 + minor * 1000 + sub;
}

bool criurun_version_fits(const char *version, const char *kernel)
{
    unsigned criu = number(version), linux_ = number(kernel);

    return criu >= 4002000 || (criu >= 4001001 && linux_ > 0 && linux_ < 6016000);
}

int criurun_version_check(const char *criu, const char *version, struct err *err)
{
    struct utsname u;

    if (uname(&u) < 0)
        return err_sys(err, "uname");
    if (criurun_version_fits(version, u.release))
        return 0;
    errno = ENOTSUP;
    return err_set(err, "%s is version %s: 4.2 or later is needed (4.1.1 below Linux 6.16)", criu,
                   version);
}
