/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/launch_env.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void shepherd_request_init(struct shepherd *s, struct proto_request *r, enum proto_verb verb,
                           const char *reason)
{
    memset(r, 0, sizeof *r);
    r->magic = PROTO_MAGIC;
    r->version = PROTO_VERSION;
    r->verb = verb;
    r->id = ++s->next_id;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
}

int shepherd_send(struct shepherd *s, const struct proto_request *r, int fd, struct err *err)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {(void *)(uintptr_t)r, sizeof *r};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (s->keeper < 0) {
        errno = EPIPE;
        return err_set(err, "the keeper has ended");
    }
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
    if (sendmsg(s->keeper, &msg, MSG_NOSIGNAL) < 0)
        return err_sys(err, "the keeper does not answer");
    return 0;
}

int shepherd_receive(struct shepherd *s, struct proto_reply *reply, int *fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {reply, sizeof *reply};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf};
    struct cmsghdr *c;
    ssize_t n;

    *fd = -1;
    do
        n = recvmsg(s->keeper, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *reply || !proto_reply_ok(reply)) {
        io_close(&s->keeper);
        return 0;
    }
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return 1;
}

/* SIGTERM while a restore runs: the job is being cancelled or requeued once more; nothing runs yet
 * that could be lost. */
bool shepherd_terminated(struct shepherd *s)
{
    struct signalfd_siginfo si;

    while (read(s->signals, &si, sizeof si) == (ssize_t)sizeof si)
        if (si.ssi_signo == SIGTERM)
            return true;
    return false;
}

int shepherd_ask(struct shepherd *s, struct proto_request *r, int sendfd, struct proto_reply *reply,
                 int *fd, struct err *err)
{
    struct pollfd p[] = {{.fd = s->keeper, .events = POLLIN}, {.fd = s->signals, .events = POLLIN}};

    if (shepherd_send(s, r, sendfd, err) < 0)
        return -1;
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(err, "poll");
        if (p[1].revents && shepherd_terminated(s)) {
            struct proto_request cancel;

            shepherd_request_init(s, &cancel, PROTO_CANCEL, "");
            shepherd_send(s, &cancel, -1, NULL);
            errno = EINTR;
            return err_set(err, "the job is being ended");
        }
        if (!p[0].revents)
            continue;
        if (!shepherd_receive(s, reply, fd)) {
            errno = EPIPE;
            return err_set(err, "the keeper has ended");
        }
        if (reply->id == r->id)
            return 0;
        io_close(fd);
    }
}

int shepherd_wait_end(struct shepherd *s)
{
    for (int i = 0; i < 60 && !shepherd_terminated(s); i++)
        sleep(1);
    return 128 + SIGTERM;
}

#define HOLD_TRIES 4
#define HOLD_MOST_MS 3600000

struct hold_work {
    uint32_t job;
    const char *text;
};

static int hold_job(void *arg, void *result, struct err *err)
{
    const struct hold_work *w = arg;

    (void)result;
    slurmjob_note(w->job, w->text, NULL); /* best effort: the reason is in stderr and events too */
    return slurmjob_requeue(w->job, SLURMJOB_SPECIAL, err);
}

/* Someone must look: the work that is saved is kept, and the job neither starts over nor burns its
 * restarts. */
