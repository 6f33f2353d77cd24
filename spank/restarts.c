/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/restarts.h"

#include "common/helper.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Nothing that the task has, or its user gave it, comes with it. */
static void run(const char *path, uint32_t job, const char *node, bool batch, int out)
{
    const char *conf = getenv("SLURM_CONF"); /* slurmd's own: slurmstepd has it from there */
    char number[16], name[64], slurm_conf[PATH_MAX + 16];
    char which[] = "batch";
    char *argv[] = {(char[]){"job-restarts"}, number, name, batch ? which : NULL, NULL};
    char *envp[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"LC_ALL=C"}, conf ? slurm_conf : NULL,
                    NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    snprintf(number, sizeof number, "%u", job);
    snprintf(name, sizeof name, "%s", node);
    snprintf(slurm_conf, sizeof slurm_conf, "SLURM_CONF=%s", conf ? conf : "");
    sigemptyset(&none);
    if (null >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
        dup2(null, STDIN_FILENO) >= 0 && syscall(SYS_close_range, 3U, ~0U, 0) == 0 &&
        chdir("/") == 0) {
        sigprocmask(SIG_SETMASK, &none, NULL);
        (void)alarm(RESTARTS_MOST_S); /* stays armed through exec */
        execve(path, argv, envp);
    }
    _exit(127);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What it says, up to its end; false: it does not end. */
static bool hear(int from, char *text, size_t size)
{
    const int64_t end = now_ms() + RESTARTS_MOST_S * INT64_C(1000);
    struct pollfd p = {.fd = from, .events = POLLIN};
    size_t used = 0;

    for (;;) {
        const int64_t left = end - now_ms();
        ssize_t n;

        text[used] = '\0';
        if (left <= 0)
            return false;
        if (poll(&p, 1, (int)left) <= 0)
            continue;
        n = read(from, text + used, size - 1 - used);
        if (n <= 0)
            return true;
        used += (size_t)n;
    }
}

/* Before it libslurm may have said what it had to try again for. */
static char *last_line(char *text)
{
    size_t n = strlen(text);
    char *before;

    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    before = strrchr(text, '\n');
    return before ? before + 1 : text;
}

int restarts_ask(const char *helper_dir, uint32_t job, const char *node, bool batch,
                 uint32_t *count, struct err *err)
{
    char path[PATH_MAX + 16], text[4096], *line, *end;
    int out[2], status = -1;
    unsigned long v = 0;
    bool ended;
    pid_t pid;

    snprintf(path, sizeof path, "%s/job-restarts", helper_dir);
    if (helper_path_trusted(path, "job-restarts", err) < 0)
        return -1;
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    pid = fork();
    if (pid == 0)
        run(path, job, node, batch, out[1]);
    io_close(&out[1]);
    ended = pid > 0 && hear(out[0], text, sizeof text);
    io_close(&out[0]);
    if (pid < 0)
        return err_sys(err, "cannot fork job-restarts");
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    line = last_line(text);
    end = line;
    errno = 0;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0 && *line >= '0' && *line <= '9')
        v = strtoul(line, &end, 10);
    if (end != line && *end == '\0' && errno == 0 && v < UINT32_MAX) {
        *count = (uint32_t)v;
        return 0;
    }
    errno = EAGAIN;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == RESTARTS_ELSEWHERE)
        errno = RESTARTS_E_ELSEWHERE;
    if (errno == RESTARTS_E_ELSEWHERE)
        return err_set(err, "%.300s", line);
    return err_set(err, "how often the job was started is not to be learnt from slurmctld: %.300s",
                   *line   ? line
                   : ended ? "no answer"
                           : "no answer in time");
}
