/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * steal - takes the keeper's socket out of a shepherd and holds it: an ordinary process of the same user.
 *
 *   steal SHEPHERD-PID SECONDS
 *
 * Prints "stolen" or "nothing to steal"; after SECONDS "keeper answers" or "keeper gone".
 */
#include "common/proto.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int take(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), type = 0;

    for (int i = 3; i < 64; i++) {
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
        socklen_t len = sizeof type;

        if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static int answers(int fd)
{
    struct proto_request r = {.magic = PROTO_MAGIC, .version = PROTO_VERSION, .verb = PROTO_PING, .id = 77};
    struct proto_reply reply;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (send(fd, &r, sizeof r, MSG_NOSIGNAL) != (ssize_t)sizeof r)
        return 0;
    while (poll(&p, 1, 5000) == 1 && recv(fd, &reply, sizeof reply, 0) == (ssize_t)sizeof reply)
        if (reply.id == 77)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: steal SHEPHERD-PID SECONDS\n");
        return 2;
    }
    fd = take((pid_t)strtol(argv[1], NULL, 10));
    puts(fd >= 0 ? "stolen" : "nothing to steal");
    fflush(stdout);
    if (fd < 0)
        return 1;
    sleep((unsigned)strtoul(argv[2], NULL, 10));
    puts(answers(fd) ? "keeper answers" : "keeper gone");
    return 0;
}
