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

static bool take_number(const char **p, uint32_t *value)
{
    uint64_t v = 0;
    const char *s = *p;

    for (; *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (uint64_t)(*s - '0');
        if (v >= UINT32_MAX)
            return false;
    }
    if (s == *p)
        return false;
    *p = s;
    *value = (uint32_t)v;
    return true;
}

/* "STEP", "STEP/TASK", each with ".GENERATION" or without */
static bool parse_step(const char *p, struct target_name *name)
{
    name->has_step = take_number(&p, &name->step);
    if (!name->has_step)
        return false;
    if (*p == '/') {
        p++;
        name->has_task = take_number(&p, &name->taskid);
        if (!name->has_task)
            return false;
    }
    return !*p || (*p == '.' && target_parse_generation(p + 1, name));
}

bool target_parse(const char *text, struct target_name *name)
{
    struct target_name out = {.which = TARGET_ANY};
    size_t n = strcspn(text, ".");
    struct job_name job;

    if (n >= sizeof out.job)
        return false;
    memcpy(out.job, text, n);
    /* "12.0.3" is a checkpoint of the batch script. */
    if (!job_parse_name(out.job, &job) ||
        (text[n] && !target_parse_generation(text + n + 1, &out) &&
         !parse_step(text + n + 1, &out)))
        return false;
    *name = out;
    return true;
}

static bool is_meant(const struct base_job *task, const struct target_name *name)
{
    return !name->has_step || (task->is_step && task->step == name->step &&
                               (!name->has_task || task->taskid == name->taskid));
}

int target_tasks(const struct cmd *c, const struct target_name *name, char path[PATH_MAX],
                 struct base_job **tasks, struct err *err)
{
    struct base_job job, *list = NULL;
    uint32_t id = 0;
    int n, kept = 0;

    if (job_resolve(name->job, &id, err) < 0 || base_path(c, path, err) < 0 ||
        base_find(path, id, NULL, &job, err) < 0)
        return -1;
    n = base_tasks(path, &job, &list, err);
    for (int i = 0; i < n; i++) {
        const struct base_job *last = kept > 0 ? &list[kept - 1] : NULL;

        if (!is_meant(&list[i], name) || (name->has_step && last && last->step == list[i].step &&
                                          last->taskid == list[i].taskid))
            continue;
        list[kept++] = list[i];
    }
    if (n >= 0 && kept == 0) {
        free(list);
        errno = ENOENT;
        return name->has_step ? err_set(err, "job %u has no checkpoints of such a step or task", id)
                              : err_set(err, "job %u has no checkpoint", id);
    }
    if (n >= 0)
        *tasks = list;
    return n < 0 ? -1 : kept;
}

int target_open_task(const char *path, const struct base_job *task, struct target *t,
                     struct err *err)
{
    struct target out;

    snprintf(out.path, sizeof out.path, "%s", path);
    out.job = *task;
    out.taskfd = base_open_task(path, task, err);
    if (out.taskfd < 0)
        return -1;
    *t = out;
    return 0;
}

int target_open(const struct cmd *c, const struct target_name *name, struct target *t,
                struct err *err)
{
    struct base_job *tasks = NULL;
    char path[PATH_MAX];
    int n = target_tasks(c, name, path, &tasks, err), rc = -1;

    if (n < 0)
        return -1;
    if (n == 1 || (!name->has_step && !tasks[0].is_step))
        rc = target_open_task(path, &tasks[0], t, err);
    else
        err_set(err, "%d tasks have checkpoints there: name one, such as %s.%u/%u", n, name->job,
                tasks[0].step == UINT32_MAX ? 0 : tasks[0].step, tasks[0].taskid);
    free(tasks);
    return rc;
}

void target_close(struct target *t)
{
    io_close(&t->taskfd);
}

#define NAMES_MOST 6

/* Of a job whose script has none, the tasks that have some: ", " between them; "": none. */
static void name_others(const struct target *t, char *names, size_t size)
{
    struct base_job *tasks = NULL;
    int n = base_tasks(t->path, &t->job, &tasks, NULL), named = 0;
    size_t len = 0;

    names[0] = '\0';
    for (int i = 0; i < n && named <= NAMES_MOST; i++) {
        struct gendir_id *ids = NULL;
        char label[BASE_LABEL_MAX];
        int fd = tasks[i].is_step ? base_open_task(t->path, &tasks[i], NULL) : -1;

        if (fd >= 0 && gendir_list(fd, &ids, NULL) > 0 && len < size) {
            base_label(&tasks[i], label);
            named++;
            len += (size_t)snprintf(names + len, size - len, "%s%s", len ? ", " : "",
                                    named > NAMES_MOST ? "..." : label);
        }
        free(ids);
        io_close(&fd);
    }
    free(tasks);
}

static int none_found(const struct target *t, struct err *err)
{
    char label[BASE_LABEL_MAX], names[(NAMES_MOST + 1) * (BASE_LABEL_MAX + 2)] = "";

    base_label(&t->job, label);
    if (!t->job.is_step)
        name_others(t, names, sizeof names);
    errno = ENOENT;
    if (t->job.is_step || !names[0])
        return err_set(err, "job %s has no checkpoint", label);
    return err_set(err, "job %s has no checkpoint of its script; these of its tasks have some: %s",
                   label, names);
}

int target_find(const struct target *t, const struct target_name *name, struct gendir_id *id,
                struct err *err)
{
    struct gendir_id *ids = NULL;
    int n = gendir_list(t->taskfd, &ids, err), found = -1;
    char text[40], label[BASE_LABEL_MAX];

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
    if (name->which != TARGET_EXACT)
        return none_found(t, err);
    errno = ENOENT;
    base_label(&t->job, label);
    gendir_format_name(name->id, false, text);
    return err_set(err, "job %s has no generation %s (scheckpoint list %u shows what it has)",
                   label, text, t->job.job);
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
    snprintf(f->task, sizeof f->task, "%s", j->task[0] ? j->task : BASE_TASK);
    f->job = j->job;
    f->uid = geteuid();
    f->epoch = UINT32_MAX; /* any start of the job */
    munge_socket(c, f);
    return f;
}
