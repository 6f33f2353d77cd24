/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/criurun.h"

#include "common/helper.h"
#include "common/io.h"
#include "common/runclock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STREAM_NAME "3" /* helper_fds_place() starts there */
#define DRAIN_NAME "4"  /* CRIURUN_FIRST_FD */
#define SNAPSHOT_NAME "5"
#define ENV_MAX 8
#define STDOUT_MAX 16384u
#define GO_MAGIC 0x6f676f67u

/* The only word that the launcher takes from its parent, which may have been confused by a forged image by
 * then: it decides nothing but a pid. */
struct go {
    uint32_t magic;
    uint32_t last_pid;
};

struct text {
    char *buf; /* max + 1 bytes */
    size_t len, max;
    bool cut;
};

struct criurun {
    pid_t pid;
    int pidfd, go, out, log, stream;
    bool ended, own_group;
    int status;
    struct text out_text, log_text;
};

/* Keep the beginning, where the first cause is, and the end. */
static void text_add(struct text *t, const char *data, size_t n)
{
    static const char gap[] = "\n[...]\n";
    size_t head = t->max / 4;

    if (n > t->max / 4) {
        data += n - t->max / 4;
        n = t->max / 4;
        t->cut = true;
    }
    if (t->len + n > t->max) {
        size_t drop = t->max / 2;
        size_t from = head + (sizeof gap - 1);

        memcpy(t->buf + head, gap, sizeof gap - 1);
        memmove(t->buf + from, t->buf + from + drop, t->len - from - drop);
        t->len -= drop;
        t->cut = true;
    }
    memcpy(t->buf + t->len, data, n);
    t->len += n;
    t->buf[t->len] = '\0';
}

/* Non-blocking; closes *fd at its end. */
static void text_read(struct text *t, int *fd)
{
    char buf[65536];

    while (*fd >= 0) {
        ssize_t n = read(*fd, buf, t->max / 4 < sizeof buf ? t->max / 4 : sizeof buf);

        if (n > 0)
            text_add(t, buf, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno == EAGAIN)
            return;
        else
            io_close(fd);
    }
}

static int write_last_pid(uint32_t last_pid, struct err *err)
{
    char number[16];
    int fd, rc, n = snprintf(number, sizeof number, "%u", last_pid);

    if (helper_caps_raise(err) < 0)
        return -1;
    fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    rc = fd < 0 || n < 0 ? -1 : io_write_full(fd, number, (size_t)n);
    if (rc < 0)
        err_sys(err, "cannot set ns_last_pid to %u", last_pid);
    io_close(&fd);
    return helper_caps_lower(err) < 0 ? -1 : rc;
}

struct launch {
    const char *criu;
    const char *const *argv, *const *envp;
    int fds[1 + CRIURUN_FDS_MAX];
    int nfds;
    int go, out, log;
    bool own_group;
};

/* In the child, single-threaded, with the capability permitted. */
static int launch(const struct launch *l, struct err *err)
{
    struct go go;
    sigset_t none;
    int null;

    if (io_read_full(l->go, &go, sizeof go) < 0 || go.magic != GO_MAGIC)
        _exit(0); /* the helper gave up, or is gone */
    if (go.last_pid && write_last_pid(go.last_pid, err) < 0)
        return -1;
    if (l->own_group && setpgid(0, 0) < 0)
        return err_sys(err, "process group of criu");
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(l->out, 1) < 0 || dup2(l->log, 2) < 0)
        return err_sys(err, "descriptors of criu");
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return err_sys(err, "signal mask of criu");
    if (helper_caps_ambient(err) < 0 || helper_fds_place(l->fds, l->nfds, err) < 0)
        return -1;
    execve(l->criu, (char *const *)(uintptr_t)l->argv, (char *const *)(uintptr_t)l->envp);
    return err_sys(err, "cannot run %s", l->criu);
}

static void launcher(const struct launch *l)
{
    struct err err = {""};

    (void)launch(l, &err);
    /* "Error (" makes criurun_explain take it for what it is. */
    if (dprintf(l->log, "Error (launcher): %s\n", err.text) < 0)
        dprintf(2, "Error (launcher): %s\n", err.text);
    _exit(127);
}

