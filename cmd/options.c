/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include "cmd/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_CONF = 256,
    OPT_JSON,
    OPT_WAIT,
    OPT_NO_WAIT,
    OPT_TIMEOUT,
    OPT_ALL,
    OPT_ALL_JOBS,
    OPT_DRY_RUN,
    OPT_KEEP,
    OPT_OLDER_THAN,
    OPT_EXPIRED,
    OPT_USER,
    OPT_NODE,
    OPT_HTML,
    OPT_OUTPUT,
    OPT_CHECKPOINT,
};

#define TIMEOUT_MAX (365u * 86400)

static const struct option options[] = {
    {"checkpoint-dir", required_argument, NULL, 'd'},
    {"conf", required_argument, NULL, OPT_CONF},
    {"json", no_argument, NULL, OPT_JSON},
    {"wait", optional_argument, NULL, OPT_WAIT},
    {"no-wait", no_argument, NULL, OPT_NO_WAIT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"all", no_argument, NULL, OPT_ALL},
    {"all-jobs", no_argument, NULL, OPT_ALL_JOBS},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"older-than", required_argument, NULL, OPT_OLDER_THAN},
    {"expired", optional_argument, NULL, OPT_EXPIRED},
    {"user", required_argument, NULL, OPT_USER},
    {"node", required_argument, NULL, OPT_NODE},
    {"html", no_argument, NULL, OPT_HTML},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"checkpoint", required_argument, NULL, OPT_CHECKPOINT},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* For who gave a verb the options of another. */
static const struct {
    unsigned takes;
    const char *text;
} belongs[] = {
    {VERB_WAITS, "--wait, --no-wait and --timeout belong to verbs that ask a job, not to"},
    {VERB_NODE, "--node belongs to check, doctor and metrics, not to"},
    {VERB_OUTPUT, "--output belongs to metrics, not to"},
    {VERB_RUNS, "--checkpoint belongs to run, not to"},
    {VERB_USER, "--user belongs to list, error, prune and doctor, not to"},
    {VERB_HTML, "--html belongs to history, not to"},
    {VERB_ALL, "--all belongs to verify, not to"},
    {VERB_PRUNES,
     "--keep, --older-than, --expired, --all-jobs and --dry-run belong to prune, not to"},
};

int options_wrong(const char *what, const char *which)
{
    char clean[200];

    snprintf(clean, sizeof clean, "%s", which);
    err_clean(clean);
    fprintf(stderr, "scheckpoint: %s%s%s (scheckpoint --help tells more)\n", what,
            *clean ? ": " : "", clean);
    return CMD_USAGE;
}

static bool parse_seconds(const char *text, uint32_t *value)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *end || v < 1 || v > TIMEOUT_MAX)
        return false;
    *value = (uint32_t)v;
    return true;
}

static int parse_wait_option(int opt, struct options *o)
{
    o->takes |= VERB_WAITS;
    if (opt != OPT_TIMEOUT)
        o->cmd.no_wait = opt == OPT_NO_WAIT;
    if (!optarg)
        return 0;
    if (parse_seconds(optarg, &o->cmd.timeout))
        return 0;
    return options_wrong(opt == OPT_WAIT ? "--wait wants seconds from 1 to 31536000"
                                         : "--timeout wants seconds from 1 to 31536000",
                         optarg);
}

static int parse_prune_option(int opt, struct options *o)
{
    struct cmd *c = &o->cmd;

    o->takes |= VERB_PRUNES;
    switch (opt) {
    case OPT_KEEP:
        c->has_keep = true;
        return strcmp(optarg, "0") == 0 || parse_seconds(optarg, &c->keep)
                   ? 0
                   : options_wrong("--keep wants a number", optarg);
    case OPT_OLDER_THAN:
        c->has_older_than = true;
        return text_parse_age(optarg, &c->older_than)
                   ? 0
                   : options_wrong("--older-than wants a time such as 14d, 36h or 1-12:00", optarg);
    case OPT_EXPIRED:
        c->expired = true;
        return !optarg || (parse_seconds(optarg, &c->expire_days) && c->expire_days <= 36500)
                   ? 0
                   : options_wrong("--expired wants days from 1 to 36500, or none", optarg);
    default:
        c->dry_run = true;
        return 0;
    }
}

