/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/verb.h"

#define ASK_HELP                                                                                   \
    "\n"                                                                                           \
    "JOBID is 12, 12_3 for a task of an array, or 12 for all of its tasks that run;\n"             \
    "inside a job it may be left out. The exit status is the highest of all jobs'.\n"              \
    "An operator may name other users' jobs: the verdict is then in the job's comment\n"           \
    "and its standard error, too.\n"                                                               \
    "\n"                                                                                           \
    "  --wait[=SECONDS]   wait for the verdict: the default; no longer than the site's\n"          \
    "                     limit for a dump, and a minute; --timeout=SECONDS is the same\n"         \
    "  --no-wait          ask, and return at once\n"

static int run_create(const struct cmd *c)
{
    static const struct ask_kind kind = {
        .verb = "create", .wish = "checkpoint", .doing = "making the checkpoint"};

    return ask_run(c, &kind);
}

const struct verb verb_create = {
    .name = "create",
    .args = "[JOBID...]",
    .summary = "checkpoint a running job, which runs on",
    .run = run_create,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint create [--no-wait | --wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "Checkpoints running batch jobs, which run on; waits for the verdict. Of a job that\n"
            "runs srun each task of its steps is checkpointed, and reported; 12.0 asks step 0 of\n"
            "job 12 only, 12.0/1 its task 1.\n" ASK_HELP,
};

static int run_vacate(const struct cmd *c)
{
    static const struct ask_kind kind = {.verb = "vacate",
                                         .wish = "checkpoint",
                                         .doing = "making the checkpoint",
                                         .requeues = true,
                                         .holds = true};

    return ask_run(c, &kind);
}

const struct verb verb_vacate = {
    .name = "vacate",
    .args = "[JOBID...]",
    .summary = "checkpoint it, then requeue and hold it",
    .run = run_vacate,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint vacate [--no-wait | --wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "Checkpoints running batch jobs, requeues them and holds them: each waits in the\n"
            "queue until scontrol release, then goes on where it was. When the checkpoint or\n"
            "the requeue fails, the job runs on, and the exit status is 1.\n" ASK_HELP,
};

static int run_requeue(const struct cmd *c)
{
    static const struct ask_kind kind = {.verb = "requeue",
                                         .wish = "checkpoint",
                                         .doing = "making the checkpoint",
                                         .requeues = true};

    return ask_run(c, &kind);
}

const struct verb verb_requeue = {
    .name = "requeue",
    .args = "[JOBID...]",
    .summary = "checkpoint it, then requeue it",
    .run = run_requeue,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint requeue [--no-wait | --wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "Checkpoints running batch jobs and requeues them: each goes on where it was as\n"
            "soon as Slurm starts it again. When the checkpoint or the requeue fails, the job\n"
            "runs on, and the exit status is 1; scontrol requeue does not care.\n" ASK_HELP,
};
