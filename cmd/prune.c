/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/become.h"
#include "cmd/cmd.h"
#include "cmd/generation.h"
#include "cmd/job.h"
#include "cmd/progress.h"
#include "cmd/prune_plan.h"
#include "cmd/prune_say.h"
#include "cmd/target.h"
#include "cmd/verb.h"
#include "cmd/verify_pages.h"
#include "common/beneath.h"
#include "common/conf.h"
#include "common/event.h"
#include "common/io.h"
#include "common/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_NAMES 65536 /* of a directory that its owner may have filled */

/* One run of the verb. */
struct run {
    const struct cmd *c;
    char path[PATH_MAX];
    uint32_t *live; /* jobs that have not ended */
    int nlive;      /* -1: slurmctld was not to be asked, so none has */
    const char *cluster;
    struct prune_rules rules; /* but for `ended` */
    int64_t expiry;           /* --expired: what has not changed since */
    struct prune_say *say;
    int failed;
};

/* One job. */
struct job_items {
    const struct base_job *job;
    int taskfd;
    struct prune_item *items;
    size_t n, room;
};

static int64_t parse_time(const char *rfc3339)
{
    struct tm tm;
    const char *end;

    memset(&tm, 0, sizeof tm);
    end = strptime(rfc3339, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return end && !*end ? timegm(&tm) : INT64_MAX;
}

static void fill(struct job_items *j, const char *name, struct prune_item *it)
{
    int fd = gendir_open_dir(j->taskfd, name, NULL);
    struct generation g;
    struct stat st;

    it->created = INT64_MAX;
    if (fd >= 0) {
        it->bytes = usage_dir(fd);
        it->created = fstat(fd, &st) == 0 ? st.st_mtim.tv_sec : INT64_MAX;
    }
    io_close(&fd);
    if (it->partial)
        return;
    generation_load(j->taskfd, j->job, it->id, &g);
    it->good = !g.damaged;
    if (it->good)
        it->created = parse_time(g.created);
}

static int add_item(struct job_items *j, const char *name, struct err *err)
{
    struct prune_item it, *more;

    memset(&it, 0, sizeof it);
    if (!gendir_parse_name(name, &it.id, &it.partial))
        return 0;
    if (j->n == j->room) {
        const size_t room = j->room ? 2 * j->room : 64;

        more = realloc(j->items, room * sizeof *more);
        if (!more)
            return err_sys(err, "no memory");
        j->items = more;
        j->room = room;
    }
    fill(j, name, &it);
    j->items[j->n++] = it;
    return 0;
}

static int collect(struct job_items *j, struct err *err)
{
    DIR *d = beneath_list(j->taskfd, err);
    struct dirent *e;
    int rc = d ? 0 : -1;

    for (int seen = 0; rc == 0 && (errno = 0, e = readdir(d)); seen++) {
        if (seen >= MAX_NAMES) {
            errno = EOVERFLOW;
            rc = err_set(err, "too many names in the task's directory");
        } else {
            rc = add_item(j, e->d_name, err);
        }
    }
    if (rc == 0 && errno)
        rc = err_sys(err, "cannot read the task's directory");
    if (d)
        beneath_end(d);
    prune_plan_sort(j->items, j->n);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Can slurmctld tell?  Of another cluster's jobs it knows nothing. */
static bool is_known(const struct run *r, const struct base_job *j)
{
    return r->nlive >= 0 && r->cluster && strcmp(r->cluster, j->cluster) == 0;
}

/* A job that slurmctld does not know has ended. */
static bool has_ended(const struct run *r, const struct base_job *j)
{
    if (!is_known(r, j))
        return false;
    return r->nlive == 0 || !bsearch(&j->job, r->live, (size_t)r->nlive, sizeof *r->live, by_value);
}

static void tick(uint64_t done, void *arg)
{
    (void)done;
    progress_show(arg, "verifying what is to be kept");
}

/* A job that goes on will need what is kept: that is read wholly before anything older goes. */
static int prove_kept(struct run *r, struct job_items *j, struct err *err)
{
    struct facts *f = target_facts(r->c, r->path, j->job, err);
    struct progress p;
    bool proved = false;

    if (!f)
        return -1;
    progress_start(&p);
    for (size_t i = 0; i < j->n && !proved; i++) {
        struct prune_item *it = &j->items[i];
        uint64_t bytes;

        if (!it->good)
            continue;
        proved = verify_whole(j->taskfd, it->id, f, tick, &p, &bytes, err) == 0;
        it->good = proved;
    }
    progress_end(&p);
    free(f);
    return proved ? 0 : err_prefix(err, "no generation verifies, nothing is removed");
}

static int remove_items(struct run *r, struct job_items *j, struct prune_done *done,
                        struct err *err)
{
    int rc = 0;

    for (size_t i = j->n; i-- > 0;) { /* the oldest first */
        struct prune_item *it = &j->items[i];

        if (!it->remove)
            continue;
        /* The first failure is told, the others are tried all the same. */
        if (!r->c->dry_run && gendir_remove(j->taskfd, it->id, it->partial, rc ? NULL : err) < 0) {
            it->remove = false;
            rc = -1;
            continue;
        }
        done->removed++;
        done->freed += it->bytes;
    }
    return rc;
}

/* Nothing is left of a job that has ended, and nothing was to be kept: script, log and the rest go,
 * too. */
static bool goes(const struct run *r, const struct base_job *j, const struct prune_done *done)
{
    return done->ended && r->rules.keep == 0 && done->removed == done->generations &&
           j->changed.tv_sec < r->rules.before;
}

static int remove_job(struct run *r, const struct base_job *j, struct err *err)
{
    struct facts *f;
    int rc = 0;

    if (r->c->dry_run)
        return 0;
    f = target_facts(r->c, r->path, j, err);
    if (!f)
        return -1;
    rc = gendir_remove_job(f, err);
    free(f);
    return rc;
}

/* The last that happened to it: a checkpoint came or went, or something was written into its history. */
static int64_t last_sign(int taskfd, const struct base_job *job)
{
    struct stat st;
    int64_t t = job->changed.tv_sec;

    if (fstatat(taskfd, EVENTS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec > t)
        t = st.st_mtim.tv_sec;
    return t;
}

/* Each task has its own newest good one.  *whole: everything that the job has may go, as far as this task is
 * concerned. */
static int prune_task(struct run *r, const struct base_job *task, bool *whole, struct err *err)
{
    struct job_items j = {.job = task, .taskfd = base_open_task(r->path, task, err)};
    struct prune_rules rules = r->rules;
    struct prune_done done = {.job = task, .ended = has_ended(r, task), .known = is_known(r, task)};
    int rc;

    if (j.taskfd < 0)
        return errno == ENOENT ? 0 : -1; /* it has just started, or is being removed */
    rules.ended = done.ended;
    rc = collect(&j, err);
    if (rc == 0 && prune_plan(&rules, j.items, j.n) > 0 && !done.ended) {
        rc = prove_kept(r, &j, err);
        if (rc == 0)
            (void)prune_plan(&rules, j.items, j.n);
    }
    for (size_t i = 0; i < j.n; i++)
        done.bytes += j.items[i].bytes;
    done.generations = j.n;
    if (rc == 0)
        rc = remove_items(r, &j, &done, err);
    else
        for (size_t i = 0; i < j.n; i++)
            j.items[i].remove = false;
    done.whole = rc == 0 && goes(r, task, &done);
    *whole = *whole && done.whole;
    /* Of a step's task that has no checkpoint there is nothing to tell. */
    if ((j.n > 0 || !task->is_step) && prune_say_job(r->say, &done, j.items, j.n) < 0 && rc == 0)
        rc = err_sys(err, "no memory");
    io_close(&j.taskfd);
    free(j.items);
    return rc;
}

static int64_t last_sign_of(const struct run *r, const struct base_job *tasks, int n)
{
    int64_t last = 0;

    for (int i = 0; i < n; i++) {
        int fd = base_open_task(r->path, &tasks[i], NULL);
        int64_t t = fd < 0 ? 0 : last_sign(fd, &tasks[i]);

        io_close(&fd);
        if (t > last)
            last = t;
    }
    return last;
}

static int prune_job(struct run *r, const struct base_job *job, struct err *err)
{
    struct base_job *tasks = NULL;
    int n = base_tasks(r->path, job, &tasks, err), rc = 0;
    bool whole = n > 0;

    if (n < 0)
        return errno == ENOENT ? 0 : -1;
    if (!r->c->expired || (has_ended(r, job) && last_sign_of(r, tasks, n) < r->expiry)) {
        for (int i = 0; i < n && rc == 0; i++)
            rc = prune_task(r, &tasks[i], &whole, err);
        if (rc == 0 && whole)
            rc = remove_job(r, job, err);
    }
    free(tasks);
    return rc;
}

/* The jobs of one id (several when Slurm used it again), or all. */
static int prune_jobs(struct run *r, uint32_t id, struct err *err)
{
    struct base_job *jobs = NULL;
    int n = base_scan(r->path, id, NULL, &jobs, err);

    if (n < 0 && errno == ENOENT)
        n = 0;
    for (int i = 0; i < n; i++) {
        struct err one = {""};

        if (prune_job(r, &jobs[i], &one) == 0)
            continue;
        err_clean(one.text);
        fprintf(stderr, "scheckpoint: job %u: %s\n", jobs[i].job, one.text);
        r->failed++;
    }
    free(jobs);
    if (n == 0 && id) {
        errno = ESRCH;
        return err_set(err, "no checkpoints of job %u in %s", id, r->path);
    }
    return n < 0 ? -1 : 0;
}

static void ask_slurm(struct run *r)
{
    struct err err = {""};

    r->nlive = job_list_unended(geteuid(), &r->live, &err);
    r->cluster = job_cluster();
    if (r->nlive >= 0)
        return;
    err_clean(err.text);
    fprintf(stderr, "scheckpoint: %s; so none is taken to have ended\n", err.text);
}

static int expire_days(const struct cmd *c, uint32_t *days, struct err *err)
{
    struct conf *conf;
    int rc;

    *days = c->expire_days;
    if (*days > 0)
        return 0;
    conf = malloc(sizeof *conf);
    rc = conf ? conf_load(c->conf, conf, err) : err_sys(err, "no memory");
    if (rc == 0)
        *days = conf->expire_days;
    free(conf);
    errno = EINVAL;
    if (rc == 0 && *days == 0)
        return err_set(err, "nothing expires at this site (ExpireDays=0): give --expired=DAYS");
    return rc;
}

static int set_rules(struct run *r, struct err *err)
{
    const struct cmd *c = r->c;
    uint32_t days;

    if (c->expired) {
        if (expire_days(c, &days, err) < 0)
            return -1;
        r->expiry = (int64_t)time(NULL) - (int64_t)days * 86400;
        r->rules.before = INT64_MAX; /* of those, all */
        return 0;
    }
    r->rules.keep = c->has_keep ? c->keep : c->has_older_than ? 0 : 1;
    r->rules.before = c->has_older_than ? (int64_t)time(NULL) - c->older_than : INT64_MAX;
    return 0;
}

static int prune_own(void *arg)
{
    const struct cmd *c = arg;
    struct run r = {.c = c, .say = prune_say_create(c)};
    struct err err = {""};
    int rc = r.say ? 0 : err_sys(&err, "no memory");
    bool usage = false;

    if (rc == 0)
        rc = set_rules(&r, &err);
    if (rc == 0)
        rc = base_path(c, r.path, &err);
    if (rc == 0)
        ask_slurm(&r);
    if (rc == 0 && c->all)
        rc = prune_jobs(&r, 0, &err);
    for (int i = 0; rc == 0 && i < c->nargs; i++) {
        uint32_t id = 0;

        rc = job_resolve(c->args[i], &id, &err);
        usage = rc < 0 && errno == EINVAL;
        if (rc == 0)
            rc = prune_jobs(&r, id, &err);
    }
    free(r.live);
    /* Also before a failure: what is gone is gone. */
    if (prune_say_end(r.say) < 0)
        r.failed++;
    if (rc < 0)
        return cmd_fail(c, usage ? CMD_USAGE : CMD_FAILED, &err);
    return r.failed ? CMD_FAILED : CMD_DONE;
}

static int run_prune(const struct cmd *c)
{
    const struct passwd *pw = c->user ? getpwnam(c->user) : NULL;
    struct cmd copy = *c;
    struct err err = {""};
    int status;

    if (!c->user && geteuid() == 0) {
        err_set(&err, "root has no checkpoints: --user NAME prunes that user's, as him");
        return cmd_fail(c, CMD_REFUSED, &err);
    }
    if (!c->user || (pw && pw->pw_uid == geteuid() && geteuid() != 0))
        return prune_own(&copy);
    if (c->dir && c->dir[0] != '/') {
        err_set(&err, "with --user the directory must be absolute: %s", c->dir);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    status = become_run(c->user, prune_own, &copy, &err);
    if (status >= 0)
        return status;
    err_prefix(&err, "--user %s", c->user);
    return cmd_fail(c, errno == EPERM ? CMD_REFUSED : CMD_FAILED, &err);
}

const struct verb verb_prune = {
    .name = "prune",
    .args = "JOBID",
    .summary = "remove old ones",
    .run = run_prune,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_PRUNES | VERB_USER,
    .help = "usage: scheckpoint prune [--keep N] [--older-than TIME] [--dry-run] [--user NAME]\n"
            "                         [--json] [-d DIR] JOBID... | --all-jobs\n"
            "       scheckpoint prune --expired[=DAYS] [...] JOBID... | --all-jobs\n"
            "\n"
            "Removes checkpoints and says how much they take and took. The last good one of a\n"
            "job that has not ended always stays.\n"
            "\n"
            "  --keep N           leave the N newest good ones of each job, and of each task of\n"
            "                     srun's in it (default 1, with --older-than 0). Of a job that\n"
            "                     has ended and has none left all files go\n"
            "  --older-than TIME  remove only what is older: 14d, 36h, or a time as sbatch\n"
            "                     --time has it\n"
            "  --expired[=DAYS]   all of jobs that have ended and to which nothing has happened\n"
            "                     for so many days (default: the site's, 14 if it does not say)\n"
            "  --all-jobs         of all your jobs\n"
            "  --dry-run          remove nothing, say what would be removed\n"
            "  --user NAME        (root) become that user first, and remove his\n",
};
