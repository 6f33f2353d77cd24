/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ckpt-init - root of the tree that is checkpointed: session leader, subreaper, parent of the job's
 * program.
 *
 * It is part of every image, so it is small, static and changes as seldom as can be; a copy lies
 * with the checkpoints.  It keeps double-forked children in the tree (CRIU loses what is reparented
 * out of it without a word), reaps, passes every signal on to the program, or to its process group
 * (LAUNCH_GROUP_SIGNAL), and ends as the program ends.
 *
 *   ckpt-init PROGRAM [ARGUMENT...]      started by the shepherd, already a session leader
 */
#include "spank/launch_env.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode;
}

/* slurmstepd opened the task's files in its own mount namespace, which CRIU cannot dump when the
 * job has another: open the same file again by its path, with the same flags and offset. */
static void reopen(int fd)
{
    char link[32], path[4096];
    struct stat old, new;
    ssize_t n;
    int flags = fcntl(fd, F_GETFL), again;

    if (flags < 0 || fstat(fd, &old) < 0 || !(S_ISREG(old.st_mode) || S_ISCHR(old.st_mode)))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    again = open(path, (flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_CLOEXEC | O_NOCTTY);
    if (again < 0)
        return;
    if (fstat(again, &new) == 0 && same_file(&old, &new)) {
        if (S_ISREG(old.st_mode) && !(flags & O_APPEND))
            lseek(again, lseek(fd, 0, SEEK_CUR), SEEK_SET);
        dup2(again, fd);
    }
    close(again);
}

static void reopen_all(void)
{
    struct stat out, err;
    int shared = fstat(1, &out) == 0 && fstat(2, &err) == 0 && same_file(&out, &err) &&
                 fcntl(1, F_GETFL) == fcntl(2, F_GETFL);

    reopen(0);
    reopen(1);
    if (shared)
        dup2(1, 2); /* one offset, as before */
    else
        reopen(2);
}

static void leave(int status)
{
    struct rlimit none = {0, 0};
    sigset_t set;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

static void reap(pid_t program)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == program)
            leave(status);
}

/* A program that has gone into another group is signalled alone. */
static void pass(pid_t program, int sig, const siginfo_t *info)
{
    if (info->si_code != SI_QUEUE || info->si_value.sival_int != LAUNCH_GROUP_SIGNAL ||
        getpgid(program) != program || kill(-program, sig) < 0)
        kill(program, sig);
}

int main(int argc, char **argv)
{
    sigset_t all, old;
    pid_t program;

    if (argc < 2) {
        fprintf(stderr, "usage: ckpt-init PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    reopen_all();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    program = fork();
    if (program < 0) {
        fprintf(stderr, "checkpoint: ckpt-init: fork: %s\n", strerror(errno));
        return 126;
    }
    if (program == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &old, NULL);
        execv(argv[1], argv + 1);
        fprintf(stderr, "checkpoint: execve(): %s: %s\n", argv[1], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    setpgid(program, program);
    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(&all, &info);

        if (sig == SIGCHLD)
            reap(program);
        else if (sig > 0)
            pass(program, sig, &info);
    }
}