static int make_argv(const struct criurun_opts *o, const char **argv, size_t room,
                     char plugins[PATH_MAX], struct err *err)
{
    const char *first[] = {"criu", o->args[0], "--no-default-config", "--unprivileged", "--stream",
                           "-D", "/", "-W", "/",
                           /* else criu loads every plugin that the system has */
                           "-L", plugins, "-v2"};
    size_t n = 0;
    int rc = snprintf(plugins, PATH_MAX, "%s/criu-plugins", o->helper_dir);

    if (rc < 0 || rc >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return err_set(err, "helper directory: name too long");
    }
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        argv[n++] = first[i];
    for (size_t i = 1; o->args[i]; i++) {
        if (n + 1 >= room) {
            errno = E2BIG;
            return err_set(err, "too many arguments for criu");
        }
        argv[n++] = o->args[i];
    }
    argv[n] = NULL;
    return 0;
}

/* criu loads whatever is in there: the way to one file of it shows who may put files there. */
static int check_plugins(const char *plugins, struct err *err)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/ckpt-criu.so", plugins);
    return helper_path_trusted(path, "criu's plugins", err);
}

static struct criurun *run_new(struct err *err)
{
    struct criurun *r = calloc(1, sizeof *r);

    if (!r) {
        err_sys(err, "criu");
        return NULL;
    }
    r->pid = -1;
    r->pidfd = r->go = r->out = r->log = r->stream = -1;
    r->out_text.max = STDOUT_MAX;
    r->log_text.max = CRIURUN_LOG_MAX;
    r->out_text.buf = calloc(1, STDOUT_MAX + 1);
    r->log_text.buf = calloc(1, CRIURUN_LOG_MAX + 1);
    if (!r->out_text.buf || !r->log_text.buf) {
        err_sys(err, "criu");
        criurun_destroy(r);
        return NULL;
    }
    return r;
}

/* Pipes for the child's word, output and log, and the stream: our ends to *r, criu's to *l. */
static int make_channels(struct criurun *r, struct launch *l, struct err *err)
{
    int go[2], out[2], log[2], stream[2];

    /* A socket, because send() can be told not to raise SIGPIPE. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
        return err_sys(err, "socketpair");
    l->go = go[0];
    r->go = go[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    r->out = out[0];
    l->out = out[1];
    if (pipe2(log, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    r->log = log[0];
    l->log = log[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0)
        return err_sys(err, "socketpair");
    r->stream = stream[0];
    l->fds[0] = stream[1];
    /* Only our ends: O_NONBLOCK on criu's would make it lose log lines. */
    if (fcntl(r->out, F_SETFL, O_NONBLOCK) < 0 || fcntl(r->log, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(err, "O_NONBLOCK");
    return 0;
}

static int start_launcher(struct criurun *r, struct launch *l, struct err *err)
{
    r->pid = fork();
    if (r->pid < 0)
        return err_sys(err, "fork");
    if (r->pid == 0) {
        io_close(&r->go);
        io_close(&r->out);
        io_close(&r->log);
        io_close(&r->stream);
        launcher(l);
    }
    r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    if (r->pidfd < 0)
        return err_sys(err, "pidfd_open");
    return 0;
}

struct criurun *criurun_prepare(const struct criurun_opts *opts, struct err *err)
{
    struct launch l = {.criu = opts->criu, .nfds = 1, .go = -1, .out = -1, .log = -1, .fds = {-1}};
    const char *argv[CRIURUN_ARGS_MAX];
    char plugins[PATH_MAX], shim[PATH_MAX], preload[PATH_MAX + 16];
    const char *envp[ENV_MAX + 1] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                                     "CKPT_STREAM_FD=" STREAM_NAME, preload};
    size_t nenv = 4;
    struct criurun *r;
    int rc;

    if (opts->nfds < 0 || opts->nfds > CRIURUN_FDS_MAX || !opts->args[0]) {
        errno = EINVAL;
        err_set(err, "bad arguments for criu");
        return NULL;
    }
    rc = snprintf(shim, sizeof shim, "%s/criu-shim.so", opts->helper_dir);
    if (rc < 0 || (size_t)rc >= sizeof shim || strpbrk(shim, " :")) {
        errno = EINVAL; /* LD_PRELOAD is a list */
        err_set(err, "helper directory %s: too long, or a space or colon in it", opts->helper_dir);
        return NULL;
    }
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim);
    if (!strcmp(opts->args[0], "dump")) {
        envp[nenv++] = "CKPT_OOM=1"; /* see criu-shim.c */
        if (opts->drain)
            envp[nenv++] = "CKPT_DRAIN_FD=" DRAIN_NAME; /* see criu-plugin.c */
        if (opts->snapshot)
            envp[nenv++] = "CKPT_SNAPSHOT_FD=" SNAPSHOT_NAME;
        l.own_group = true;
    }
    if (helper_path_trusted(opts->criu, "criu", err) < 0 ||
        helper_path_trusted(shim, "helper directory", err) < 0 ||
        make_argv(opts, argv, CRIURUN_ARGS_MAX, plugins, err) < 0 ||
        check_plugins(plugins, err) < 0)
        return NULL;
    for (int i = 0; i < opts->nfds; i++)
        l.fds[l.nfds++] = opts->fds[i];
    l.argv = argv;
    l.envp = envp;
    r = run_new(err);
    if (!r)
        return NULL;
    r->own_group = l.own_group;
    rc = make_channels(r, &l, err);
    if (rc == 0)
        rc = start_launcher(r, &l, err);
    io_close(&l.go);
    io_close(&l.out);
    io_close(&l.log);
    io_close(&l.fds[0]);
    if (rc < 0) {
        criurun_destroy(r);
        return NULL;
    }
    return r;
}

