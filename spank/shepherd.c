/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/shepherd.h"

#include "common/io.h"
#include "common/runclock.h"
#include "spank/launch_env.h"
#include "spank/srun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"

#define LOOK_MS 300
#define FENCE_FIRST_S 30
/* How often to look whether the steps of a script that was stopped have ended. */
#define STOPPING_MS 200
/* For a keeper to end, which waits for the last process of its namespace. */
#define PART_MS 5000

void shepherd_say(const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_clean(text);
    dprintf(STDERR_FILENO, "checkpoint: %s\n", text);
}

void shepherd_forward(struct shepherd *s, int sig)
{
    if (s->rootfd >= 0)
        syscall(SYS_pidfd_send_signal, s->rootfd, sig, NULL, 0);
    else if (s->root > 0)
        kill(s->root, sig);
}

/* ckpt-init, the root, does it (LAUNCH_GROUP_SIGNAL). */
static void forward_group(struct shepherd *s, int sig)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    info.si_signo = sig;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = LAUNCH_GROUP_SIGNAL;
    if (s->rootfd < 0 || syscall(SYS_pidfd_send_signal, s->rootfd, sig, &info, 0) < 0)
        shepherd_forward(s, sig);
}

void shepherd_pass(struct shepherd *s, int sig)
{
    /* What suspends a job must not come later than what wakes it. */
    if (sig == SIGCONT || sig == SIGTSTP || !witness_ask(&s->witness, sig))
        shepherd_forward(s, sig);
}

static void on_witness(struct shepherd *s)
{
    bool group;
    int sig;

    while (witness_answer(&s->witness, &sig, &group))
        if (group)
            forward_group(s, sig);
        else
            shepherd_forward(s, sig);
}

static void ended(struct shepherd *s, int status)
{
    s->ended = true;
    s->status = status;
}

static void reap(struct shepherd *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->root)
            ended(s, status);
        else if (pid == s->witness.pid)
            s->witness.pid = 0;
        else
            shepherd_hooks_reaped(s, pid, status);
}

static void on_signal(struct shepherd *s, int sig)
{
    switch (sig) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGURG:
        shepherd_bell(s);
        break;
    case SIGTERM:
        s->termed = true;
        shepherd_terminate(s);
        break;
    default:
        shepherd_pass(s, sig);
        break;
    }
}

static void on_signals(struct shepherd *s)
{
    struct signalfd_siginfo si;

    while (!s->ended && read(s->signals, &si, sizeof si) == (ssize_t)sizeof si)
        on_signal(s, (int)si.ssi_signo);
}

static void on_timer(struct shepherd *s)
{
    uint64_t n;

    if (read(s->timer, &n, sizeof n) == (ssize_t)sizeof n && !s->dumping)
        shepherd_interval(s);
}

/* Under host isolation a restored root comes to us, its next subreaper; a private one is gone with
 * the init of its namespace. */
static void keeper_gone(struct shepherd *s)
{
    struct proto_reply none;
    struct proto_request r;

    shepherd_say("the keeper has ended: nothing more can be checkpointed");
    if (s->facts.isolation == ISOLATION_PRIVATE)
        ended(s, SIGKILL);
    else if (s->root == 0)
        s->root = s->restored_pid;
    if (!s->dumping || s->hooks.running)
        return;
    shepherd_request_init(s, &r, PROTO_DUMP, "");
    proto_reply_init(&none, &r);
    proto_reply_fail(&none, EPIPE, "the keeper has ended");
    shepherd_dump_done(s, &none);
    reap(s);
}

static void on_keeper(struct shepherd *s)
{
    struct proto_reply r;
    int fd = -1;

    if (!shepherd_receive(s, &r, &fd)) {
        keeper_gone(s);
        return;
    }
    io_close(&fd);
    if (r.verb == PROTO_EXITED)
        ended(s, r.status);
    else if (r.verb == PROTO_DUMP && s->dumping && r.id == s->dump_id)
        shepherd_dump_done(s, &r);
}

/* Slurm delivers no signals, so no ring either, to a job that it ends. */
static bool waits_for_enable(const struct shepherd *s)
{
    return s->final != FINAL_NONE && s->disabled > 0 && !s->dumping;
}

static int timeout_ms(const struct shepherd *s)
{
    int64_t left;

    if (s->hooks.running)
        return runclock_wait(s->hooks.hook.deadline_ms);
    if (s->retry_ms) {
        left = s->retry_ms - shepherd_now_ms();
        return left > RUNCLOCK_TICK_MS ? RUNCLOCK_TICK_MS : left > 0 ? (int)left : 0;
    }
    if (s->stopping || waits_for_enable(s))
        return s->stopping ? STOPPING_MS : LOOK_MS;
    left = (s->fence_s - shepherd_now_s()) * 1000;
    if (s->due_ms && left > RUNCLOCK_TICK_MS)
        left = RUNCLOCK_TICK_MS;
    return left > 0 ? (int)left : 0;
}

