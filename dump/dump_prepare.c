/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/dump.h"

#include "common/helper.h"
#include "common/io.h"
#include "common/trust.h"
#include "dump/capture.h"
#include "dump/target.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MS 5000 /* the keeper writes the request before it starts us */
#define FREEZE_S "60"   /* CRIU's limit for stopping all threads: one may sit in an NFS call */

int dump_read_request(struct proto_request *r, struct err *err)
{
    int64_t end = capture_now_ms() + REQUEST_MS;
    char *at = (char *)r;
    size_t left = sizeof *r;

    while (left > 0) {
        struct pollfd p = {.fd = HELPER_FD_REQUEST, .events = POLLIN};
        int64_t ms = end - capture_now_ms();
        ssize_t n;

        if (ms <= 0 || poll(&p, 1, (int)ms) <= 0) {
            errno = ETIMEDOUT;
            return err_set(err, "no request came");
        }
        n = read(HELPER_FD_REQUEST, at, left);
        if (n <= 0) {
            errno = EBADMSG;
            return err_set(err, "the request is cut short");
        }
        at += n;
        left -= (size_t)n;
    }
    if (!proto_request_ok(r) || r->verb != PROTO_DUMP) {
        errno = EINVAL;
        return err_set(err, "malformed request");
    }
    return 0;
}

static int check_self(const struct facts *f, struct err *err)
{
    uid_t u[3];
    gid_t g[3];

    if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
        return err_sys(err, "getresuid");
    for (int i = 0; i < 3; i++)
        if (u[i] != f->uid || g[i] != f->gid) {
            errno = EPERM;
            return err_set(err, "this is not the job's user");
        }
    return 0;
}

static int prepare_criu(struct dump *d, struct err *err)
{
    char pid[16];
    const char *args[] = {"dump",
                          "-t",
                          pid,
                          d->request.flags & PROTO_F_STOP ? "--leave-stopped" : "--leave-running",
                          "--file-locks", /* HDF5 and NetCDF lock by default */
                          "--ghost-limit",
                          "1G",
                          "--manage-cgroups=ignore",
                          "--display-stats",
                          "--timeout",
                          FREEZE_S,
                          NULL};
    int drain[2], snapshot[2], fds[2];
    struct criurun_opts opts = {.criu = d->facts.criu,
                                .helper_dir = d->facts.helper_dir,
                                .args = args,
                                .fds = fds,
                                .nfds = 2,
                                .drain = true,
                                .snapshot = true};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, drain) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, snapshot) < 0)
        return err_sys(err, "socketpair");
    snprintf(pid, sizeof pid, "%d", d->pid);
    fds[0] = drain[1];
    fds[1] = snapshot[1];
    d->run = criurun_prepare(&opts, err);
    d->drain = drain[0];
    d->snapshot = snapshot_create(snapshot[0]);
    io_close(&drain[1]);
    io_close(&snapshot[1]);
    if (d->run && !d->snapshot)
        return err_sys(err, "snapshot");
    return d->run ? 0 : -1;
}

int dump_prepare(struct dump *d, struct err *err)
{
    if (helper_caps_hold(err) < 0 || trust_facts(HELPER_FD_FACTS, &d->facts, err) < 0)
        return err_prefix(err, "dump");
    if (check_self(&d->facts, err) < 0 ||
        target_check(HELPER_FD_PIDFD, &d->facts, &d->pid, err) < 0)
        return -1;
    return prepare_criu(d, err);
}