int criurun_stream(const struct criurun *run)
{
    return run->stream;
}

int criurun_take_stream(struct criurun *run)
{
    int fd = run->stream;

    run->stream = -1;
    return fd;
}

int criurun_go(struct criurun *run, uint32_t last_pid, struct err *err)
{
    struct go go = {GO_MAGIC, last_pid};
    int rc = send(run->go, &go, sizeof go, MSG_NOSIGNAL) == (ssize_t)sizeof go ? 0 : -1;

    if (rc < 0)
        err_sys(err, "criu's launcher is gone");
    io_close(&run->go);
    return rc;
}

void criurun_pollfds(const struct criurun *run, struct pollfd fds[CRIURUN_NFDS])
{
    fds[0] = (struct pollfd){.fd = run->out, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = run->log, .events = POLLIN};
    fds[2] = (struct pollfd){.fd = run->ended ? -1 : run->pidfd, .events = POLLIN};
}

pid_t criurun_pid(const struct criurun *run)
{
    return run->pid;
}

int criurun_pump(struct criurun *run)
{
    if (!run->ended && waitpid(run->pid, &run->status, WNOHANG) == run->pid) {
        run->ended = true;
        /* Killed, it leaves its own children behind, stopped and with our pipes open. */
        if (run->own_group && WIFSIGNALED(run->status))
            (void)kill(-run->pid, SIGKILL);
    }
    /* After the check: what was written before the end is read, without waiting for processes that
     * may have inherited the pipes. */
    text_read(&run->out_text, &run->out);
    text_read(&run->log_text, &run->log);
    return run->ended;
}

static int64_t now_ms(void)
{
    return runclock_ms();
}

int criurun_wait(struct criurun *run, int ms)
{
    int64_t end = now_ms() + ms;

    while (!criurun_pump(run)) {
        struct pollfd fds[CRIURUN_NFDS];
        int64_t left = end - now_ms();

        if (left <= 0)
            return 0;
        criurun_pollfds(run, fds);
        (void)poll(fds, CRIURUN_NFDS, runclock_wait(end));
    }
    return 1;
}

void criurun_kill(struct criurun *run)
{
    if (!run->ended && run->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
}

int criurun_exit_status(const struct criurun *run)
{
    return run->status;
}

bool criurun_killed(const struct criurun *run)
{
    return run->ended && WIFSIGNALED(run->status);
}

bool criurun_ended_well(const struct criurun *run)
{
    return run->ended && run->status == 0;
}

const char *criurun_log(const struct criurun *run, size_t *len)
{
    if (len)
        *len = run->log_text.len;
    return run->log_text.buf;
}

const char *criurun_stdout(const struct criurun *run)
{
    return run->out_text.buf;
}

void criurun_destroy(struct criurun *run)
{
    int saved = errno;

    if (!run)
        return;
    io_close(&run->go);
    io_close(&run->stream);
    if (run->pid > 0 && !run->ended) {
        /* Not let go yet it leaves by itself; a running one was given its time by the caller. */
        if (!criurun_wait(run, 200)) {
            criurun_kill(run);
            (void)criurun_wait(run, 2000);
        }
    }
    io_close(&run->out);
    io_close(&run->log);
    io_close(&run->pidfd);
    free(run->out_text.buf);
    free(run->log_text.buf);
    free(run);
    errno = saved;
}
