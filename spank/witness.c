/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/witness.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* killpg() has signalled all of a group before it returns, but not all at once. */
#define LATE_NS 100000000L

struct answer {
    int32_t sig, group;
};

static bool pending(int sig)
{
    const struct timespec late = {0, LATE_NS};
    sigset_t one;
    int got;

    sigemptyset(&one);
    if (sigaddset(&one, sig) < 0)
        return false;
    do
        got = sigtimedwait(&one, NULL, &late);
    while (got < 0 && errno == EINTR);
    return got == sig;
}

/* Whose parent has ended before the prctl() finds the socket closed; getppid() is 0 for one in another pid namespace. */
static void child(int sock)
{
    struct answer a;

    prctl(PR_SET_NAME, "witness", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (dup2(sock, 3) < 0 || syscall(SYS_close_range, 4U, ~0U, 0) < 0)
        _exit(1);
    for (int fd = 0; fd < 3; fd++) /* the job's output is not kept open */
        close(fd);
    if (chdir("/") < 0)
        _exit(1);
    while (io_read_full(3, &a.sig, sizeof a.sig) == 0) {
        a.group = pending(a.sig);
        if (io_write_full(3, &a, sizeof a) < 0)
            break;
    }
    _exit(0);
}

int witness_start(struct witness *w, struct err *err)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "socketpair");
    pid = fork();
    if (pid < 0) {
        err_sys(err, "fork");
        close(pair[0]);
        close(pair[1]);
        return -1;
    }
    if (pid == 0)
        child(pair[1]);
    close(pair[1]);
    w->pid = pid;
    w->sock = pair[0];
    return 0;
}

void witness_end(struct witness *w)
{
    io_close(&w->sock);
    if (w->pid > 0)
        kill(w->pid, SIGKILL);
    while (w->pid > 0 && waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    w->pid = 0;
}

bool witness_ask(struct witness *w, int sig)
{
    const int32_t number = sig;

    if (w->sock < 0)
        return false;
    return send(w->sock, &number, sizeof number, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof number;
}

bool witness_answer(struct witness *w, int *sig, bool *group)
{
    struct answer a;
    ssize_t n;

    if (w->sock < 0)
        return false;
    n = recv(w->sock, &a, sizeof a, MSG_DONTWAIT);
    if (n != sizeof a) {
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            io_close(&w->sock); /* it has ended */
        return false;
    }
    *sig = a.sig;
    *group = a.group != 0;
    return true;
}
