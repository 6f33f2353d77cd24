/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * talk.so - preloaded by the job's environment into its own shepherd (a plain process of the user, so nobody can
 * prevent it): takes the keeper's socket and says to it everything that it should not like, before the shepherd
 * itself says a word.
 *
 * THIS-FILE.log gets a line for each: "WHAT: ERROR TEXT", "WHAT: no answer" or "WHAT: not sent (...)".
 * THIS-FILE.targets names further processes to ask dumps of: lines "NAME PID".
 */
#include "common/proto.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static int keeper = -1, logfd = -1;
static uint32_t next_id = 1000;

static struct proto_request request(uint32_t verb)
{
    struct proto_request r = {.magic = PROTO_MAGIC, .version = PROTO_VERSION};

    r.verb = verb;
    r.id = ++next_id;
    return r;
}

/* len bytes and n descriptors */
static int say(const void *data, size_t len, const int *fds, int n)
{
    static union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    }
    return sendmsg(keeper, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void hear(const char *what, int ms)
{
    struct pollfd p = {.fd = keeper, .events = POLLIN};
    struct proto_reply reply;
    ssize_t n;

    if (poll(&p, 1, ms) <= 0) {
        dprintf(logfd, "%s: no answer\n", what);
        return;
    }
    n = recv(keeper, &reply, sizeof reply, 0);
    if (n == (ssize_t)sizeof reply)
        dprintf(logfd, "%s: %d %s\n", what, reply.error, reply.text);
    else
        dprintf(logfd, "%s: %zd bytes: %s\n", what, n, strerror(errno));
}

static void try_bytes(const char *what, const void *data, size_t len, const int *fds, int n)
{
    if (say(data, len, fds, n) < 0)
        dprintf(logfd, "%s: not sent (%s)\n", what, strerror(errno));
    else
        hear(what, 20000);
}

static void try_request(const char *what, struct proto_request r, const int *fds, int n)
{
    try_bytes(what, &r, sizeof r, fds, n);
}

static void malformed(void)
{
    static char big[100000];
    struct proto_request r = request(99);

    try_request("unknown verb", r, NULL, 0);
    try_request("verb zero", request(0), NULL, 0);
    try_request("the keeper's own verb", request(PROTO_EXITED), NULL, 0);
    r = request(PROTO_PING);
    r.magic++;
    try_request("wrong magic", r, NULL, 0);
    r = request(PROTO_PING);
    r.version++;
    try_request("newer version", r, NULL, 0);
    r = request(PROTO_PING);
    r.flags = 1;
    try_request("flag of another verb", r, NULL, 0);
    r = request(PROTO_DUMP);
    r.flags = 0x80000000u;
    try_request("unknown flag", r, NULL, 0);
    r = request(PROTO_PING);
    try_bytes("one byte", &r, 1, NULL, 0);
    try_bytes("one byte short", &r, sizeof r - 1, NULL, 0);
    memcpy(big, &r, sizeof r);
    try_bytes("one byte more", big, sizeof r + 1, NULL, 0);
    try_bytes("oversize", big, sizeof big, NULL, 0);
    memset(r.reason, 'a', sizeof r.reason);
    try_request("reason without end", r, NULL, 0);
    snprintf(r.reason, sizeof r.reason, "x\033[31m\n");
    try_request("reason with escape", r, NULL, 0);
    r = request(PROTO_RESTORE);
    snprintf(r.generation, sizeof r.generation, "../../../etc");
    try_request("generation that is a path", r, NULL, 0);
    snprintf(r.generation, sizeof r.generation, "gen-0000-000001/../x");
    try_request("generation with a path", r, NULL, 0);
    memset(r.generation, '1', sizeof r.generation);
    memcpy(r.generation, "gen-", 4);
    try_request("generation without end", r, NULL, 0);
    r = request(PROTO_RESTORE);
    snprintf(r.generation, sizeof r.generation, "gen-0000-000099");
    r.flags = PROTO_F_EXACT;
    try_request("generation that is not there", r, NULL, 0);
}

static void wrong_descriptors(void)
{
    int many[253], pipes[2], sockets[2], fd;

    try_request("ping with a descriptor", request(PROTO_PING), (int[]){0}, 1);
    try_request("restore with a descriptor", request(PROTO_RESTORE), (int[]){0}, 1);
    try_request("launch with a descriptor", request(PROTO_LAUNCH), (int[]){0}, 1);
    try_request("dump without a descriptor", request(PROTO_DUMP), NULL, 0);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    try_request("dump of a device", request(PROTO_DUMP), &fd, 1);
    close(fd);
    fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    try_request("dump of a directory", request(PROTO_DUMP), &fd, 1);
    close(fd);
    fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    try_request("dump of a file", request(PROTO_DUMP), &fd, 1);
    close(fd);
    fd = memfd_create("anon_inode:[pidfd]", MFD_CLOEXEC);
    try_request("dump of a memfd", request(PROTO_DUMP), &fd, 1);
    close(fd);
    fd = eventfd(0, EFD_CLOEXEC);
    try_request("dump of an eventfd", request(PROTO_DUMP), &fd, 1);
    close(fd);
    if (pipe2(pipes, O_CLOEXEC) == 0) {
        try_request("dump of a pipe", request(PROTO_DUMP), pipes, 1);
        try_request("dump of two descriptors", request(PROTO_DUMP), pipes, 2);
        for (size_t i = 0; i < 253; i++)
            many[i] = pipes[0];
        for (int n = 3; n <= 20; n++)
            try_request("dump of many descriptors", request(PROTO_DUMP), many, n);
        try_request("dump of 253 descriptors", request(PROTO_DUMP), many, 253);
        close(pipes[0]);
        close(pipes[1]);
    }
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets) == 0) {
        try_request("dump of a socket", request(PROTO_DUMP), sockets, 1);
        close(sockets[0]);
        close(sockets[1]);
    }
}

