/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * restore - libexec helper: bring one generation back to life.  Started by the keeper only;
 * descriptors as in common/proto.h.
 *
 * The capability is held from the first line to the fork of criu's launcher, and by nobody in this
 * process from then on: the user's directory is opened, and everything in it parsed, without it.
 * One generation is tried; the shepherd decides whether to ask for an older one.
 */
#include "config.h"

#include "able/headroom.h"
#include "common/criurun.h"
#include "common/facts.h"
#include "common/gendir.h"
#include "common/helper.h"
#include "common/io.h"
#include "common/proto.h"
#include "common/trust.h"
#include "restore/attempt.h"
#include "restore/filter.h"
#include "restore/inputs.h"
#include "restore/keptlist.h"
#include "restore/procs.h"
#include "restore/putback.h"
#include "restore/source.h"
#include "restore/tree.h"
#include "restore/verify.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOG_SECONDS 10

struct restore {
    struct facts f;
    struct proto_request request;
    struct proto_reply reply;
    struct criurun *run;
    int64_t started;
    int cancelfd;
    int taskfd;
    struct source source; /* of another job; n 0: none */
    struct checkpoint c;
    struct tree t;
    struct filelist files;
    char changed[256]; /* inputs that differ, in one line */
};

static int check_identity(const struct facts *f, struct err *err)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;

    if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
        return err_sys(err, "getresuid");
    errno = EPERM;
    if (r != f->uid || e != f->uid || s != f->uid || rg != f->gid || eg != f->gid || sg != f->gid)
        return err_set(err, "started as another user than the job's");
    return 0;
}

/* Takes the capability.  The caller is not believed in anything but the sealed facts of root. */
static int begin(struct restore *r, struct err *err)
{
    const int held = helper_caps_hold(err), why = errno;

    /* Read in any case, so that there is somebody to answer. */
    if (io_read_full(HELPER_FD_REQUEST, &r->request, sizeof r->request) < 0)
        return err_sys(err, "request");
    if (!proto_request_ok(&r->request) || r->request.verb != PROTO_RESTORE) {
        errno = EPROTO;
        return err_set(err, "malformed request");
    }
    proto_reply_init(&r->reply, &r->request);
    errno = why;
    if (held < 0 || trust_facts(HELPER_FD_FACTS, &r->f, err) < 0)
        return -1;
    return check_identity(&r->f, err);
}

/* From here on a hanging filesystem ends this process, and with it the launcher that waits; once
 * criu runs, attempt_run has a clock of its own. */
static int drop_and_guard(struct restore *r, struct err *err)
{
    sigset_t term;

    if (helper_caps_drop(err) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &term, NULL) < 0)
        return err_sys(err, "signal mask");
    r->cancelfd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->cancelfd < 0)
        return err_sys(err, "signalfd");
    alarm(r->f.restore_timeout);
    return 0;
}

/* What others may have lengthened, or what may differ because the policy says so. */
static bool any_size(void *arg, const char *path)
{
    const struct file_entry *e = keptlist_find(arg, path);

    return e && (e->role == FILE_INPUT || e->role == FILE_LOG || e->role == FILE_OUTPUT ||
                 e->role == FILE_LEFT);
}

static int filter(struct restore *r, struct err *err)
{
    struct filter_rules rules;
    int rc;

    if (filter_rules_own(&rules, r->f.uid, r->f.gid, err) < 0)
        return -1;
    rules.any_size = any_size;
    rules.any_size_arg = &r->files;
    rules.renames = r->source.renames;
    rules.nrenames = r->source.n;
    rc = filter_run(&rules, &r->c.b, &r->c.ix, &r->t, err);
    filter_rules_free(&rules);
    return rc;
}

/* ENOENT is only for "there is none": a file that is missing inside a generation is damage. */
static int damaged(int error)
{
    return error == ENOENT ? EBADMSG : error;
}

static int open_source(struct restore *r, struct err *err)
{
    errno = EINVAL;
    if (!r->f.source_job)
        return err_set(err, "no other job was named");
    return source_open(&r->f, &r->source, &r->taskfd, err);
}

/* Another job may have been given less than the one that was saved. */
static int fits_here(struct restore *r, struct err *err)
{
    const char *isolation = trust_isolation(&r->f);
    struct headroom h;

    errno = EINVAL;
    if (strcmp(r->c.m.isolation, TRUST_OWN) != 0 && strcmp(isolation, TRUST_OWN) == 0)
        return err_set(
            err,
            "it was made under isolation=%s: scheckpoint run restores only what it has made itself",
            r->c.m.isolation);
    if (strcmp(r->c.m.isolation, TRUST_OWN) == 0 && strcmp(isolation, TRUST_OWN) != 0)
        return err_set(
            err, "it was made by scheckpoint run, which alone can restore it: no isolation fits");
    if (!(r->request.flags & PROTO_F_SOURCE))
        return 0;
    errno = EINVAL;
    if (strcmp(r->c.m.isolation, isolation) != 0)
        return err_set(err,
                       "it was made under isolation=%s, this job has isolation=%s: submit it with "
                       "--checkpoint=restore=...,isolation=%s",
                       r->c.m.isolation, isolation, r->c.m.isolation);
    headroom_read("", &h);
    errno = ENOMEM;
    if (h.room < r->c.ix.raw)
        return err_set(
            err,
            "it needs %.0f MiB of memory, and this job may use %.0f MiB more: submit it with more "
            "(sbatch --mem)",
            (double)r->c.ix.raw / 1048576.0, (double)h.room / 1048576.0);
    return 0;
}

