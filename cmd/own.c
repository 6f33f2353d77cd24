/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/own.h"

#include "common/helper.h"
#include "common/io.h"
#include "spank/jobclock.h"
#include "spank/launch_env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -1;
    rc = io_write_full(fd, text, strlen(text));
    io_close(&fd);
    return rc;
}

static int unshare_all(struct err *err)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) == 0)
        return 0;
    return err_sys(err,
                   "this node does not let you make a user, a pid and a mount namespace (sysctls: "
                   "user.max_user_namespaces, kernel.unprivileged_userns_clone, "
                   "kernel.apparmor_restrict_unprivileged_userns)");
}

/* The kernel lets a user map himself only, and his group when setgroups() is given up for good. */
static int map_self(uid_t uid, gid_t gid, struct err *err)
{
    char text[64];

    if (put("/proc/self/setgroups", "deny") < 0)
        return err_sys(err, "/proc/self/setgroups");
    snprintf(text, sizeof text, "%u %u 1\n", uid, uid);
    if (put("/proc/self/uid_map", text) < 0)
        return err_sys(err, "/proc/self/uid_map");
    snprintf(text, sizeof text, "%u %u 1\n", gid, gid);
    return put("/proc/self/gid_map", text) < 0 ? err_sys(err, "/proc/self/gid_map") : 0;
}

/* So that no program in there, whatever file capabilities it has, gains another one. */
static int bound(struct err *err)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (cap != CAP_CHECKPOINT_RESTORE && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return err_sys(err, "PR_CAPBSET_DROP");
    return 0;
}

/* The first process of the pid namespace.  Says on `told` whether /proc is there: 0 or an errno value. */
static void keeper(const struct facts *f, int facts_fd, int sock, int told)
{
    char path[PATH_MAX + 16];
    char *argv[] = {(char[]){"own-keeper"}, NULL};
    char *envp[] = {NULL};
    const int fds[] = {facts_fd, sock};
    struct err err = {{0}};
    int answer =
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno : 0;

    snprintf(path, sizeof path, "%s/own-keeper", f->helper_dir);
    if (io_write_full(told, &answer, sizeof answer) == 0 && answer == 0 &&
        helper_caps_ambient(&err) == 0 && helper_fds_place(fds, 2, &err) == 0) {
        execve(path, argv, envp);
        err_sys(&err, "%s", path);
    }
    if (answer == 0)
        dprintf(STDERR_FILENO, "checkpoint: own-keeper: %s\n", err.text);
    _exit(127);
}

static int start_keeper(const struct facts *f, int facts_fd, const int pair[2], struct err *err)
{
    int told[2], answer = 0, rc;
    pid_t pid;

    if (pipe2(told, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    pid = fork();
    if (pid == 0) {
        close(told[0]);
        keeper(f, facts_fd, pair[1], told[1]);
    }
    io_close(&told[1]);
    rc = pid < 0 ? -1 : io_read_full(told[0], &answer, sizeof answer);
    io_close(&told[0]);
    if (rc < 0)
        return err_sys(err, "cannot start own-keeper");
    errno = answer;
    return answer ? err_sys(err, "this node does not let you mount /proc in a pid namespace of "
                                 "your own (a container "
                                 "whose /proc is partly covered?)")
                  : 0;
}

static int shepherd(const struct facts *f, int sock, int facts_fd, const char *const *args,
                    int nargs, struct err *err)
{
    char path[PATH_MAX + 16], fds[32];
    char **argv = calloc((size_t)nargs + 2, sizeof *argv);

    if (!argv)
        return err_sys(err, "no memory");
    snprintf(path, sizeof path, "%s/shepherd", f->helper_dir);
    snprintf(fds, sizeof fds, "%d,%d", sock, facts_fd);
    argv[0] = path;
    for (int i = 0; i < nargs; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    if (setenv(LAUNCH_ENV_FDS, fds, 1) == 0 && setenv(LAUNCH_ENV_OWN, "1", 1) == 0 &&
        fcntl(sock, F_SETFD, 0) == 0 && fcntl(facts_fd, F_SETFD, 0) == 0)
        execv(path, argv);
    err_sys(err, "%s", path);
    free(argv);
    return -1;
}

int own_exec(const struct facts *f, bool job_clock, const char *const *args, int nargs,
             struct err *err)
{
    int pair[2], facts_fd;

    job_clock = job_clock && jobclock_possible();
    if (unshare_all(err) < 0 || map_self(f->uid, f->gid, err) < 0)
        return -1;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(err, "mounts of the namespace");
    if (job_clock)
        jobclock_set();
    if (bound(err) < 0)
        return -1;
    facts_fd = facts_store(f, err);
    if (facts_fd < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "socketpair");
    if (start_keeper(f, facts_fd, pair, err) < 0 || helper_caps_drop(err) < 0)
        return -1;
    io_close(&pair[1]);
    return shepherd(f, pair[0], facts_fd, args, nargs, err);
}
