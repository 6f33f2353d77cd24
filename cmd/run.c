/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scheckpoint run - a batch script's program with checkpoints where the site has not installed the plugin.
 */
#include "cmd/base.h"
#include "cmd/job.h"
#include "cmd/options.h"
#include "cmd/own.h"
#include "cmd/verb.h"
#include "common/gendir.h"
#include "common/hostcheck.h"
#include "common/io.h"
#include "spank/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t number(const char *name)
{
    const char *v = getenv(name);

    return v && *v >= '0' && *v <= '9' ? (uint32_t)strtoul(v, NULL, 10) : 0;
}

static bool is_set(const char *name)
{
    const char *v = getenv(name);

    return v && *v;
}

/* One program per job, and the one to which Slurm sends its signals: SIGTERM before a requeue is for the batch script's own
 * process. */
static int check_place(struct err *err)
{
    errno = EPERM;
    if (!number("SLURM_JOB_ID") || !number("SLURM_TASK_PID"))
        return err_set(err, "this is not a batch script of Slurm");
    if (is_set("SLURM_SPANK_CHECKPOINT_NONCE"))
        return err_set(err, "this job has checkpoints by its --checkpoint option already");
    if (number("SLURM_TASK_PID") != (uint32_t)getpid())
        return err_set(err, "it must take the place of the batch script, because Slurm's signals "
                            "come to that alone: "
                            "write 'exec scheckpoint run ...' as its last line");
    return 0;
}

static int load_conf(const struct cmd *c, struct conf *conf, struct err *err)
{
    if (strcmp(c->conf, CONF_DEFAULT_PATH) == 0 && access(c->conf, F_OK) < 0 && errno == ENOENT) {
        conf_defaults(conf);
        return 0;
    }
    return conf_load(c->conf, conf, err);
}

static int copy(char *to, size_t size, const char *from, const char *what, struct err *err)
{
    errno = EINVAL;
    if (!from || strlen(from) >= size)
        return err_set(err, "%s is not known", what);
    memcpy(to, from, strlen(from) + 1);
    return 0;
}

/* Of a job that was requeued, that of its directory; a first start makes one. */
static int find_nonce(struct facts *f, struct err *err)
{
    unsigned char raw[8];

    if (f->epoch > 0 && gendir_find_job(f, f->job, f->nonce, err) == 0)
        return 0;
    /* No base is for the shepherd to tell: it holds the job then. */
    if (f->epoch > 0 && errno != ENOENT && errno != ENXIO)
        return -1;
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return err_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(f->nonce + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

/* What can be wrong with it whatever the site says. */
static int check_spec(const struct cmd *c, struct err *err)
{
    struct spec s;

    errno = EINVAL;
    if (c->spec && strcmp(c->spec, "off") == 0)
        return err_set(err, "--checkpoint=off has no meaning for run: call the program itself");
    if (spec_parse(c->spec, &s, err) < 0)
        return err_prefix(err, "--checkpoint");
    errno = EINVAL;
    if (s.has_isolation || s.restore_job)
        return err_set(err, "--checkpoint: isolation= and restore= have no meaning for run");
    return 0;
}

static int choices(const struct cmd *c, const struct conf *conf, struct facts *f, struct err *err)
{
    const struct passwd *pw = getpwuid(geteuid());
    struct policy_task task = {.batch = true,
                               .uid = geteuid(),
                               .user = pw ? pw->pw_name : "",
                               .spec = c->spec ? c->spec : ""};

    if (policy_user_part(conf, &task, f, err) < 0 || policy_site_part(conf, f, err) < 0 ||
        base_path(c, f->dir, err) < 0)
        return -1;
    f->isolation = ISOLATION_PRIVATE;
    f->max_dumps = 0; /* there is no file of root's to count in */
    return 0;
}

/* All of it is the user's own word, about his own processes and files. */
static int make_facts(const struct cmd *c, const struct conf *conf, struct facts *f,
                      struct err *err)
{
    const char *node = getenv("SLURMD_NODENAME"), *cluster = job_cluster();

    if (choices(c, conf, f, err) < 0 ||
        copy(f->node, sizeof f->node, node, "SLURMD_NODENAME", err) < 0 ||
        copy(f->cluster, sizeof f->cluster, cluster, "the cluster's name", err) < 0 ||
        copy(f->proctrack, sizeof f->proctrack, job_proctrack(), "ProctrackType", err) < 0)
        return -1;
    errno = ENOTSUP;
    if (strcmp(f->proctrack, "pgid") == 0)
        return err_set(
            err,
            "not possible with ProctrackType=proctrack/pgid: it loses sight of a job's processes");
    memcpy(f->task, BASE_TASK, sizeof BASE_TASK);
    f->job = number("SLURM_JOB_ID");
    f->array_job = number("SLURM_ARRAY_JOB_ID");
    f->array_task = number("SLURM_ARRAY_TASK_ID");
    f->epoch = number("SLURM_RESTART_COUNT");
    f->ntasks = 1;
    f->uid = geteuid();
    f->gid = getegid();
    f->task_pid = getpid();
    return find_nonce(f, err);
}

static int check_programs(const struct facts *f, struct err *err)
{
    static const char *const names[] = {"own-keeper", "own-dump", "own-restore", "shepherd",
                                        "ckpt-init"};
    char path[PATH_MAX + 16];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", f->helper_dir, names[i]);
        if (access(path, X_OK) < 0)
            return err_sys(err, "%s", path);
    }
    return access(f->criu, X_OK) < 0 ? err_sys(err, "criu: %s", f->criu) : 0;
}

static void warn_groups(void)
{
    gid_t groups[256];
    int n = getgroups(256, groups);

    for (int i = 0; i < n; i++)
        if (groups[i] != getegid()) {
            fprintf(stderr, "checkpoint: in it your other groups have no names and numbers: files "
                            "can be reached by "
                            "them, but newgrp, chgrp and setgid to them fail\n");
            return;
        }
}

/* Where Slurm opens the output anew at each start, what was written before is gone when it goes on. */
static void warn_output(void)
{
    struct stat st;

    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) &&
        !(fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND))
        fprintf(stderr,
                "checkpoint: the output begins anew when the job is requeued: submit it with "
                "sbatch --open-mode=append\n");
}

