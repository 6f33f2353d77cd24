/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/capture.h"

#include "cmd/progress.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child(const char *const argv[], int out)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* True: it has closed its output; false: the time is over. */
static bool collect(int fd, int64_t end, char *text, size_t size)
{
    size_t len = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = end - progress_now_ms();
        char buf[4096];
        ssize_t n;

        text[len] = '\0';
        if (left <= 0)
            return false;
        if (poll(&p, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true;
        if ((size_t)n > size - 1 - len) /* the rest is read and dropped */
            n = (ssize_t)(size - 1 - len);
        memcpy(text + len, buf, (size_t)n);
        len += (size_t)n;
    }
}

int capture_run(const char *const argv[], unsigned seconds, char *text, size_t size,
                struct err *err)
{
    int out[2], status = 0;
    bool ended;
    pid_t pid;

    *text = '\0';
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        child(argv, out[1]);
    io_close(&out[1]);
    if (pid < 0) {
        err_sys(err, "fork");
        io_close(&out[0]);
        return -1;
    }
    ended = collect(out[0], progress_now_ms() + (int64_t)seconds * 1000, text, size);
    io_close(&out[0]);
    if (!ended)
        kill(pid, SIGKILL); /* our child, not reaped yet */
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    if (!ended) {
        errno = ETIMEDOUT;
        return err_set(err, "%s did not answer within %u s", argv[0], seconds);
    }
    errno = EIO;
    if (!WIFEXITED(status))
        return err_set(err, "%s was killed by signal %d", argv[0], WTERMSIG(status));
    return WEXITSTATUS(status);
}

bool capture_value(const char *text, const char *key, char *value, size_t size)
{
    size_t len = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        size_t n;

        line += strspn(line, "\n ");
        if (strncmp(line, key, len) != 0 || !strchr(" =", line[len]) || !line[len])
            continue;
        line += len;
        line += strspn(line, " =");
        n = strcspn(line, "\n");
        while (n > 0 && line[n - 1] == ' ')
            n--;
        snprintf(value, size, "%.*s", (int)n, line);
        return true;
    }
    return false;
}
