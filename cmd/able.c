/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"
#include "cmd/verb.h"

#include <stdio.h>
#include <stdlib.h>

static void print_finding(const json_t *f)
{
    const char *where = json_string_value(json_object_get(f, "where"));
    int pid = (int)json_integer_value(json_object_get(f, "process"));

    printf("  process %d (%s)%s%s: %s%s\n    %s\n", pid,
           json_string_value(json_object_get(f, "program")), *where ? ", " : "", where,
           json_string_value(json_object_get(f, "what")),
           json_is_true(json_object_get(f, "passing")) ? " (may be over in a moment)" : "",
           json_string_value(json_object_get(f, "remedy")));
}

/* What of it is in the answer was checked when it was read: every member is there. */
void ask_end_able(struct ask *k, const struct answer *a)
{
    json_t *list = a->findings ? json_loads(a->findings, 0, NULL) : NULL;
    size_t n = json_array_size(list);

    if (!list) {
        ask_end(k, CMD_FAILED, "failed", NULL, "%s", a->text);
        return;
    }
    if (n == 0)
        ask_end(k, CMD_DONE, "able", NULL, "can be checkpointed (%s)", a->text);
    else
        ask_end(k, CMD_FAILED, "unable", NULL, "cannot be checkpointed as it is now: %zu %s (%s)",
                n, n == 1 ? "reason" : "reasons", a->text);
    if (k->result)
        json_object_set(k->result, "findings", list);
    for (size_t i = 0; !k->c->json && i < n; i++)
        print_finding(json_array_get(list, i));
    json_decref(list);
}

static int run_able(const struct cmd *c)
{
    static const struct ask_kind kind = {
        .verb = "able", .wish = "look", .doing = "looking at its processes", .looks = true};

    return ask_run(c, &kind);
}

const struct verb verb_able = {
    .name = "able",
    .args = "[JOBID...]",
    .summary = "tell what in a job cannot be checkpointed",
    .run = run_able,
    .min_args = 0,
    .max_args = VERB_ARGS_MAX,
    .takes = VERB_WAITS,
    .help = "usage: scheckpoint able [--wait=SECONDS] [--json] [-d DIR] [JOBID...]\n"
            "\n"
            "Looks at the processes of running jobs, without stopping them, and tells what would\n"
            "make a checkpoint fail now: process, descriptor or mapping, and what to do about it;\n"
            "those of each task of srun's too (12.0: of one step, 12.0/1: of one task).\n"
            "Exit status 0 when nothing would, 1 when something would. Inside a job, for itself,\n"
            "JOBID may be left out. Another user's job: sudo -u USER scheckpoint able JOBID.\n"
            "\n"
            "  --wait[=SECONDS]   how long to wait for the answer; --timeout=SECONDS is the same\n",
};
