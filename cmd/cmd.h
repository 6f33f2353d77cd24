/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cmd - what the verbs of scheckpoint share.
 *
 * scheckpoint is an ordinary program of whoever calls it: it holds no privilege and asks nobody for
 * one. A verb writes its result to stdout, everything else to stderr, and returns the exit status.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "common/conf.h"
#include "common/err.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Documented in scheckpoint(1). */
enum cmd_status {
    CMD_DONE = 0,
    CMD_FAILED = 1,
    CMD_USAGE = 2,
    CMD_REFUSED = 3,
    CMD_TIMEOUT = 4,
};

struct cmd {
    const char *dir;         /* -d, or NULL */
    const char *conf;        /* --conf, else the environment's or the built-in path */
    const char *job;         /* the verb's first argument, or NULL */
    const char *const *args; /* all of them */
    int nargs;
    bool json;
    bool no_wait;
    uint32_t timeout; /* seconds, 0: the default */
    bool all;         /* --all, --all-jobs */
    bool dry_run;
    bool has_keep, has_older_than;
    uint32_t keep;       /* generations */
    uint32_t older_than; /* seconds */
    const char *user;    /* --user, or NULL */
    const char *node;    /* --node, or NULL */
    bool html;           /* --html */
    const char *output;  /* --output, or NULL */
    const char *spec;    /* --checkpoint, or NULL */
    bool expired;
    uint32_t expire_days; /* 0: the site's */
};

/* Report an end that is not CMD_DONE: a line on stderr, with --json also {"job", "state", "text"}
 * on stdout. Returns status. */
int cmd_fail(const struct cmd *c, int status, const struct err *err);

/* Print o on stdout and give up the reference to it.  CMD_FAILED when it cannot be written. */
int cmd_print_json(json_t *o);

/* A JSON string of s, whatever bytes are in it: what is not UTF-8 is shown as '?'. */
json_t *cmd_json_string(const char *s);

/* True (and the refusal is set) for root: it has no checkpoints of its own, and nobody but the
 * owner opens a checkpoint directory. */
bool cmd_is_root(const struct cmd *c, const char *verb, struct err *err);

#endif
