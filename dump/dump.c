/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * dump - libexec helper: one checkpoint of one tree into one new generation.
 *
 * Started by the keeper with CAP_CHECKPOINT_RESTORE ambient and the descriptors of proto.h.  What holds the capability
 * afterwards is the launcher that becomes criu; this process gives it up before it opens the user's directory,
 * takes in a byte from CRIU or starts a thread.
 */
#include "common/criurun.h"
#include "common/facts.h"
#include "common/helper.h"
#include "common/io.h"
#include "common/proto.h"
#include "dump/before.h"
#include "dump/capture.h"
#include "dump/files.h"
#include "dump/generation.h"
#include "dump/images.h"
#include "dump/pack.h"
#include "dump/priority.h"
#include "dump/snapshot_policy.h"
#include "dump/snapshot_store.h"
#include "dump/target.h"
#include "dump/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config.h"

#define REQUEST_MS 5000 /* the keeper writes the request before it starts us */
/* Beyond the time limit: criu may take CAPTURE_GRACE_MS to let the tree go; the keeper waits 30 s. */
#define WATCHDOG_MS (CAPTURE_GRACE_MS + 5000)
#define FILES_SLOW_MS 2000
#define FREEZE_S "60" /* CRIU's limit for stopping all threads: one may sit in an NFS call */

struct dump {
    struct facts facts;
    struct proto_request request;
    struct proto_reply reply;
    pid_t pid;
    int64_t start, deadline;
    int signals, drain;
    const char *doing; /* for the watchdog */
    struct criurun_version criu_version;
    struct criurun *run;
    struct images *images;
    struct pack *pack;
    struct snapshot *snapshot;
    struct snapshot_policy *policy;
    struct snapshot_store *store;
    struct snapshot_store_opts store_opts;
    struct files *files;
    uint32_t held_ms; /* because memory was short */
    uint64_t own;     /* bytes that we will come to use */
    struct generation gen;
    struct manifest_process *processes;
    uint32_t *states;
    size_t nprocesses;
    bool log;       /* CRIU's log tells something */
    bool stopped;   /* the tree stands still until somebody sends SIGCONT */
    bool committed; /* the generation counts */
};

/* When memory runs out, the kernel is to take us and not the job.  Only possible before
 * PR_SET_DUMPABLE 0 makes the file root's. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        errno = 0; /* only a preference */
    io_close(&fd);
}

static int read_request(struct proto_request *r, struct err *err)
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

/* Blocked, they neither kill us where the tree would stay behind nor interrupt a write.  SIGXFSZ becomes
 * EFBIG, SIGPIPE EPIPE. */
static int catch_signals(struct dump *d, struct err *err)
{
    sigset_t wanted, blocked;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    blocked = wanted;
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGTSTP);
    sigaddset(&blocked, SIGCONT);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) < 0)
        return err_sys(err, "sigprocmask");
    d->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return d->signals < 0 ? err_sys(err, "signalfd") : 0;
}

/* All that is done while holding the capability.  Nothing of the user's is read but /proc. */
static int privileged_part(struct dump *d, struct err *err)
{
    if (helper_caps_hold(err) < 0 || facts_load(HELPER_FD_FACTS, true, &d->facts, err) < 0)
        return err_prefix(err, "dump");
    if (check_self(&d->facts, err) < 0 ||
        target_check(HELPER_FD_PIDFD, &d->facts, &d->pid, err) < 0)
        return -1;
    return prepare_criu(d, err);
}

static void send_reply(const struct proto_reply *reply)
{
    (void)io_write_full(HELPER_FD_RESULT, reply, sizeof *reply);
}

