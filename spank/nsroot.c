/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/nsroot.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 20000

enum order { ORDER_MAPS = 'm', ORDER_PROC = 'p' };

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -1;
    rc = io_write_full(fd, text, strlen(text));
    io_close(&fd);
    return rc;
}

/* Identity over the whole range: ids, access and file ownership are what they are outside. */
static int write_maps(pid_t task)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)task);
    if (write_file(path, "0 0 4294967295\n") < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)task);
    return write_file(path, "0 0 4294967295\n");
}

static int join(pid_t task, const char *which, int type)
{
    char path[64];
    int fd, rc;

    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)task, which);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = setns(fd, type);
    io_close(&fd);
    return rc;
}

static int mount_proc(pid_t task)
{
    int status;
    pid_t pid;

    /* The pid namespace is looked up first: its file lies in the /proc that the mount will cover.
     */
    if (join(task, "pid_for_children", CLONE_NEWPID) < 0 || join(task, "mnt", CLONE_NEWNS) < 0 ||
        join(task, "user", CLONE_NEWUSER) < 0)
        return -1;
    pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        _exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno
                                                                                         : 0);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    if (!WIFEXITED(status)) {
        errno = EINTR;
        return -1;
    }
    errno = WEXITSTATUS(status);
    return errno ? -1 : 0;
}

static void child_main(int sock, pid_t task)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL); /* slurmstepd's handlers are not ours */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != task)
        _exit(1);
    if (dup2(sock, 3) < 0 || syscall(SYS_close_range, 4U, ~0U, 0) < 0)
        _exit(1);
    for (;;) {
        char order;
        int32_t answer;

        if (io_read_full(3, &order, 1) < 0)
            _exit(0);
        if (order == ORDER_MAPS)
            answer = write_maps(task) < 0 ? errno : 0;
        else
            answer = mount_proc(task) < 0 ? errno : 0;
        if (io_write_full(3, &answer, sizeof answer) < 0 || order == ORDER_PROC)
            _exit(0);
    }
}

static int ask(struct nsroot *ns, enum order what, struct err *err, const char *text)
{
    struct pollfd p = {.fd = ns->sock, .events = POLLIN};
    char order = (char)what;
    int32_t answer;
    int n;

    if (io_write_full(ns->sock, &order, 1) < 0)
        return err_sys(err, "%s", text);
    do
        n = poll(&p, 1, ANSWER_TIMEOUT_MS);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n <= 0 || io_read_full(ns->sock, &answer, sizeof answer) < 0)
        return err_sys(err, "%s", text);
    errno = answer;
    return answer ? err_sys(err, "%s", text) : 0;
}

static int proc_can_be_mounted(void)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno
                                                                                         : 0);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* There is no way back from unshare(), and the maps and /proc come after it (a container whose /proc is partly
 * covered may not mount another).  So it is tried first in a child. */
int nsroot_possible(struct err *err)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return err_sys(err, "fork");
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) < 0)
            _exit(errno);
        _exit(proc_can_be_mounted());
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno
               ? err_sys(err, "this node allows no new user, pid and mount namespace with its own "
                              "/proc (user.max_user_namespaces is 0? a container?)")
               : 0;
}

int nsroot_enter(struct nsroot *ns, struct err *err)
{
    pid_t task = getpid();
    int pair[2];

    if (nsroot_possible(err) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "socketpair");
    ns->pid = fork();
    if (ns->pid < 0) {
        err_sys(err, "fork");
        close(pair[0]);
        close(pair[1]);
        ns->pid = 0;
        return -1;
    }
    if (ns->pid == 0)
        child_main(pair[1], task);
    close(pair[1]);
    ns->sock = pair[0];
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) < 0) {
        err_sys(err, "unshare");
        nsroot_destroy(ns);
        return -1;
    }
    /* From here on there is no way back: a failure fails the task. */
    if (ask(ns, ORDER_MAPS, err, "cannot write the identity maps of the user namespace") < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        err_prefix(err, "isolation=private");
        nsroot_destroy(ns);
        errno = ENOTRECOVERABLE;
        return -1;
    }
    return 0;
}

int nsroot_mount_proc(struct nsroot *ns, struct err *err)
{
    return ask(ns, ORDER_PROC, err, "cannot mount /proc in the job's pid namespace");
}

void nsroot_destroy(struct nsroot *ns)
{
    int saved = errno;

    if (ns->pid > 0) {
        close(ns->sock); /* it ends on end of file; the kill is for one that hangs */
        kill(ns->pid, SIGKILL);
        while (waitpid(ns->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        ns->pid = 0;
    }
    errno = saved;
}

void nsroot_idle(void)
{
    sigset_t chld;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        sigwaitinfo(&chld, NULL);
    }
}
