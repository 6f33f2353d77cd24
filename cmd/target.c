/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/target.h"

#include "cmd/job.h"
#include "common/io.h"
#include "common/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool target_parse_generation(const char *text, struct target_name *name)
{
    char full[32];

    if (strcmp(text, "last") == 0) {
        name->which = TARGET_LAST;
        return true;
    }
    if (!spec_parse_generation(text, full) || !gendir_parse_name(full, &name->id, NULL))
        return false;
    name->which = TARGET_EXACT;
    return true;
}

bool target_parse(const char *text, struct target_name *name)
{
    struct target_name out = {.which = TARGET_ANY};
    size_t n = strcspn(text, ".");
    struct job_name job;

    if (n >= sizeof out.job)
        return false;
    memcpy(out.job, text, n);
    if (!job_parse_name(out.job, &job) || (text[n] && !target_parse_generation(text + n + 1, &out)))
        return false;
    *name = out;
    return true;
}

int target_open(const struct cmd *c, const char *job, struct target *t, struct err *err)
{
    struct target out;
    uint32_t id = 0;

    if (job_resolve(job, &id, err) < 0 || base_path(c, out.path, err) < 0 ||
        base_find(out.path, id, NULL, &out.job, err) < 0)
        return -1;
    out.taskfd = base_open_task(out.path, &out.job, err);
    if (out.taskfd < 0)
        return -1;
    *t = out;
    return 0;
}

void target_close(struct target *t)
{
    io_close(&t->taskfd);
}

int target_find(const struct target *t, const struct target_name *name, struct gendir_id *id,
                struct err *err)
{
    struct gendir_id *ids = NULL;
    int n = gendir_list(t->taskfd, &ids, err), found = -1;
    char text[40];

    if (n < 0)
        return -1;
    for (int i = 0; i < n && found < 0; i++)
        if (name->which != TARGET_EXACT || gendir_compare(ids[i], name->id) == 0)
            found = i;
    if (found >= 0)
        *id = ids[found];
    free(ids);
    if (found >= 0)
        return 0;
    errno = ENOENT;
    if (name->which != TARGET_EXACT)
        return err_set(err, "job %u has no checkpoint", t->job.job);
    gendir_format_name(name->id, false, text);
    return err_set(err, "job %u has no generation %s (scheckpoint list %u shows what it has)",
                   t->job.job, text, t->job.job);
}

static void munge_socket(const struct cmd *c, struct facts *f)
{
    struct conf *conf = malloc(sizeof *conf);

    if (conf && conf_load(c->conf, conf, NULL) == 0)
        memcpy(f->munge_socket, conf->munge_socket, sizeof f->munge_socket);
    free(conf);
}

struct facts *target_facts(const struct cmd *c, const char *path, const struct base_job *j,
                           struct err *err)
{
    struct facts *f = calloc(1, sizeof *f);

    if (!f) {
        err_sys(err, "no memory");
        return NULL;
    }
    snprintf(f->dir, sizeof f->dir, "%s", path);
    memcpy(f->cluster, j->cluster, sizeof f->cluster);
    memcpy(f->nonce, j->nonce, sizeof f->nonce);
    memcpy(f->task, BASE_TASK, sizeof BASE_TASK);
    f->job = j->job;
    f->uid = geteuid();
    f->epoch = UINT32_MAX; /* any start of the job */
    munge_socket(c, f);
    return f;
}
