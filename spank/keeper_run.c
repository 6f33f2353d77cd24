/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/helper.h"
#include "common/io.h"
#include "common/runclock.h"
#include "common/trust.h"
#include "spank/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From its answer to its end. */
#define ANSWERED_MS 5000
#define NOT_STARTED 127 /* the status of a child that became no helper */

int64_t keeper_now_ms(void)
{
    return runclock_ms();
}

int keeper_set_last_pid(unsigned last, struct err *err)
{
    char text[16];
    int fd, rc = -1, len = snprintf(text, sizeof text, "%u", last);

    if (helper_caps_raise(err) < 0)
        return -1;
    fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || io_write_full(fd, text, (size_t)len) < 0)
        err_sys(err, "/proc/sys/kernel/ns_last_pid");
    else
        rc = 0;
    io_close(&fd);
    if (helper_caps_lower(err) < 0)
        return -1;
    return rc;
}

static void child(const struct facts *f, const char *name, const int *fds, int nfds)
{
    char path[PATH_MAX + 16];
    char *argv[] = {(char[]){"helper"}, NULL};
    char *envp[] = {NULL};
    struct err err = {{0}};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    snprintf(path, sizeof path, "%s/%s", f->helper_dir, name);
    /* Ambient: the helper is a plain file.  Holding the capability, it is closed to the user's
     * other processes from its first instruction. */
    if (helper_caps_ambient(&err) == 0 && helper_fds_place(fds, nfds, &err) == 0) {
        execve(path, argv, envp);
        err_sys(&err, "%s", path);
    }
    dprintf(STDERR_FILENO, "checkpoint: keeper: %s\n", err.text);
    _exit(NOT_STARTED);
}

int keeper_run_start(struct keeper_run *run, const struct facts *f, const struct proto_request *r,
                     int pidfd, struct err *err)
{
    bool dump = r->verb == PROTO_DUMP;
    uint32_t timeout = dump ? f->dump_timeout : f->restore_timeout;
    int request[2] = {-1, -1}, result[2] = {-1, -1};
    pid_t pid;

    if (f->isolation == ISOLATION_PRIVATE && !dump && keeper_set_last_pid(2, err) < 0)
        return -1; /* the restore's own processes stay below the pids of every tree */
    if (pipe2(request, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0 ||
        io_write_full(request[1], r, sizeof *r) < 0) {
        err_sys(err, "pipe");
        goto fail;
    }
    pid = fork();
    if (pid < 0) {
        err_sys(err, "fork");
        goto fail;
    }
    if (pid == 0) {
        int fds[] = {KEEPER_FD_FACTS, request[0], result[1], pidfd};

        child(f, trust_helper(dump), fds, dump ? 4 : 3);
    }
    setpgid(pid, pid);
    io_close(&request[0]);
    io_close(&request[1]);
    io_close(&result[1]);
    run->pid = pid;
    run->result = result[0];
    run->deadline_ms = keeper_now_ms() + (int64_t)timeout * 1000 + KEEPER_GRACE_MS;
    run->cancelled = run->shot = run->answered = false;
    run->request = *r;
    return 0;
fail:
    io_close(&request[0]);
    io_close(&request[1]);
    io_close(&result[0]);
    io_close(&result[1]);
    return -1;
}

void keeper_run_answer(struct keeper_run *run)
{
    struct proto_reply got;

    /* A pipe takes a whole reply at once; end of file means that there is none. */
    if (io_read_full(run->result, &got, sizeof got) == 0 && proto_reply_ok(&got) &&
        got.verb == run->request.verb && got.id == run->request.id) {
        run->answer = got;
        run->answered = true;
    }
    io_close(&run->result);
    run->deadline_ms = keeper_now_ms() + ANSWERED_MS;
}

void keeper_run_finish(struct keeper_run *run, int status, struct proto_reply *reply)
{
    const char *name = run->request.verb == PROTO_DUMP ? "dump" : "restore";

    if (run->result >= 0)
        keeper_run_answer(run);
    proto_reply_init(reply, &run->request);
    if (run->answered)
        *reply = run->answer;
    else if (run->cancelled)
        proto_reply_fail(reply, ECANCELED, "%s was cancelled", name);
    else if (status == -1)
        proto_reply_fail(reply, ETIMEDOUT, "%s hangs and cannot be killed", name);
    else if (WIFSIGNALED(status))
        proto_reply_fail(reply, EIO, "%s was killed by signal %d", name, WTERMSIG(status));
    else if (WEXITSTATUS(status) == NOT_STARTED)
        proto_reply_fail(reply, ENOENT,
                         "%s cannot be started: was the package removed from this node? (the "
                         "job's standard error has the reason)",
                         name);
    else
        proto_reply_fail(reply, EIO, "%s ended with status %d and no result", name,
                         WEXITSTATUS(status));
    run->pid = 0;
}

void keeper_run_kill(const struct keeper_run *run, int sig)
{
    if (run->pid > 0)
        kill(-run->pid, sig);
}
