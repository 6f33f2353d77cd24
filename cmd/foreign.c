/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/foreign.h"

#include "cmd/base.h"
#include "cmd/become.h"
#include "cmd/job.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct call {
    const struct cmd *c;
    int (*own)(const struct cmd *c);
};

static int as_owner(void *arg)
{
    const struct call *call = arg;

    return call->own(call->c);
}

/* Of "12.0/1" too. */
static bool parse_job(const char *text, struct job_name *name)
{
    char job[40];
    size_t n = strcspn(text, ".");

    if (n >= sizeof job)
        return false;
    memcpy(job, text, n);
    job[n] = '\0';
    return job_parse_name(job, name);
}

static int as(const struct cmd *c, const char *user, int (*own)(const struct cmd *c))
{
    struct call call = {c, own};
    struct err err = {""};
    int status;

    if (c->dir && c->dir[0] != '/') {
        err_set(&err, "for another user the directory must be absolute: %s", c->dir);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    status = become_run(user, as_owner, &call, &err);
    if (status >= 0)
        return status;
    err_prefix(&err, "as %s", user);
    return cmd_fail(c, errno == EPERM ? CMD_REFUSED : CMD_FAILED, &err);
}

/* Root, without --user: slurmctld knows whose job it is. */
static int as_owner_of(const struct cmd *c, const char *verb, int (*own)(const struct cmd *c))
{
    struct err err = {""};
    const struct passwd *pw;
    struct job_name name;
    struct job job;

    if (!c->job) {
        err_set(&err, "root has no checkpoints: scheckpoint %s --user NAME", verb);
        return cmd_fail(c, CMD_REFUSED, &err);
    }
    errno = EINVAL;
    if (!parse_job(c->job, &name)) {
        err_set(&err, "not a job id: %s (12, or 12_3 for a task of an array)", c->job);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    if (job_load(&name, &job, &err) < 0) {
        err_prefix(&err, "whose job it is is not known (--user NAME tells)");
        return cmd_fail(c, CMD_FAILED, &err);
    }
    pw = getpwuid(job.uid);
    if (!pw) {
        err_set(&err, "user id %u has no name here", (unsigned)job.uid);
        return cmd_fail(c, CMD_FAILED, &err);
    }
    return as(c, pw->pw_name, own);
}

static int tell(const struct cmd *c, const struct job *job)
{
    const struct passwd *pw = getpwuid(job->uid);
    const char *user = pw ? pw->pw_name : "?";
    struct err err = {""};
    char note[512];

    if (job_note(job, note, &err) < 0)
        return cmd_fail(c, CMD_FAILED, &err);
    if (c->json)
        return cmd_print_json(json_pack("{s:I, s:s, s:s, s:I, s:o}", "job", (json_int_t)job->id,
                                        "user", user, "state", job->state, "restarts",
                                        (json_int_t)job->restarts, "told",
                                        *note ? cmd_json_string(note) : json_null())) < 0
                   ? CMD_FAILED
                   : CMD_DONE;
    printf("job %u is %s's: %s, restarted %u time%s\n", job->id, user, job->state, job->restarts,
           job->restarts == 1 ? "" : "s");
    if (*note)
        printf("its last word (in its comment, where its owner may write too): %s\n", note);
    else if (job->phase == JOB_PHASE_RUNNING)
        printf(
            "it has told nothing yet; if it has checkpoints, an operator of Slurm may ask it for "
            "one: scheckpoint create %u\n",
            job->id);
    else
        printf("it has told nothing of checkpoints\n");
    printf("its checkpoints are open to its owner and to root only\n");
    return CMD_DONE;
}

/* Another's that slurmctld knows, and nothing of ours under that number. */
static bool is_foreign(const struct cmd *c, struct job *job)
{
    char path[PATH_MAX];
    struct job_name name;
    struct base_job j;

    if (!c->job || !parse_job(c->job, &name) ||
        (!name.is_task && base_path(c, path, NULL) == 0 &&
         base_find(path, name.id, NULL, &j, NULL) == 0))
        return false;
    return job_load(&name, job, NULL) == 0 && job->uid != geteuid();
}

int foreign_run(const struct cmd *c, const char *verb, int (*own)(const struct cmd *c))
{
    const struct passwd *pw = c->user ? getpwnam(c->user) : NULL;
    struct job job;

    if (c->user)
        return pw && pw->pw_uid == geteuid() && geteuid() != 0 ? own(c) : as(c, c->user, own);
    if (geteuid() == 0)
        return as_owner_of(c, verb, own);
    return is_foreign(c, &job) ? tell(c, &job) : own(c);
}
