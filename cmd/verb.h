/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * verb - what a verb of scheckpoint tells about itself. A new one is a file with its struct verb, a
 * line here, one in scheckpoint.c's list, and its words in scheckpoint(1) and the bash completion.
 */
#ifndef CMD_VERB_H
#define CMD_VERB_H

#include "cmd/cmd.h"

#define VERB_ARGS_MAX 4096

/* Options beside the common ones; options.c says which they are. */
enum verb_takes { VERB_WAITS = 1, VERB_ALL = 2, VERB_PRUNES = 4, VERB_NODE = 64, VERB_HTML = 128, VERB_USER = 256, VERB_OUTPUT = 512, VERB_RUNS = 1024 };

struct verb {
    const char *name;
    const char *args;    /* in the overview, e.g. "JOBID" */
    const char *summary; /* in the overview, one line of at most 55 bytes */
    int (*run)(const struct cmd *);
    int min_args, max_args; /* VERB_ARGS_MAX with VERB_ALL or VERB_PRUNES: some, or --all */
    unsigned takes;
    const char *help;
};

extern const struct verb verb_create;
extern const struct verb verb_vacate;
extern const struct verb verb_requeue;
extern const struct verb verb_able;
extern const struct verb verb_disable;
extern const struct verb verb_enable;
extern const struct verb verb_list;
extern const struct verb verb_error;
extern const struct verb verb_show;
extern const struct verb verb_verify;
extern const struct verb verb_diff;
extern const struct verb verb_prune;
extern const struct verb verb_check;
extern const struct verb verb_history;
extern const struct verb verb_doctor;
extern const struct verb verb_metrics;
extern const struct verb verb_run;

#endif