static int hold(struct shepherd *s, const char *why)
{
    char text[400];
    const int64_t end = shepherd_now_ms() + HOLD_MOST_MS;
    struct hold_work w = {s->facts.job, text};
    struct err err = {{0}};
    int rc = -1, refused = 0;

    snprintf(text, sizeof text, "%.300s; held: scontrol release %u tries again", why, s->facts.job);
    shepherd_say("%.350s", text);
    shepherd_event(s, "held", "", why, NULL);
    /* To end now would be to fail: while slurmctld does not answer it is asked again and again. */
    for (int i = 0; rc < 0 && shepherd_now_ms() < end; i++) {
        if (i > 0)
            sleep(2);
        if (shepherd_terminated(s))
            return 128 + SIGTERM;
        rc = clerk_run(hold_job, &w, NULL, 0, 20000, &err);
        /* Without its init a pid namespace lets nobody fork; nothing of the job's is left that could wait. */
        if (rc < 0 && i >= HOLD_TRIES)
            rc = hold_job(&w, NULL, &err);
        if (rc < 0 && i >= HOLD_TRIES && errno != EAGAIN && ++refused > 1)
            break;
        if (rc < 0 && i == HOLD_TRIES && errno == EAGAIN)
            shepherd_say("slurmctld does not answer: the job is held when it does");
    }
    if (rc < 0) {
        shepherd_say("cannot hold the job: %s", err.text);
        return 1;
    }
    return shepherd_wait_end(s);
}

int shepherd_hold(struct shepherd *s, const char *why)
{
    return hold(s, why);
}