/* Nobody else knows that the tree was left stopped for a checkpoint that then did not come about. */
static void continue_tree(struct dump *d)
{
    struct target_process *list;

    if (!d->stopped)
        return;
    d->stopped = false;
    list = calloc(d->nprocesses + 1, sizeof *list);
    if (list && d->nprocesses > 0) {
        for (size_t i = 0; i < d->nprocesses; i++) {
            list[i].pid = (pid_t)d->processes[i].pid;
            list[i].ppid = (pid_t)d->processes[i].ppid;
            list[i].skip = d->states[i] == IMAGES_STOPPED;
        }
        (void)target_continue(list, d->nprocesses);
    } else {
        (void)target_continue_tree(d->pid);
    }
    free(list);
}

/* Watchdog's thread; the main one is stuck in the kernel. */
static void give_up(void *arg)
{
    struct dump *d = arg;

    if (d->committed) {
        snprintf(d->reply.text, sizeof d->reply.text,
                 "older generations could not be removed: the file system does not answer");
    } else if (!d->reply.error) {
        continue_tree(d);
        proto_reply_fail(&d->reply, ETIMEDOUT,
                         "time limit reached while %s: does the file system of %.300s answer?",
                         d->doing, d->facts.dir);
    }
    send_reply(&d->reply);
    _exit(0);
}

