/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/keeper.h"

#include "common/helper.h"
#include "common/io.h"
#include "common/runclock.h"
#include "common/trust.h"
#include "spank/journal.h"
#include "spank/slots.h"
#include "spank/tally.h"
#include "spank/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"

/* Below this the kernel gives no pid again after the numbers have wrapped (RESERVED_PIDS,
 * kernel/pid.c): ours live there, the job's tree above. */
#define FIRST_JOB_PID 300

/* A real-time signal: one that somebody else has sent before does not swallow it. */
#define TASK_GONE (SIGRTMIN + 1)

struct keeper {
    struct facts facts;
    struct keeper_run run;
    struct proto_reply restored; /* of a restore that succeeded, until its root is found */
    pid_t root;                  /* restored root, our child; 0: none */
    int signals;
    struct tally *tally; /* NULL: nothing is counted */
};

static int send_reply(const struct proto_reply *reply, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {(void *)(uintptr_t)reply, sizeof *reply};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        msg.msg_control = control.buf;
        msg.msg_controllen = sizeof control.buf;
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    /* A shepherd that does not read is stopped or hostile; the answer is its loss. */
    return sendmsg(KEEPER_FD_SOCKET, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

static void refuse(const struct proto_request *r, int error, const char *text)
{
    struct proto_reply reply;

    proto_reply_init(&reply, r);
    proto_reply_fail(&reply, error, "%s", text);
    send_reply(&reply, -1);
}

/* Takes one packet.  Returns its length, 0 at end of file, -1 on error; *fd is the one descriptor
 * that came with it, -1 for none; more than one, or a truncated packet, is answered as malformed
 * (*bad). */
static ssize_t receive(struct proto_request *r, int *fd, bool *bad)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = {r, sizeof *r};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf};
    ssize_t n;

    memset(r, 0, sizeof *r);
    *fd = -1;
    *bad = false;
    n = recvmsg(KEEPER_FD_SOCKET, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n <= 0)
        return n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        /* As many as fit the buffer have been installed, whatever we hoped for. */
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;

            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            if (*fd < 0 && count == 1) {
                *fd = got;
            } else {
                close(got);
                *bad = true;
            }
        }
    }
    if (n != (ssize_t)sizeof *r || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        *bad = true;
    return n;
}

/* The socket is the task's alone.  Under private isolation the task lies outside our pid namespace
 * and its pid reads 0, as does that of every process outside; inside it only the job's own
 * processes have others. */
static bool peer_ok(const struct facts *f)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(KEEPER_FD_SOCKET, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return peer.uid == f->uid && peer.pid == (f->isolation == ISOLATION_PRIVATE ? 0 : f->task_pid);
}

/* A pidfd names its process for good; dump checks which process that is. */
static bool is_pidfd(int fd)
{
    char path[64], link[64];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return false;
    link[n] = '\0';
    return strcmp(link, "anon_inode:[pidfd]") == 0 || strncmp(link, "pidfd:[", 7) == 0;
}

static bool take_slot(const struct facts *f)
{
    const uint64_t longest =
        f->dump_timeout > f->restore_timeout ? f->dump_timeout : f->restore_timeout;
    const struct slots_claim c = {
        .most = f->max_dumps, .uid = f->uid, .seconds = longest + KEEPER_GRACE_MS / 1000 + 30};

    return slots_take(KEEPER_FD_SLOTS, &c);
}

static void start(struct keeper *k, const struct proto_request *r, int fd)
{
    struct err err = {{0}};
    bool dump = r->verb == PROTO_DUMP;

    if (k->run.pid > 0)
        refuse(r, EBUSY, "a dump or restore is running");
    else if (dump != (fd >= 0))
        refuse(r, EINVAL, "a dump takes one descriptor, everything else none");
    else if (dump && !is_pidfd(fd))
        refuse(r, EINVAL, "the descriptor is not a pidfd");
    else if (!dump && k->root > 0)
        refuse(r, EINVAL, "a restored tree is running");
    else if (!take_slot(&k->facts))
        refuse(r, EUSERS, "as many dumps and restores run on this node as may at once (MaxDumps)");
    else if (keeper_run_start(&k->run, &k->facts, r, fd, &err) < 0) {
        const int error = errno;

        slots_give_back(KEEPER_FD_SLOTS);
        refuse(r, error, err.text);
    }
}

