/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * options - scheckpoint's command line, taken apart. Prints what is wrong with it.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include "cmd/verb.h"

#include <stdbool.h>

struct options {
    struct cmd cmd;
    const char *words[1 + VERB_ARGS_MAX]; /* verb, arguments */
    int nwords;
    bool help, version;
    unsigned takes; /* enum verb_takes: which verbs' options were there */
};

/* CMD_DONE, or CMD_USAGE. o must be zero but for what has a default. */
int options_parse(int argc, char **argv, struct options *o);

/* Are the words and options those of the verb?  CMD_DONE, or CMD_USAGE. */
int options_check(const struct options *o, const struct verb *v);

/* Print "WHAT: WHICH" (which may be ""); returns CMD_USAGE. */
int options_wrong(const char *what, const char *which);

#endif