static int parse_option(int opt, struct options *o)
{
    switch (opt) {
    case 1: /* a word */
        if (o->nwords == (int)(sizeof o->words / sizeof o->words[0]))
            return options_wrong("too many arguments", optarg);
        o->words[o->nwords++] = optarg;
        return 0;
    case 'd':
        if (!*optarg)
            return options_wrong("-d wants a directory", "");
        o->cmd.dir = optarg;
        return 0;
    case OPT_CONF:
        o->cmd.conf = optarg;
        return 0;
    case OPT_JSON:
        o->cmd.json = true;
        return 0;
    case OPT_WAIT:
    case OPT_NO_WAIT:
    case OPT_TIMEOUT:
        return parse_wait_option(opt, o);
    case OPT_ALL:
    case OPT_ALL_JOBS:
        o->takes |= opt == OPT_ALL ? VERB_ALL : VERB_PRUNES;
        o->cmd.all = true;
        return 0;
    case OPT_DRY_RUN:
    case OPT_KEEP:
    case OPT_OLDER_THAN:
    case OPT_EXPIRED:
        return parse_prune_option(opt, o);
    case OPT_USER:
        o->takes |= VERB_USER;
        o->cmd.user = optarg;
        return *optarg ? 0 : options_wrong("--user wants a name", "");
    case OPT_NODE:
        o->takes |= VERB_NODE;
        o->cmd.node = optarg;
        return *optarg && *optarg != '-' ? 0
                                         : options_wrong("--node wants the name of a node", optarg);
    case OPT_HTML:
        o->takes |= VERB_HTML;
        o->cmd.html = true;
        return 0;
    case OPT_OUTPUT:
        o->takes |= VERB_OUTPUT;
        o->cmd.output = optarg;
        return *optarg ? 0 : options_wrong("--output wants a directory", "");
    case OPT_CHECKPOINT:
        o->takes |= VERB_RUNS;
        o->cmd.spec = optarg;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    case 'V':
        o->version = true;
        return 0;
    default:
        return CMD_USAGE; /* getopt has said what is wrong */
    }
}

int options_parse(int argc, char **argv, struct options *o)
{
    int opt, status;

    /* '-': options and words in any order, whatever POSIXLY_CORRECT says. */
    while ((opt = getopt_long(argc, argv, "-d:hV", options, NULL)) != -1) {
        status = parse_option(opt, o);
        if (status)
            return status;
    }
    for (; optind < argc; optind++) { /* behind "--" */
        optarg = argv[optind];
        status = parse_option(1, o);
        if (status)
            return status;
    }
    return CMD_DONE;
}

int options_check(const struct options *o, const struct verb *v)
{
    if (o->nwords - 1 > v->max_args)
        return options_wrong("too many arguments", o->words[v->max_args + 1]);
    if (o->nwords - 1 < v->min_args)
        return options_wrong("a job id is missing", "");
    for (size_t i = 0; i < sizeof belongs / sizeof belongs[0]; i++)
        if (o->takes & ~v->takes & belongs[i].takes)
            return options_wrong(belongs[i].text, v->name);
    if (o->cmd.expired && (o->cmd.has_keep || o->cmd.has_older_than))
        return options_wrong("--expired goes without --keep and --older-than", "");
    if (o->cmd.html && o->cmd.json)
        return options_wrong("--html goes without --json", "");
    /* Verbs of many jobs want some, or all of them. */
    if (v->takes & (VERB_ALL | VERB_PRUNES) && o->cmd.all == (o->nwords > 1))
        return options_wrong(
            o->cmd.all ? "either job ids or all jobs, not both" : "a job id is missing", "");
    return CMD_DONE;
}