static void launch(struct keeper *k, const struct proto_request *r)
{
    struct proto_reply reply;
    struct err err = {{0}};

    proto_reply_init(&reply, r);
    if (k->facts.isolation == ISOLATION_PRIVATE && keeper_set_last_pid(FIRST_JOB_PID - 1, &err) < 0)
        proto_reply_fail(&reply, errno, "%s", err.text);
    send_reply(&reply, -1);
}

/* Returns false when the shepherd is gone. */
static bool serve(struct keeper *k)
{
    struct proto_request r;
    struct proto_reply reply;
    bool bad;
    int fd;
    ssize_t n = receive(&r, &fd, &bad);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    if (bad || !proto_request_ok(&r)) {
        refuse(&r, EPROTO, "malformed request");
    } else if (r.verb == PROTO_CANCEL) {
        k->run.cancelled = true;
        keeper_run_kill(&k->run, SIGTERM);
        k->run.deadline_ms = keeper_now_ms() + 10000;
    } else if (fd >= 0 && r.verb != PROTO_DUMP) {
        refuse(&r, EINVAL, "a dump takes one descriptor, everything else none");
    } else if (r.verb == PROTO_PING || r.verb == PROTO_CONTINUE) {
        proto_reply_init(&reply, &r);
        if (r.verb == PROTO_CONTINUE && k->facts.isolation == ISOLATION_PRIVATE)
            kill(-1, SIGCONT);
        send_reply(&reply, -1);
    } else if (r.verb == PROTO_LAUNCH) {
        launch(k, &r);
    } else {
        start(k, &r, fd);
    }
    io_close(&fd);
    return true;
}

