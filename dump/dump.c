/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * dump - libexec helper: one checkpoint of one tree into one new generation.
 *
 * Started by the keeper with CAP_CHECKPOINT_RESTORE ambient and the descriptors of proto.h.  What holds the capability
 * afterwards is the launcher that becomes criu; this process gives it up before it opens the user's directory,
 * takes in a byte from CRIU or starts a thread.
 */
#include "dump/dump.h"

#include "common/helper.h"
#include "common/io.h"
#include "dump/capture.h"
#include "dump/target.h"
#include "dump/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.h"

/* Beyond the time limit: criu may take CAPTURE_GRACE_MS to let the tree go; the keeper waits 30 s. */
#define WATCHDOG_MS (CAPTURE_GRACE_MS + 5000)

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
    d->wanted.cancel_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return d->wanted.cancel_fd < 0 ? err_sys(err, "signalfd") : 0;
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

/* The SIGCONT that ends a scontrol suspend is of no use to a process that CRIU holds at that moment: it would stand
 * still for ever after.  That there was one our own tells, which is blocked. */
static void wake_resumed(const struct dump *d)
{
    sigset_t pending;

    if (d->pid > 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGCONT) == 1)
        (void)target_continue_tree(d->pid);
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

static int unprivileged_part(struct dump *d, struct err *err)
{
    if (catch_signals(d, err) < 0)
        return -1;
    criurun_version_ask(d->facts.criu, &d->criu_version);
    d->wanted.deadline = d->start + (int64_t)d->facts.dump_timeout * 1000;
    if (watchdog_start(d->wanted.deadline + WATCHDOG_MS, give_up, d, err) < 0)
        return -1;
    if (criurun_go(d->run, 0, err) < 0)
        return -1;
    if (dump_begin(d, err) == 0 && dump_capture(d, err) == 0 && dump_store(d, err) == 0)
        return 0;
    /* Nothing else is written; but much is looked at that may be closed to us (EACCES). */
    return errno == EACCES ? -1 : err_dir(err, d->facts.dir);
}

/* Of the last failure only: a job may run for months. */
static void save_log(const struct dump *d)
{
    (void)criurun_save_log(d->run, d->gen.taskfd, "dump.log", NULL);
}

/* One that is too old fails in some way of its own: then that is the reason. */
static void blame_version(struct dump *d, struct err *err)
{
    struct err old = {""};
    char version[32];

    if (d->criu_version.pid <= 0)
        return;
    criurun_version_tell(&d->criu_version, version, sizeof version);
    if (strcmp(version, "unknown") != 0 && criurun_version_check(d->facts.criu, version, &old) < 0)
        err_prefix(err, "%s", old.text);
}

static void run(struct dump *d, struct err *err)
{
    int rc;

    proto_reply_init(&d->reply, &d->request);
    rc = dump_prepare(d, err);
    /* On every path, and before anything of the user's is touched. */
    if (helper_caps_drop(err) < 0)
        rc = -1;
    if (rc == 0)
        rc = unprivileged_part(d, err);
    if (d->snapshot && snapshot_count(d->snapshot) > 0)
        d->reply.flags |= PROTO_R_SNAPSHOT;
    if (d->lost)
        d->reply.flags |= PROTO_R_LOST;
    /* The job's memory is its own again. */
    snapshot_end(d->snapshot);
    (void)snapshot_policy_release(d->policy);
    if (rc < 0) {
        const int error = errno;

        /* First the tree and the answer: what follows may hang with the file system, and then it
         * is the watchdog that sends it. */
        continue_tree(d);
        blame_version(d, err);
        proto_reply_fail(&d->reply, error, "%s", err->text);
    }
    if (rc < 0 || !(d->request.flags & PROTO_F_STOP))
        wake_resumed(d);
    if (d->log)
        save_log(d);
    /* A thread that hangs in the kernel keeps what it uses. */
    if (pack_destroy(d->pack)) {
        snapshot_store_destroy(d->store);
        snapshot_destroy(d->snapshot);
        base_close(d->base);
    }
    snapshot_policy_destroy(d->policy);
    files_destroy(d->files);
    generation_end(&d->gen);
    io_close(&d->drain);
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
    d.wanted = (struct wanted){.cancel_fd = -1, .result_fd = HELPER_FD_RESULT};
    d.drain = -1;
    generation_init(&d.gen);
    /* Before anything else that can fail, so that there is somebody to answer to. */
    if (dump_read_request(&d.request, &err) < 0) {
        fprintf(stderr, "dump: %s\n", err.text);
        return 1;
    }
    run(&d, &err);
    send_reply(&d.reply);
    return 0;
}