static void loop(struct shepherd *s)
{
    s->fence_s = shepherd_now_s() + FENCE_FIRST_S +
                 getpid() % FENCE_FIRST_S; /* not all tasks of a step at once */
    shepherd_timer_arm(s);
    shepherd_limit_arm(s);
    if (s->restored) {
        s->dumping = true;
        s->dumping = shepherd_hooks_begin(s, HOOK_RESTORED) && s->dumping;
    }
    /* What was put before we listened; a restored tree may have put it itself. */
    shepherd_requests(s);
    while (!s->ended) {
        const int hook = s->hooks.running ? s->hooks.hook.out : -1;
        struct pollfd p[6 + RELAY_NFDS] = {
            {.fd = s->signals, .events = POLLIN}, {.fd = s->timer, .events = POLLIN},
            {.fd = s->keeper, .events = POLLIN},  {.fd = s->limit_timer, .events = POLLIN},
            {.fd = hook, .events = POLLIN},       {.fd = s->witness.sock, .events = POLLIN}};

        relay_pollfds(&s->relay, p + 6);
        int n = poll(p, 6 + RELAY_NFDS, timeout_ms(s));

        if (n < 0 && errno != EINTR)
            break;
        runclock_ms(); /* its tick */
        relay_pump(&s->relay);
        shepherd_hooks_look(s);
        if (s->retry_ms && shepherd_now_ms() >= s->retry_ms)
            shepherd_dump_again(s);
        else if (s->stopping)
            shepherd_script_stopping(s);
        else if (n == 0 && waits_for_enable(s))
            shepherd_requests(s);
        if (!s->ended && shepherd_now_s() >= s->fence_s)
            shepherd_fence_look(s);
        if (p[0].revents)
            on_signals(s);
        if (p[5].revents)
            on_witness(s);
        if (!s->ended && p[2].revents)
            on_keeper(s);
        if (!s->ended && p[1].revents)
            on_timer(s);
        if (!s->ended && p[3].revents)
            shepherd_limit_reached(s);
    }
    if (s->dumping && s->status != 0)
        shepherd_dump_ended(s);
}

/* Images go only when the job ended well and Slurm did not want it back: a job that is being
 * requeued may end with status 0 too (a trap on SIGTERM). */
static void clean_up(struct shepherd *s)
{
    enum slurmjob_state state = SLURMJOB_UNKNOWN;
    struct err err = {{0}};
    char how[64];

    if (!s->files || s->replayed || s->stale)
        return;
    if (s->step) {
        shepherd_step_end(s);
        return;
    }
    /* Under linuxproc the job may have ended of the SIGTERM before ours was read. */
    if (s->status == 0 || strcmp(s->facts.proctrack, "linuxproc") == 0)
        state = shepherd_ask_slurm(s, 10000);
    if (s->status == 0 && state == SLURMJOB_RUNNING) {
        if (shepherd_files_remove(s, &err) < 0)
            shepherd_say("checkpoints are left behind: %s", err.text);
        return;
    }
    if (state == SLURMJOB_REQUEUED)
        shepherd_none_last(s);
    if (WIFSIGNALED(s->status))
        snprintf(how, sizeof how, "by signal %d", WTERMSIG(s->status));
    else
        snprintf(how, sizeof how, "with status %d", WEXITSTATUS(s->status));
    shepherd_event(s, "ended", "", how, NULL);
}

/* slurmstepd removes the control groups of a task that has ended, and does not try it twice: a keeper that is ending at
 * that moment, its namespace with it, would keep them. */
static void part(struct shepherd *s)
{
    struct pollfd gone = {.fd = -1, .events = POLLIN};

    witness_end(&s->witness);
    if (s->dumping) /* a checkpoint that nobody wants any more; slurmstepd ends it */
        return;
    io_close(&s->keeper);
    /* It cannot end before this one is reaped, which is of its namespace. */
    if (s->root > 0)
        waitpid(s->root, NULL, WNOHANG);
    if (s->keeper_pid <= 0 || waitpid(s->keeper_pid, NULL, WNOHANG) != 0)
        return;
    gone.fd = (int)syscall(SYS_pidfd_open, s->keeper_pid, 0);
    if (gone.fd >= 0 && poll(&gone, 1, PART_MS) > 0)
        waitpid(s->keeper_pid, NULL, WNOHANG);
    io_close(&gone.fd);
}