/* "gen-0000-000001: what happened": which one it was is said already. */
static void strip_prefix(char *text, const char *generation)
{
    size_t len = strlen(generation);

    if (len > 0 && strncmp(text, generation, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        memmove(text, text + len + 2, strlen(text + len + 2) + 1);
}

/* The script's steps must be put back to where they were before its tree runs: so the generation is chosen here.
 * 0, or why not: ENOENT none is left (the helper says so too), EXDEV: the script is to be started once more. */
static int choose(struct shepherd *s, const char *before, struct proto_request *r, struct err *err)
{
    char generation[40] = "";

    if (shepherd_script_rewind(s, before, generation, err) == 0) {
        snprintf(r->generation, sizeof r->generation, "%.31s", generation);
        r->flags |= PROTO_F_EXACT;
        return 0;
    }
    return errno ? errno : EIO;
}

static int load_alone(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;

    return slurmjob_output_alone(f->job, f->uid, result, err);
}

/* May its output be cut back to where the checkpoint was made?  In doubt not. */
static bool output_alone(struct shepherd *s)
{
    bool alone = false;

    return clerk_run(load_alone, &s->facts, &alone, sizeof alone, 10000, NULL) == 0 && alone;
}

/* Half a second, more or less.  True: the job is being ended meanwhile. */
static bool wait_for_turn(struct shepherd *s)
{
    struct pollfd p = {.fd = s->signals, .events = POLLIN};
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = 0;
    (void)poll(&p, 1, 250 + (int)(random % 500));
    return shepherd_terminated(s);
}

/* 0: restored. > 0: exit status. -1: there is nothing to restore from.  flags: PROTO_F_SOURCE or 0. */
static int restore(struct shepherd *s, uint32_t flags)
{
    char before[32] = "", why[512] = "";
    const char *exact = flags & PROTO_F_SOURCE ? s->facts.source_generation : "";
    struct err err = {{0}};

    /* Another job's output stays as it is. */
    if (!(flags & PROTO_F_SOURCE) && !s->step && output_alone(s))
        flags |= PROTO_F_CUT;

    if (!shepherd_preflight(s, why))
        return shepherd_elsewhere(s, why);

    for (;;) {
        struct proto_request r;
        struct proto_reply reply;
        int fd = -1, known;

        shepherd_request_init(s, &r, PROTO_RESTORE, "requeue");
        r.flags |= flags | (*exact ? PROTO_F_EXACT : 0);
        memcpy(r.generation, *exact ? exact : before, sizeof r.generation);
        relay_empty(&s->relay);
        known = s->step || flags & PROTO_F_SOURCE ? 0 : choose(s, before, &r, &err);
        if (known == EXDEV)
            return -1;
        if (known != 0 && known != ENOENT)
            return hold(s, err.text);
        if (shepherd_ask(s, &r, -1, &reply, &fd, &err) < 0) {
            if (errno == EINTR)
                return 128 + SIGTERM;
            return hold(s, err.text);
        }
        if (reply.error == EUSERS) { /* its turn comes */
            io_close(&fd);
            if (wait_for_turn(s))
                return 128 + SIGTERM;
            continue;
        }
        if (reply.error == 0) {
            s->rootfd = fd;
            s->restored = true;
            s->from_source = (flags & PROTO_F_SOURCE) != 0;
            shepherd_say("restored %s: %u processes, %.1f MiB, %u ms", reply.generation,
                         reply.processes, (double)reply.raw_bytes / 1048576.0, reply.total_ms);
            if (reply.text[0])
                shepherd_say("%s", reply.text);
            shepherd_event(s, "restored", reply.generation, reply.text, &reply);
            s->restored_pid = (pid_t)reply.pid;
            if (reply.flags & PROTO_R_SUSPENDED)
                shepherd_go_on(s, false);
            memcpy(s->last_generation, reply.generation, sizeof s->last_generation);
            shepherd_place_restore(s, reply.generation);
            if (s->relay.used && shepherd_step_skip(s, reply.generation, &err) < 0)
                shepherd_say("the input may come twice: %s", err.text);
            return 0;
        }
        io_close(&fd);
        strip_prefix(reply.text, reply.generation);
        if (reply.error == ENOENT && !before[0])
            return -1;
        if (reply.error == ENOENT || !reply.generation[0])
            return hold(s, why[0] ? why : reply.text);
        shepherd_say("cannot restore %s: %s", reply.generation, reply.text);
        shepherd_event(s, "restore-failed", reply.generation, reply.text, &reply);
        if (reply.error == EBUSY) /* an older one wants the same pids */
            return shepherd_elsewhere(s, reply.text);
        if (!why[0])
            memcpy(why, reply.text, sizeof why);
        if (reply.error == PROTO_E_HOLD)
            return hold(s, why);
        memcpy(before, reply.generation, sizeof before);
        if (*exact)
            return hold(s, why);
    }
}

/* --checkpoint=restore=JOBID: there is nothing else that this job could begin with. */
static int restore_source(struct shepherd *s)
{
    char why[600];
    struct err err = {{0}};
    int rc;

    if (shepherd_files_find_source(s, &err) < 0 || shepherd_slurm_source_ended(s, &err) < 0 ||
        shepherd_script_begin(s, &err) < 0)
        return hold(s, err.text);
    shepherd_say("begins with a checkpoint of job %u", s->facts.source_job);
    rc = restore(s, PROTO_F_SOURCE);
    if (rc >= 0)
        return rc;
    snprintf(why, sizeof why, "job %u has no such checkpoint%s%s", s->facts.source_job,
             s->facts.source_generation[0] ? ": " : "", s->facts.source_generation);
    return hold(s, why);
}

/* It is the init of a private pid namespace: when it ended at its start nothing can be forked there. */
static bool keeper_answers(struct shepherd *s, struct err *err)
{
    struct proto_request r;
    struct proto_reply reply;
    int fd = -1;

    shepherd_request_init(s, &r, PROTO_PING, "");
    if (shepherd_ask(s, &r, -1, &reply, &fd, err) < 0) {
        err_prefix(err, "at its start");
        return false;
    }
    io_close(&fd);
    return true;
}

/* What cannot be saved runs all the same, at a first start. 0, or the exit status. */
static int set_up_files(struct shepherd *s, const char *script)
{
    char dir[2 * PATH_MAX], why[600];
    struct err err = {{0}};
    int rc;

    while ((rc = shepherd_files_set_up(s, script, &err)) < 0 && errno == ESTALE) {
        int refused = shepherd_fence_refuses(s);

        if (refused)
            return refused;
    }
    if (rc == 0) {
        shepherd_task_path(s, "", dir);
        if (!s->step)
            return 0;
        if (shepherd_step_begin(s, &err) == 0 && relay_open(&s->relay, dir, &err) == 0)
            return 0;
        if (errno == ENOTTY)
            s->afresh = true; /* none was ever made of such a task */
        s->files = false;
    }
    if ((s->facts.epoch > 0 || s->facts.source_job) && !s->afresh) {
        snprintf(why, sizeof why, "the checkpoint directory cannot be used: %s", err.text);
        return hold(s, why);
    }
    shepherd_say("nothing will be checkpointed: %s", err.text);
    return 0;
}

static int first_start(struct shepherd *s, const char *script)
{
    struct err err = {{0}};

    if (shepherd_script_begin(s, &err) < 0) {
        shepherd_say("nothing will be checkpointed: %s", err.text);
        s->files = false;
    }
    return shepherd_launch(s, script);
}

/* The tree's generations, or the script once more, whose steps have theirs. */
static int start_again(struct shepherd *s, const char *script)
{
    int rc;

    if (shepherd_script_rerun(s)) {
        shepherd_say("the script is started once more: steps that have ended are not run again, "
                     "those that ran are restored");
        shepherd_event(s, "rerun", "", "srun ran when the last checkpoint was due", NULL);
        return first_start(s, script);
    }
    rc = restore(s, 0);
    if (rc >= 0)
        return rc;
    if (s->facts.source_job)
        return restore_source(s);
    shepherd_files_scratch(s);
    return first_start(s, script);
}

int shepherd_start(struct shepherd *s)
{
    const char *script =
        !s->step && s->argc > 0 && strstr(s->argv[0], "/slurm_script") ? s->argv[0] : NULL;
    bool fresh = s->facts.epoch == 0 && s->facts.source_job == 0;
    struct err err = {{0}};
    char why[256], vanished[640];
    int rc;

    if (!keeper_answers(s, &err)) {
        if (errno == EINTR)
            return 128 + SIGTERM;
        if (!fresh)
            return hold(s, err.text);
        if (s->facts.isolation == ISOLATION_PRIVATE) {
            shepherd_say("the job cannot be started: %s", err.text);
            return 1;
        }
        shepherd_say("this job runs without checkpoints: %s", err.text);
    }
    rc = set_up_files(s, script);
    if (rc || s->ended)
        return rc;
    rc = shepherd_budget_begin(s);
    if (rc)
        return rc;
    shepherd_environ(s);
    if (s->facts.epoch == 0 || (s->step && s->afresh))
        shepherd_event(s, "started", "", "", NULL);
    if (fresh || (s->step && s->afresh))
        return first_start(s, script);
    if (s->facts.epoch == 0)
        return restore_source(s);
    if (shepherd_caps_exceeded(
            s, why)) /* with its directory the count of its restarts has gone, too */
        return hold(s, shepherd_files_vanished(s, vanished) ? vanished : why);
    return start_again(s, script);
}

static int count_saved(void *arg, void *result, struct err *err)
{
    int *count = result;

    *count = gendir_saved(arg, err);
    return *count < 0 ? -1 : 0;
}

static const char *environment(const char *name)
{
    const char *v = getenv(name);

    return v ? v : "";
}

int shepherd_hold_restart(struct shepherd *s, const char *why)
{
    struct facts *f = &s->facts;
    struct err err = {{0}};
    int count = 0;

    /* All of it the user's own word, about his own files. */
    snprintf(f->dir, sizeof f->dir, "%s", environment(LAUNCH_ENV_DIR));
    snprintf(f->cluster, sizeof f->cluster, "%s", environment("SLURM_CLUSTER_NAME"));
    snprintf(f->nonce, sizeof f->nonce, "%s", environment("SLURM_SPANK_CHECKPOINT_NONCE"));
    snprintf(f->task, sizeof f->task, "%s", environment(LAUNCH_ENV_TASK));
    f->uid = getuid();
    f->job = (uint32_t)strtoul(environment("SLURM_JOB_ID"), NULL, 10);
    if (clerk_run(count_saved, f, &count, sizeof count, SHEPHERD_FILES_TIMEOUT_MS, &err) == 0 &&
        count == 0 && !getenv(LAUNCH_ENV_SOURCE))
        return 0;
    return hold(s, why);
}