static uint32_t stat_us(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    unsigned long v = at ? strtoul(at + strlen(key), NULL, 10) : 0;

    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static uint32_t elapsed_ms(const struct dump *d)
{
    int64_t ms = capture_now_ms() - d->start;

    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static int prepare_files(struct dump *d, struct err *err)
{
    const struct files_opts opts = {.facts = &d->facts,
                                    .images = d->images,
                                    .pack = d->pack,
                                    .taskfd = d->gen.taskfd,
                                    .dirfd = d->gen.dirfd,
                                    .cancel_fd = d->signals,
                                    .deadline = d->deadline};

    d->files = files_create(&opts);
    return d->files ? 0 : err_sys(err, "files");
}

static int begin(struct dump *d, struct err *err)
{
    struct before before;

    d->doing = "looking at the job";
    if (before_look(d->pid, &d->facts, d->request.flags & PROTO_F_STOP, &before, err) < 0)
        return -1;
    d->doing = "opening the checkpoint directory";
    if (generation_begin(&d->gen, &d->facts, target_memory(d->pid), err) < 0)
        return -1;
    snprintf(d->reply.generation, sizeof d->reply.generation, "%.31s", d->gen.name);
    d->images = images_create();
    if (!d->images)
        return err_sys(err, "images");
    d->pack = pack_create_sized(d->gen.pagesfd, before.threads, before.frame_bytes,
                                d->facts.compress, d->facts.compress_level, d->facts.max_size, err);
    if (!d->pack)
        return -1;
    d->own =
        pack_memory(before.threads, before.frame_bytes, d->facts.compress, d->facts.compress_level);
    pack_direct(d->pack, d->gen.directfd, d->gen.reserve);
    return prepare_files(d, err);
}

/* From here on the tree stands still until CRIU has ended. */
static int capture(struct dump *d, struct err *err)
{
    struct capture_opts opts = {.run = d->run,
                                .images = d->images,
                                .pack = d->pack,
                                .snapshot = d->snapshot,
                                .drain_fd = d->drain,
                                .root = d->pid,
                                .cancel_fd = d->signals,
                                .result_fd = HELPER_FD_RESULT,
                                .deadline = d->deadline,
                                .frozen = files_frozen,
                                .frozen_arg = d->files};
    int rc;

    d->doing = "taking the checkpoint";
    if (!target_alive(HELPER_FD_PIDFD)) {
        errno = ESRCH;
        return err_set(err, "process %d has ended meanwhile", d->pid);
    }
    d->policy = snapshot_policy_apply(d->snapshot, &d->facts, d->pid, d->own,
                                      (d->request.flags & PROTO_F_STOP) != 0,
                                      (d->request.flags & PROTO_F_PLAIN) != 0, err);
    if (!d->policy)
        return -1;
    d->log = true;
    if (criurun_go(d->run, 0, err) < 0)
        return -1;
    rc = capture_run(&opts, err);
    /* Also when we failed after CRIU had done its part: then it has left the tree stopped. */
    d->stopped = (d->request.flags & PROTO_F_STOP) && criurun_ended_well(d->run);
    if (rc < 0)
        return -1;
    d->log = false;
    if (snapshot_count(d->snapshot) > 0)
        priority_lower(false);
    else if (d->facts.compress != COMPRESS_NONE)
        priority_lower(true);
    if (images_processes(d->images, &d->processes, &d->nprocesses, &d->states, err) < 0)
        return -1;
    if (d->processes[0].pid != (uint32_t)d->pid) {
        errno = ESRCH;
        return err_set(err, "CRIU dumped process %u, not %d", d->processes[0].pid, d->pid);
    }
    return 0;
}

/* What CRIU left out, while the job runs on. */
static int store_snapshot(struct dump *d, struct err *err)
{
    if (snapshot_count(d->snapshot) == 0)
        return 0;
    d->store_opts = (struct snapshot_store_opts){.snapshot = d->snapshot,
                                                 .images = d->images,
                                                 .pack = d->pack,
                                                 .cancel_fd = d->signals,
                                                 .result_fd = HELPER_FD_RESULT,
                                                 .deadline = d->deadline,
                                                 .watch = snapshot_policy_watch,
                                                 .watch_arg = d->policy};
    d->store = snapshot_store_create(&d->store_opts, err);
    if (!d->store || snapshot_store_run(d->store, err) < 0 ||
        snapshot_store_prove(d->store, err) < 0)
        return -1;
    snapshot_end(d->snapshot);
    d->held_ms = snapshot_policy_release(d->policy);
    snapshot_note_held(d->snapshot, d->held_ms);
    return 0;
}

static int cancelled(const struct dump *d, struct err *err)
{
    struct pollfd p = {.fd = d->signals, .events = POLLIN};

    if (poll(&p, 1, 0) <= 0)
        return 0;
    errno = ECANCELED;
    return err_set(err, "cancelled");
}

/* scontrol suspend sends SIGTSTP to every process of the job, us included, and two seconds later stops them all; then
 * SIGCONT.  What CRIU has seen of the tree may have stopped already, or be about to. */
static bool suspended(const struct dump *d)
{
    sigset_t pending;

    if (sigpending(&pending) == 0 &&
        (sigismember(&pending, SIGTSTP) == 1 || sigismember(&pending, SIGCONT) == 1))
        return true;
    for (size_t i = 0; i < d->nprocesses; i++)
        if (d->states[i] == IMAGES_ALIVE)
            return false;
    return true; /* where nothing runs, nothing would ever wake up */
}

/* What was left out; else what copying cost, when it made the pause long. */
static void tell_files(struct dump *d)
{
    const uint32_t ms = files_pause_ms(d->files);

    if (*files_warning(d->files))
        snprintf(d->reply.text, sizeof d->reply.text, "%s", files_warning(d->files));
    else if (ms >= FILES_SLOW_MS)
        snprintf(d->reply.text, sizeof d->reply.text,
                 "%.1f s of the pause went into copying %.1f MiB of files (see files-limit in "
                 "spank-checkpoint(8))",
                 ms / 1000.0, (double)files_bytes(d->files) / 1048576.0);
}

static int store(struct dump *d, struct err *err)
{
    const char *stats = criurun_stdout(d->run);
    char version[32];
    struct generation_info info = {.reason = d->request.reason,
                                   .criu_version = version,
                                   .freeze_us = stat_us(stats, "Freezing time: "),
                                   .processes = d->processes,
                                   .nprocesses = d->nprocesses};

    criurun_version_tell(&d->criu_version, version, sizeof version);
    info.pause_us = info.freeze_us + stat_us(stats, "Frozen time: ");
    d->doing = "writing the checkpoint";
    if (files_finish(d->files, err) < 0)
        return -1;
    if (store_snapshot(d, err) < 0 || pack_finish(d->pack, d->deadline, err) < 0)
        return -1;
    info.snapshot = snapshot_how(d->snapshot);
    info.pause_us += d->held_ms * 1000;
    info.total_ms = elapsed_ms(d);
    info.suspended = suspended(d);
    if (generation_write(&d->gen, &d->facts, d->images, d->pack, &info, &d->reply.raw_bytes,
                         &d->reply.stored_bytes, err) < 0 ||
        cancelled(d, err) < 0 || generation_commit(&d->gen, err) < 0)
        return -1;
    d->reply.pause_us = info.pause_us;
    d->reply.processes = (uint32_t)d->nprocesses;
    d->reply.total_ms = elapsed_ms(d);
    d->committed = true;
    d->doing = "removing older generations";
    if (generation_prune(&d->gen, &d->facts, err) < 0)
        snprintf(d->reply.text, sizeof d->reply.text, "%s", err->text);
    else
        tell_files(d);
    return 0;
}

static int unprivileged_part(struct dump *d, struct err *err)
{
    if (catch_signals(d, err) < 0)
        return -1;
    criurun_version_ask(d->facts.criu, &d->criu_version);
    d->deadline = d->start + (int64_t)d->facts.dump_timeout * 1000;
    if (watchdog_start(d->deadline + WATCHDOG_MS, give_up, d, err) < 0)
        return -1;
    if (begin(d, err) < 0 || capture(d, err) < 0 || store(d, err) < 0)
        return -1;
    return 0;
}

/* Of the last failure only: a job may run for months. */
static void save_log(const struct dump *d)
{
    (void)criurun_save_log(d->run, d->gen.taskfd, "dump.log", NULL);
}

static void run(struct dump *d, struct err *err)
{
    int rc;

    proto_reply_init(&d->reply, &d->request);
    rc = privileged_part(d, err);
    /* On every path, and before anything of the user's is touched. */
    if (helper_caps_drop(err) < 0)
        rc = -1;
    if (rc == 0)
        rc = unprivileged_part(d, err);
    if (d->snapshot && snapshot_count(d->snapshot) > 0)
        d->reply.flags |= PROTO_R_SNAPSHOT;
    /* The job's memory is its own again. */
    snapshot_end(d->snapshot);
    (void)snapshot_policy_release(d->policy);
    if (rc < 0) {
        /* First the answer and the tree: what follows may hang with the file system, and then it
         * is the watchdog that sends it. */
        proto_reply_fail(&d->reply, errno, "%s", err->text);
        continue_tree(d);
    }
    if (d->log)
        save_log(d);
    /* A thread that hangs in the kernel keeps what it uses. */
    if (pack_destroy(d->pack)) {
        snapshot_store_destroy(d->store);
        snapshot_destroy(d->snapshot);
    }
    snapshot_policy_destroy(d->policy);
    files_destroy(d->files);
    generation_end(&d->gen);
    criurun_destroy(d->run);
    watchdog_stop();
}

int main(int argc, char **argv)
{
    static struct dump d; /* the watchdog's thread uses it to the end */
    struct err err = {""};

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("dump (" PACKAGE_NAME ") " PACKAGE_VERSION);
        return 0;
    }
    offer_to_oom_killer();
    if (helper_sanitize(HELPER_FD_PIDFD, &err) < 0) {
        fprintf(stderr, "dump: %s\n", err.text);
        return 1;
    }
    if (argc != 1) {
        fputs("dump: takes no arguments; it is started by the keeper\n", stderr);
        return 1;
    }
    d.start = capture_now_ms();
    d.signals = d.drain = -1;
    generation_init(&d.gen);
    /* Before anything else that can fail, so that there is somebody to answer to. */
    if (read_request(&d.request, &err) < 0) {
        fprintf(stderr, "dump: %s\n", err.text);
        return 1;
    }
    run(&d, &err);
    send_reply(&d.reply);
    return 0;
}