/* End as the job ended: Slurm sees the same exit code or signal. */
static int leave(int status)
{
    struct rlimit none = {0, 0};
    sigset_t set;
    int sig;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    sig = WTERMSIG(status);
    setrlimit(RLIMIT_CORE, &none); /* the job's own core, if any, is enough */
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), sig);
    return 128 + sig;
}

static void take_program(struct shepherd *s)
{
    const char *program = getenv(LAUNCH_ENV_PROGRAM);

    if (program)
        s->argv[0] = strdup(program); /* Slurm older than 23.02.5: argv[0] is ours */
    else {
        s->argv++;
        s->argc--;
    }
    unsetenv(LAUNCH_ENV_PROGRAM);
    unsetenv(SRUN_KEY_ENV);
    unsetenv(SRUN_MULTI_ENV);
}

static int block_signals(struct shepherd *s, struct err *err)
{
    sigset_t all;

    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return err_sys(err, "sigprocmask");
    s->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? err_sys(err, "signalfd") : 0;
}

static int set_up(struct shepherd *s, struct err *err)
{
    const char *fds = getenv(LAUNCH_ENV_FDS);
    int facts_fd = -1;

    if (!fds || sscanf(fds, "%d,%d,%d", &s->keeper, &facts_fd, &s->keeper_pid) < 2) {
        errno = EINVAL;
        return err_set(err, "started by something else than checkpoint.so");
    }
    fcntl(s->keeper, F_SETFD, FD_CLOEXEC);
    fcntl(facts_fd, F_SETFD, FD_CLOEXEC);
    unsetenv(LAUNCH_ENV_FDS);
    unsetenv(SRUN_KEY_ENV);
    s->no_plugin = getenv(LAUNCH_ENV_OWN) != NULL;
    unsetenv(LAUNCH_ENV_OWN);
    if (s->argc < 1 || !s->argv[0]) {
        errno = EINVAL;
        return err_set(err, "no program to run");
    }
    if (facts_load(facts_fd, false, &s->facts, err) < 0)
        return -1;
    io_close(&facts_fd);
    if (block_signals(s, err) < 0)
        return -1;
    if (topo_get(0, &s->own) < 0)
        return err_sys(err, "sched_getaffinity");
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    s->limit_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->timer < 0 || s->limit_timer < 0)
        return err_sys(err, "timerfd");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_sys(err, "PR_SET_CHILD_SUBREAPER");
    return 0;
}

/* We may be the wrong version, or the directory be gone: the program still runs, as it would
 * without us. */
static int run_without(struct shepherd *s, const char *why)
{
    sigset_t none;

    shepherd_say("this job runs without checkpoints: %s", why);
    unsetenv(LAUNCH_ENV_FDS);
    unsetenv(LAUNCH_ENV_HOLD);
    unsetenv(LAUNCH_ENV_DIR);
    unsetenv(LAUNCH_ENV_TASK);
    if (s->argc < 1 || !s->argv[0])
        return 1;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(s->argv[0], s->argv);
    shepherd_say("%s: %s", s->argv[0], strerror(errno));
    return 127;
}

int main(int argc, char **argv)
{
    static struct shepherd s = {.keeper = -1,
                                .signals = -1,
                                .witness = WITNESS_NONE,
                                .timer = -1,
                                .limit_timer = -1,
                                .rootfd = -1};
    struct err err = {{0}};
    const char *hold;
    int rc;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("shepherd (" PACKAGE_NAME ") " PACKAGE_VERSION);
        return 0;
    }
    s.argv = argv;
    s.argc = argc;
    take_program(&s);
    hold = getenv(LAUNCH_ENV_HOLD);
    if (hold) {
        rc = block_signals(&s, &err) < 0 ? 1 : shepherd_hold_restart(&s, hold);
        if (rc)
            return rc > 128 ? leave(rc - 128) : rc;
        return run_without(&s, hold);
    }
    if (set_up(&s, &err) < 0)
        return run_without(&s, err.text);
    s.step = strcmp(s.facts.task, "batch") != 0;
    if (!s.step && witness_start(&s.witness, &err) < 0)
        shepherd_say("signals for the whole job reach the script only: %s", err.text);
    rc = shepherd_start(&s);
    if (rc > 0)
        part(&s);
    if (rc > 128)
        return leave(rc - 128);
    if (rc > 0)
        return rc;
    loop(&s);
    hook_kill(&s.hooks.hook);
    if (!relay_drain(&s.relay, DRAIN_MS))
        shepherd_say("the end of the output is lost: slurmstepd does not take it");
    clean_up(&s);
    part(&s);
    return leave(s.status);
}