static int load(struct restore *r, struct err *err)
{
    struct gendir_id id;
    const struct facts *f = &r->f;
    bool exact = (r->request.flags & PROTO_F_EXACT) != 0;

    if (r->request.flags & PROTO_F_SOURCE) {
        if (open_source(r, err) < 0)
            return -1;
        f = &r->source.facts;
    } else {
        r->taskfd = gendir_open_task(f, false, err);
    }
    if (r->taskfd < 0 || verify_choose(r->taskfd, r->request.generation, exact, &id, err) < 0)
        return -1;
    snprintf(r->reply.generation, sizeof r->reply.generation, GENDIR_NAME, id.epoch, id.sequence);
    if (verify_open(r->taskfd, id, f, &r->c, err) < 0 || fits_here(r, err) < 0 ||
        keptlist_load(&r->c.b, &r->c.ix, &r->files, err) < 0 || filter(r, err) < 0 ||
        tree_compare(&r->t, &r->c.m, err) < 0 ||
        inputs_compare(&r->files, r->f.inputs, r->changed, sizeof r->changed, err) < 0) {
        errno = damaged(errno);
        return err_prefix(err, "%s", r->reply.generation);
    }
    return 0;
}

static void tell(struct restore *r, const char *note)
{
    snprintf(r->reply.text, sizeof r->reply.text, "%s%s%s", r->changed,
             *r->changed && *note ? "; " : "", note);
    err_clean(r->reply.text);
}

static int attempt(struct restore *r, struct err *err)
{
    struct attempt a = {.f = &r->f,
                        .run = r->run,
                        .c = &r->c,
                        .t = &r->t,
                        .deadline = r->started + (int64_t)r->f.restore_timeout * 1000,
                        .cancelfd = r->cancelfd};
    char note[400] = "";

    struct putback_opts o = {.facts = &r->f,
                             .c = &r->c,
                             .list = &r->files,
                             .taskfd = r->taskfd,
                             .cut_output = (r->request.flags & PROTO_F_CUT) != 0};
    struct putback *p;
    int rc;

    /* Before that the tree as it was may still write. */
    if (procs_wait_free(r->t.ids, r->t.nids, (int)r->f.busy_wait * 1000, err) < 0)
        return -1;
    p = putback_create(&o, err);
    rc = p ? putback_stage(p, err) : -1;
    if (rc == 0) {
        alarm(0); /* what is begun now is ended, one way or the other */
        rc = putback_commit(p, err) < 0 ? -1 : attempt_run(&a, err);
        if (rc == 0)
            putback_done(p, note, sizeof note);
        else
            putback_undo(p);
    }
    putback_destroy(p);
    if (rc < 0)
        return err_prefix(err, "%s", r->reply.generation);
    tell(r, note);
    return 0;
}

/* What CRIU had to say, for whoever asks later.  After the answer: a directory that hangs now costs nothing but
 * this process. */
static void save_log(const struct restore *r)
{
    struct err ignored;
    size_t len = 0;
    char name[64];

    if (!r->run || r->taskfd < 0 || (criurun_log(r->run, &len), len == 0))
        return;
    alarm(LOG_SECONDS);
    snprintf(name, sizeof name, "restore-%s.log", r->reply.generation);
    (void)criurun_save_log(r->run, r->taskfd, name, &ignored);
}

static void count(struct restore *r)
{
    struct proto_reply *reply = &r->reply;

    reply->pid = r->t.procs[0].pid;
    reply->processes = (uint32_t)r->t.n;
    if (r->c.m.suspended)
        reply->flags |= PROTO_R_SUSPENDED;
    reply->raw_bytes = r->c.ix.raw;
    for (size_t i = 0; i < r->c.b.n; i++)
        reply->raw_bytes += r->c.b.images[i].len;
    reply->stored_bytes = r->c.m.stored_bytes;
}

static int restore(struct restore *r, struct err *err)
{
    if (begin(r, err) < 0)
        return -1;
    r->run = attempt_prepare(&r->f, err);
    if (!r->run || drop_and_guard(r, err) < 0 || load(r, err) < 0 || attempt(r, err) < 0)
        return -1;
    count(r);
    return 0;
}

int main(int argc, char **argv)
{
    static struct restore r = {.cancelfd = -1, .taskfd = -1};
    struct err err = {""};
    int error = 0;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("restore (" PACKAGE_NAME ") " PACKAGE_VERSION);
        return 0;
    }
    r.started = attempt_now_ms();
    /* Frames come and go by the hundred, made by one thread and freed by another: the kernel is not to make each of
     * their pages anew. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (helper_sanitize(HELPER_FD_RESULT, &err) < 0) {
        dprintf(STDERR_FILENO, "restore: %s\n", err.text);
        return 1;
    }
    if (restore(&r, &err) < 0)
        error = errno ? errno : EIO;
    if (r.reply.magic != PROTO_MAGIC) { /* no request was understood: nobody to answer */
        dprintf(STDERR_FILENO, "restore: %s\n", err.text);
        return 1;
    }
    if (error)
        proto_reply_fail(&r.reply, error, "%s", err.text);
    r.reply.total_ms = (uint32_t)(attempt_now_ms() - r.started);
    error = io_write_full(HELPER_FD_RESULT, &r.reply, sizeof r.reply) < 0;
    save_log(&r);
    /* Without tidying: a thread may hang in a dead filesystem, and the keeper becomes the root's parent when
     * we end. */
    _exit(error);
}
