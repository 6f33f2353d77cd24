/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/verb.h"

static int run_disable(const struct cmd *c)
{
    static const struct ask_kind kind = {.verb = "disable",
                                         .wish = "disable",
                                         .doing = "waiting for a checkpoint to end",
                                         .counts = true};

    return ask_run(c, &kind);
}

const struct verb verb_disable = {
    .name = "disable",
    .args = "[JOBID...]",
    .summary = "make no checkpoint until enable: a critical section",
    .run = run_disable,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint disable [--no-wait | --wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "From its return on no checkpoint of the job runs or begins, until as many calls\n"
            "of scheckpoint enable have followed: none by the clock, none that is asked for,\n"
            "and not the last one before a requeue or the time limit, which is made when\n"
            "enable comes before Slurm's SIGKILL; else the job goes on from the checkpoint\n"
            "before. Inside a job, for itself, JOBID may be left out. A job that is restored\n"
            "begins enabled, as it was when it was saved.\n"
            "\n"
            "  --wait[=SECONDS]   how long to wait for the answer; --timeout=SECONDS is the same\n"
            "  --no-wait          ask, and return at once\n",
};

static int run_enable(const struct cmd *c)
{
    static const struct ask_kind kind = {
        .verb = "enable", .wish = "enable", .doing = "waiting for the answer", .counts = true};

    return ask_run(c, &kind);
}

const struct verb verb_enable = {
    .name = "enable",
    .args = "[JOBID...]",
    .summary = "take back one disable",
    .run = run_enable,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint enable [--no-wait | --wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "Takes back one scheckpoint disable. With the last one a checkpoint that was due\n"
            "meanwhile by the clock, or as the last one, is made at once.\n"
            "\n"
            "  --wait[=SECONDS]   how long to wait for the answer; --timeout=SECONDS is the same\n"
            "  --no-wait          ask, and return at once\n",
};