static void spoofed_sender(void)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct proto_request r = request(PROTO_PING);
    struct iovec iov = {&r, sizeof r};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf};
    struct ucred root = {.pid = 1, .uid = 0, .gid = 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    memset(&control, 0, sizeof control);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof root);
    memcpy(CMSG_DATA(c), &root, sizeof root);
    if (sendmsg(keeper, &msg, MSG_NOSIGNAL) < 0)
        dprintf(logfd, "credentials of root: not sent (%s)\n", strerror(errno));
    else
        hear("credentials of root", 20000);
}

static void try_pid(const char *what, pid_t pid, unsigned flags)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, flags);

    if (pidfd < 0) {
        dprintf(logfd, "%s: not sent (pidfd_open: %s)\n", what, strerror(errno));
        return;
    }
    try_request(what, request(PROTO_DUMP), &pidfd, 1);
    close(pidfd);
}

static pid_t child(void (*first)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (first)
            first();
        for (;;)
            pause();
    }
    return pid;
}

static void lead_session(void)
{
    setsid();
}

/* A process that is there no more: its number may be anybody's, the descriptor is nobody's. */
static void ended_process(void)
{
    pid_t pid = child(NULL);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    kill(pid, SIGKILL);
    try_request("dump of a zombie", request(PROTO_DUMP), &pidfd, 1);
    waitpid(pid, NULL, 0);
    try_request("dump of a process that has ended", request(PROTO_DUMP), &pidfd, 1);
    close(pidfd);
}

static void wrong_processes(const char *targets)
{
    FILE *f = fopen(targets, "re");
    char name[64], what[96];
    int pid;
    pid_t own;

    try_pid("dump of the shepherd", getpid(), 0);
    try_pid("dump of a thread", getpid(), PIDFD_THREAD);
    own = child(NULL);
    try_pid("dump of a child without a session", own, 0);
    kill(own, SIGKILL);
    waitpid(own, NULL, 0);
    ended_process();
    while (f && fscanf(f, "%63s %d", name, &pid) == 2) {
        snprintf(what, sizeof what, "dump of %s", name);
        try_pid(what, pid, 0);
    }
    if (f)
        fclose(f);
}

/* One that may be dumped: then everything else has to wait. */
static void busy(void)
{
    pid_t own = child(lead_session);
    int pidfd = (int)syscall(SYS_pidfd_open, own, 0);
    struct proto_request first = request(PROTO_DUMP), second = request(PROTO_DUMP),
                         third = request(PROTO_RESTORE), cancel = request(PROTO_CANCEL);

    usleep(100000);
    if (say(&first, sizeof first, &pidfd, 1) < 0 || say(&second, sizeof second, &pidfd, 1) < 0 ||
        say(&third, sizeof third, NULL, 0) < 0 || say(&cancel, sizeof cancel, NULL, 0) < 0)
        dprintf(logfd, "busy: not sent (%s)\n", strerror(errno));
    hear("a second dump", 20000);
    hear("a restore beside a dump", 20000);
    hear("a dump that is cancelled", 60000);
    kill(own, SIGKILL);
    waitpid(own, NULL, 0);
    close(pidfd);
}

__attribute__((constructor)) static void talk(void)
{
    char comm[17] = "", path[4096];
    const char *fds = getenv("CHECKPOINT_FDS");
    Dl_info self;

    prctl(PR_GET_NAME, comm, 0, 0, 0);
    if (strcmp(comm, "shepherd") != 0 || !fds || sscanf(fds, "%d", &keeper) != 1 ||
        !dladdr((void *)(uintptr_t)talk, &self))
        return;
    unsetenv("LD_PRELOAD");
    snprintf(path, sizeof path, "%s.log", self.dli_fname);
    logfd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    snprintf(path, sizeof path, "%s.targets", self.dli_fname);
    try_request("ping first", request(PROTO_PING), NULL, 0);
    malformed();
    wrong_descriptors();
    spoofed_sender();
    wrong_processes(path);
    busy();
    try_request("ping last", request(PROTO_PING), NULL, 0);
    close(logfd);
}