/* criu has ended and left the restored root to the nearest subreaper, which is us. */
static void finish_restore(struct keeper *k, struct proto_reply *reply)
{
    siginfo_t info = {0};
    pid_t root = (pid_t)reply->pid;
    int pidfd = -1;

    if (root <= 1 || waitid(P_PID, (id_t)root, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        proto_reply_fail(reply, ESRCH, "the restored process %d is not there", (int)root);
    else if ((pidfd = (int)syscall(SYS_pidfd_open, root, 0)) < 0)
        proto_reply_fail(reply, errno, "the restored process %d: %s", (int)root, strerror(errno));
    else
        k->root = root;
    /* Also of a helper that said so and cannot end: the next restore would meet them. */
    if (k->root == 0)
        tree_kill_own(50);
    send_reply(reply, pidfd);
    io_close(&pidfd);
}

/* The helper is gone, or given up. */
static void run_over(struct keeper *k, int status)
{
    struct proto_reply reply;
    bool stop = k->run.request.flags & PROTO_F_STOP;

    keeper_run_kill(&k->run, SIGKILL); /* what is left of its group */
    keeper_run_finish(&k->run, status, &reply);
    slots_give_back(KEEPER_FD_SLOTS);
    tally_count(k->tally, &reply);
    journal_tell(&k->facts, &reply);
    if (reply.verb == PROTO_RESTORE && reply.error == 0) {
        finish_restore(k, &reply);
        return;
    }
    /* A restore that was killed could not clear up after itself: what it left came to us.  Nor could a dump that had
     * stopped the tree let it go on; under host isolation the shepherd sees to that. */
    if (reply.verb == PROTO_RESTORE)
        tree_kill_own(50);
    else if (stop && reply.error != 0 && k->facts.isolation == ISOLATION_PRIVATE)
        kill(-1, SIGCONT);
    send_reply(&reply, -1);
}

/* Take what signals have come.  True: the task has ended, as the kernel told us by TASK_GONE; sent by anybody
 * else it means nothing.  In a private pid namespace the task lies outside: pid 0, and the job's uid. */
static bool task_gone(const struct keeper *k)
{
    struct signalfd_siginfo si;
    bool gone = false;

    while (read(k->signals, &si, sizeof si) == (ssize_t)sizeof si) {
        if ((int)si.ssi_signo != TASK_GONE)
            continue;
        if (k->facts.isolation == ISOLATION_PRIVATE)
            gone |= si.ssi_pid == 0 && si.ssi_uid == k->facts.uid;
        else
            gone |= getppid() != k->facts.task_pid;
    }
    return gone;
}

static void reap(struct keeper *k)
{
    struct proto_reply reply;
    pid_t pid;
    int status;

    /* The helper first: its restored root may have ended already. */
    if (k->run.pid > 0 && waitpid(k->run.pid, &status, WNOHANG) == k->run.pid)
        run_over(k, status);
    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            break;
        if (info.si_pid == k->run.pid || (k->run.pid > 0 && k->run.request.verb == PROTO_RESTORE))
            break; /* nobody knows yet which of them is the root */
        pid = waitpid(info.si_pid, &status, WNOHANG);
        if (pid > 0 && pid == k->root) {
            struct proto_request none = {.verb = PROTO_EXITED};

            k->root = 0;
            proto_reply_init(&reply, &none);
            reply.status = status;
            send_reply(&reply, -1);
        }
    }
}

static int timeout_ms(const struct keeper *k)
{
    return k->run.pid == 0 ? -1 : runclock_wait(k->run.deadline_ms);
}

/* First the helper is killed; one that is stuck in the kernel even then is given up, and reaped when it ends. */
static void overdue(struct keeper *k)
{
    keeper_run_kill(&k->run, SIGKILL);
    if (k->run.shot)
        run_over(k, -1);
    k->run.shot = true;
    k->run.deadline_ms = keeper_now_ms() + 10000;
}

static void loop(struct keeper *k)
{
    for (;;) {
        struct pollfd p[] = {{.fd = KEEPER_FD_SOCKET, .events = POLLIN},
                             {.fd = k->signals, .events = POLLIN},
                             {.fd = k->run.pid > 0 ? k->run.result : -1, .events = POLLIN}};

        if (poll(p, 3, timeout_ms(k)) < 0 && errno != EINTR)
            return;
        if (p[2].revents)
            keeper_run_answer(&k->run);
        /* The socket may be held open by whoever took it from the shepherd. */
        if (p[1].revents && task_gone(k))
            return;
        if (p[1].revents)
            reap(k);
        if (k->run.pid > 0 && keeper_now_ms() >= k->run.deadline_ms)
            overdue(k);
        if (p[0].revents && !serve(k))
            return;
    }
}

static int set_up(struct keeper *k, struct err *err)
{
    sigset_t all;

    if (helper_caps_hold(err) < 0)
        return -1;
    if (trust_facts(KEEPER_FD_FACTS, &k->facts, err) < 0)
        return -1;
    errno = EPERM;
    if (getuid() != k->facts.uid || geteuid() != k->facts.uid)
        return err_set(err, "the facts are another user's");
    if (!peer_ok(&k->facts))
        return err_set(err, "the socket does not lead to the task");
    /* Signals to the whole job (proctrack/linuxproc, a pid namespace's init) are the shepherd's
     * business. */
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return err_sys(err, "sigprocmask");
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    sigaddset(&all, TASK_GONE);
    k->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (k->signals < 0)
        return err_sys(err, "signalfd");
    k->tally = tally_map(KEEPER_FD_TALLY);
    close(KEEPER_FD_TALLY);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_sys(err, "PR_SET_CHILD_SUBREAPER");
    /* After the capabilities are set: gaining one would cancel it. */
    if (prctl(PR_SET_PDEATHSIG, TASK_GONE, 0, 0, 0) < 0)
        return err_sys(err, "PR_SET_PDEATHSIG");
    errno = ESRCH;
    if (k->facts.isolation == ISOLATION_HOST && getppid() != k->facts.task_pid)
        return err_set(err, "the task has ended");
    return 0;
}

int main(int argc, char **argv)
{
    static struct keeper k;
    struct err err = {{0}};

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("keeper (" PACKAGE_NAME ") " PACKAGE_VERSION);
        return 0;
    }
    if (helper_sanitize(KEEPER_FD_TALLY, &err) < 0 || set_up(&k, &err) < 0) {
        dprintf(STDERR_FILENO, "checkpoint: keeper: %s\n", err.text);
        return 1;
    }
    loop(&k);
    keeper_run_kill(&k.run, SIGKILL);
    return 0;
}
