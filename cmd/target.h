/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * target - the generation that a verb's argument means.
 */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include "cmd/base.h"
#include "common/facts.h"
#include "common/gendir.h"

#include <stdbool.h>

/* "12.gen-0000-000003", "12_1.0.3", "12.last", "12"; of a step of srun's "12.0", of a task in it "12.0/1", and of its
 * checkpoints "12.0/1.0.3", "12.0/1.last" */
struct target_name {
    char job[24];
    bool has_step, has_task; /* has_task only with has_step */
    uint32_t step, taskid;
    enum target_which { TARGET_ANY, TARGET_LAST, TARGET_EXACT } which; /* ANY: only a job */
    struct gendir_id id;
};

/* False when text is none of these. */
bool target_parse(const char *text, struct target_name *name);
/* The part behind the dot alone: "gen-0000-000003", "0.3", "last". */
bool target_parse_generation(const char *text, struct target_name *name);

/* A job's directory, open. */
struct target {
    char path[PATH_MAX]; /* BASE */
    struct base_job job;
    int taskfd;
};

#define TARGET_FORMS "12, 12.last, 12.0.3; a step 12.0, its task 12.0/1, 12.0/1.last"

/* Find the job in the caller's directory, and the task that the name means: without a step the batch script (where there
 * is none, the only task), with a step but no task the only one in it.  errno EINVAL: not a job's name. */
int target_open(const struct cmd *c, const struct target_name *name, struct target *t,
                struct err *err);
/* All tasks that it means: without a step all of the job's.  A task of a step that had another number in an earlier run of
 * the script gives way to the one that has it now.  *tasks is malloc'ed, the caller frees it.  Returns their number, at
 * least 1; or -1. */
int target_tasks(const struct cmd *c, const struct target_name *name, char path[PATH_MAX],
                 struct base_job **tasks, struct err *err);
/* One of them. */
int target_open_task(const char *path, const struct base_job *task, struct target *t,
                     struct err *err);
void target_close(struct target *t);

/* For what only the owner may do to one job: root is refused, the job opened, fn called and the job closed.  fn returns
 * the exit status, or -1 with a text. */
int target_with(const struct cmd *c, const char *verb, const struct target_name *name,
                int (*fn)(const struct cmd *c, const struct target *t, struct err *err));

/* The generation that the name means; ANY is the newest.  errno ENOENT: there is none. */
int target_find(const struct target *t, const struct target_name *name, struct gendir_id *id,
                struct err *err);

/* What a reader of j's generations in the caller's directory `path` may expect: malloc'ed, the
 * caller frees it.  munge's socket is that of checkpoint.conf, when it can be read. */
struct facts *target_facts(const struct cmd *c, const char *path, const struct base_job *j,
                           struct err *err);

#endif