static int run_run(const struct cmd *c)
{
    static struct facts f;
    static struct conf conf;
    struct err err = {{0}};

    if (c->nargs < 1)
        return options_wrong("a program is missing", "");
    if (cmd_is_root(c, "run", &err) || check_place(&err) < 0)
        return cmd_fail(c, CMD_REFUSED, &err);
    if (check_spec(c, &err) < 0)
        return cmd_fail(c, CMD_USAGE, &err);
    if (load_conf(c, &conf, &err) < 0 || hostcheck_kernel(&err) < 0 || hostcheck_ptrace(&err) < 0 ||
        make_facts(c, &conf, &f, &err) < 0 || check_programs(&f, &err) < 0)
        return cmd_fail(c, CMD_FAILED, &err);
    warn_groups();
    warn_output();
    own_exec(&f, conf.job_clock, c->args, c->nargs, &err);
    return cmd_fail(c, CMD_FAILED, &err);
}

const struct verb verb_run = {
    .name = "run",
    .args = "-- PROGRAM...",
    .summary = "in a batch script: run it so, without the site's plugin",
    .run = run_run,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_RUNS,
    .help = "usage: exec scheckpoint run [--checkpoint=SPEC] [-d DIR] -- PROGRAM [ARGUMENT...]\n"
            "\n"
            "As the last line of a batch script (sbatch --requeue --open-mode=append): runs\n"
            "PROGRAM with checkpoints on a cluster that has not installed the plugin, in a user, a "
            "pid\n"
            "and a mount namespace that it makes itself. Nothing of root's is needed but\n"
            "that the nodes let users make user namespaces. After a requeue the lines before\n"
            "it run again; PROGRAM is restored, with its pids. It ends as PROGRAM ends.\n"
            "\n"
            "scheckpoint create, list, error and the other verbs work as ever. Steps (srun)\n"
            "are not checkpointed, nor is the program while one runs.\n"
            "\n"
            "  --checkpoint=SPEC  as sbatch --checkpoint=SPEC where the plugin is, without\n"
            "                     isolation= and restore=\n"
            "  -d, --checkpoint-dir=DIR   where the checkpoints are kept\n",
};
