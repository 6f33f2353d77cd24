/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "#!interpreter [argument]" of a script, as execve(2) takes it.  Returns false for anything else.
 */
static bool read_shebang(const char *path, char *line, size_t size, char **interpreter, char **arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);
    char *end;

    io_close(&fd);
    if (n < 3)
        return false;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "#!", 2) != 0)
        return false;
    *interpreter = line + 2 + strspn(line + 2, " \t");
    end = *interpreter + strcspn(*interpreter, " \t");
    *arg = end + strspn(end, " \t");
    *end = '\0';
    for (end = *arg + strlen(*arg); end > *arg && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = '\0';
    return **interpreter == '/';
}

/* As slurmstepd does for a program without a slash. */
static const char *in_path(const char *program, char found[PATH_MAX])
{
    const char *path = getenv("PATH");

    for (const char *p = strchr(program, '/') ? NULL : path; p && *p;) {
        size_t n = strcspn(p, ":");

        snprintf(found, PATH_MAX, "%.*s/%s", (int)n, p, program);
        if (n > 0 && access(found, X_OK) == 0)
            return found;
        p += n + (p[n] == ':');
    }
    return program;
}

/* In the child: never returns. */
static void exec_job(struct shepherd *s, const char *script)
{
    char line[512], program[PATH_MAX], init[2 * PATH_MAX], copy[2 * PATH_MAX], dir[2 * PATH_MAX],
        *interpreter, *arg;
    struct err err = {{0}};
    char **argv = calloc((size_t)s->argc + 5, sizeof *argv);
    int n = 0, first = 0;
    sigset_t none;

    if (!argv)
        _exit(126);
    shepherd_task_path(s, "ckpt-init", init);
    shepherd_task_path(s, "script", copy);
    if (!s->files || access(init, X_OK) < 0) /* no directory, or one that is mounted noexec */
        snprintf(init, sizeof init, "%s/ckpt-init", s->facts.helper_dir);
    argv[n++] = (char[]){"ckpt-init"};
    if (script && s->files && access(copy, R_OK) == 0 &&
        read_shebang(script, line, sizeof line, &interpreter, &arg)) {
        argv[n++] = interpreter;
        if (*arg)
            argv[n++] = arg;
        argv[n++] = copy;
        first = 1;
    }
    if (first == 0)
        s->argv[0] = (char *)(uintptr_t)in_path(s->argv[0], program);
    for (int i = first; i < s->argc; i++)
        argv[n++] = s->argv[i];
    shepherd_task_path(s, "", dir);
    if (s->relay.used && relay_attach(&s->relay, dir, &err) < 0) {
        shepherd_say("the standard files of the task: %s", err.text);
        _exit(126);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* CRIU wants a session leader at the root */
    execv(init, argv);
    shepherd_say("cannot start %s: %s", init, strerror(errno));
    _exit(126);
}

int shepherd_launch(struct shepherd *s, const char *script)
{
    struct proto_request r;
    struct proto_reply reply;
    struct err err = {{0}};
    pid_t pid;
    int fd = -1;

    shepherd_request_init(s, &r, PROTO_LAUNCH, "");
    if (shepherd_ask(s, &r, -1, &reply, &fd, &err) < 0 && errno == EINTR)
        return 128 + SIGTERM;
    io_close(&fd);
    pid = fork();
    if (pid == 0)
        exec_job(s, script);
    if (pid < 0) {
        shepherd_say("cannot start the job: fork: %s", strerror(errno));
        return 1;
    }
    s->root = pid;
    s->rootfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (s->rootfd < 0)
        shepherd_say("pidfd_open: %s: nothing will be checkpointed", strerror(errno));
    return 0;
}
