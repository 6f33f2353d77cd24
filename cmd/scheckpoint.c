/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scheckpoint - the user's and the administrator's command; see scheckpoint(1).
 */
#include "config.h"

#include "cmd/cmd.h"
#include "cmd/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    OPT_USER,
};

/* Options that belong to some verbs only. */
enum takes { WAITS = 1, ALL = 2, PRUNES = 4 };

#define TIMEOUT_MAX (365u * 86400)
#define ARGS_MAX 4096

static const struct option options[] = {
    {"checkpoint-dir", required_argument, NULL, 'd'},
    {"conf", required_argument, NULL, OPT_CONF},
    {"json", no_argument, NULL, OPT_JSON},
    {"wait", no_argument, NULL, OPT_WAIT},
    {"no-wait", no_argument, NULL, OPT_NO_WAIT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"all", no_argument, NULL, OPT_ALL},
    {"all-jobs", no_argument, NULL, OPT_ALL_JOBS},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"older-than", required_argument, NULL, OPT_OLDER_THAN},
    {"user", required_argument, NULL, OPT_USER},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const struct verb {
    const char *name;
    int (*run)(const struct cmd *);
    int min_args, max_args;
    unsigned takes; /* options beside the common ones */
    const char *help;
} verbs[] = {
    {"create", cmd_create, 1, 1, WAITS,
     "usage: scheckpoint create [--no-wait] [--timeout SECONDS] [--json] [-d DIR] JOBID\n"
     "\n"
     "Checkpoints a running batch job, which runs on; waits for the verdict. JOBID is 12, or 12_3\n"
     "for a task of an array. An operator may ask for another user's job: the verdict is then in "
     "the\n"
     "job's standard error.\n"
     "\n"
     "  --wait             wait for the verdict (the default)\n"
     "  --no-wait          ask, and return at once\n"
     "  --timeout SECONDS  wait no longer (default: the site's limit for a dump, and a minute)\n"},
    {"list", cmd_list, 0, 1, 0,
     "usage: scheckpoint list [--json] [-d DIR] [JOBID]\n"
     "\n"
     "Lists your checkpoints, or one job's, newest first.\n"},
    {"error", cmd_error, 1, 1, 0,
     "usage: scheckpoint error [--json] [-d DIR] JOBID\n"
     "\n"
     "Tells the last failures of a job's checkpoints and restores, and its last good "
     "generation.\n"},
    {"show", cmd_show, 1, 1, 0,
     "usage: scheckpoint show [--json] [-d DIR] JOBID[.GENERATION]\n"
     "\n"
     "Shows what is in a checkpoint: when and why it was made, sizes, its seal, the processes "
     "with\n"
     "their command lines, open files and sockets. GENERATION is a name from scheckpoint list, or\n"
     "short, as 0.3 for gen-0000-000003, or last (the default).\n"},
    {"verify", cmd_verify, 0, ARGS_MAX, ALL,
     "usage: scheckpoint verify [--json] [-d DIR] JOBID[.GENERATION]... | --all\n"
     "\n"
     "Reads checkpoints wholly and verifies seal, manifest and every byte of the data. Without\n"
     "GENERATION all of the job's. Exit status 1 when one is not good.\n"
     "\n"
     "  --all   all checkpoints of all your jobs\n"},
    {"diff", cmd_diff, 1, 2, 0,
     "usage: scheckpoint diff [--json] [-d DIR] JOBID.GENERATION [GENERATION]\n"
     "\n"
     "Shows what changed from one checkpoint of a job to another (default: the last): processes,\n"
     "saved memory, open files, the node.\n"},
    {"prune", cmd_prune, 0, ARGS_MAX, PRUNES,
     "usage: scheckpoint prune [--keep N] [--older-than TIME] [--dry-run] [--user NAME] [--json]\n"
     "                         [-d DIR] JOBID... | --all-jobs\n"
     "\n"
     "Removes checkpoints and says how much they take and took. The last good one of a job that "
     "has\n"
     "not ended always stays.\n"
     "\n"
     "  --keep N           leave the N newest good ones of each job (default 1, with --older-than "
     "0).\n"
     "                     Of a job that has ended and has none left all files go\n"
     "  --older-than TIME  remove only what is older: 14d, 36h, or a time as sbatch --time has it\n"
     "  --all-jobs         of all your jobs\n"
     "  --dry-run          remove nothing, say what would be removed\n"
     "  --user NAME        (root) become that user first, and remove his\n"},
};

static void print_usage(FILE *to)
{
    fputs("usage: scheckpoint [OPTION...] VERB [JOBID]\n"
          "\n"
          "  create JOBID       checkpoint a running job, which runs on\n"
          "  list [JOBID]       list your checkpoints\n"
          "  error JOBID        tell what last went wrong\n"
          "  show JOBID[.GEN]   look inside a checkpoint\n"
          "  verify JOBID[.GEN] read checkpoints wholly and verify them\n"
          "  diff JOBID.GEN GEN tell what changed between two of them\n"
          "  prune JOBID        remove old ones\n"
          "  help [VERB]        tell more about a verb\n"
          "\n"
          "  -d, --checkpoint-dir=DIR  the checkpoints' directory (default: SLURM_CHECKPOINT_DIR,\n"
          "                     SBATCH_CHECKPOINT_DIR, else the site's)\n"
          "  --conf=FILE        the site's checkpoint.conf (default: SCHECKPOINT_CONF, else\n"
          "                     " CONF_DEFAULT_PATH ")\n"
          "  --json             print JSON\n"
          "  -h, --help         this text, or a verb's\n"
          "  -V, --version\n"
          "\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 timed out.\n",
          to);
}

int cmd_print_json(json_t *o)
{
    int rc = o ? json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

    json_decref(o);
    putchar('\n');
    return rc;
}

json_t *cmd_json_string(const char *s)
{
    json_t *o = json_string(s);
    char *copy;

    if (o)
        return o;
    copy = strdup(s);
    if (copy)
        err_clean(copy);
    o = copy ? json_string(copy) : NULL;
    free(copy);
    return o;
}

int cmd_fail(const struct cmd *c, int status, const struct err *err)
{
    static const char *const states[] = {"done", "failed", "usage", "refused", "timeout"};
    struct err clean = *err;

    err_clean(clean.text);
    if (c->json)
        cmd_print_json(json_pack("{s:s?, s:s, s:s}", "argument", c->job, "state", states[status],
                                 "text", clean.text));
    /* A progress line may be there still. */
    fprintf(stderr, "%sscheckpoint: %s\n", isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "",
            clean.text);
    return status;
}

bool cmd_is_root(const struct cmd *c, const char *verb, struct err *err)
{
    if (geteuid() != 0)
        return false;
    errno = EPERM;
    err_set(err, "only a job's owner opens its checkpoints: sudo -u USER scheckpoint %s%s%s", verb,
            c->job ? " " : "", c->job ? c->job : "");
    return true;
}

static int usage_error(const char *what, const char *which)
{
    char clean[200];

    snprintf(clean, sizeof clean, "%s", which);
    err_clean(clean);
    fprintf(stderr, "scheckpoint: %s%s%s (scheckpoint --help tells more)\n", what,
            *clean ? ": " : "", clean);
    return CMD_USAGE;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
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

/* The command line, taken apart. */
struct line {
    struct cmd cmd;
    const char *words[1 + ARGS_MAX]; /* verb, arguments */
    int nwords;
    bool help, version;
    unsigned takes; /* which verb's options were there */
};

static int parse_prune_option(int opt, struct cmd *c)
{
    switch (opt) {
    case OPT_DRY_RUN:
        c->dry_run = true;
        return 0;
    case OPT_KEEP:
        c->has_keep = true;
        return strcmp(optarg, "0") == 0 || parse_seconds(optarg, &c->keep)
                   ? 0
                   : usage_error("--keep wants a number", optarg);
    case OPT_OLDER_THAN:
        c->has_older_than = true;
        return text_parse_age(optarg, &c->older_than)
                   ? 0
                   : usage_error("--older-than wants a time such as 14d, 36h or 1-12:00", optarg);
    default:
        c->user = optarg;
        return *optarg ? 0 : usage_error("--user wants a name", "");
    }
}

static int parse_option(int opt, struct line *l)
{
    switch (opt) {
    case 1: /* a word */
        if (l->nwords == (int)(sizeof l->words / sizeof l->words[0]))
            return usage_error("too many arguments", optarg);
        l->words[l->nwords++] = optarg;
        return 0;
    case 'd':
        if (!*optarg)
            return usage_error("-d wants a directory", "");
        l->cmd.dir = optarg;
        return 0;
    case OPT_CONF:
        l->cmd.conf = optarg;
        return 0;
    case OPT_JSON:
        l->cmd.json = true;
        return 0;
    case OPT_WAIT:
    case OPT_NO_WAIT:
        l->cmd.no_wait = opt == OPT_NO_WAIT;
        l->takes |= WAITS;
        return 0;
    case OPT_TIMEOUT:
        l->takes |= WAITS;
        return parse_seconds(optarg, &l->cmd.timeout)
                   ? 0
                   : usage_error("--timeout wants seconds from 1 to 31536000", optarg);
    case OPT_ALL:
    case OPT_ALL_JOBS:
        l->takes |= opt == OPT_ALL ? ALL : PRUNES;
        l->cmd.all = true;
        return 0;
    case OPT_DRY_RUN:
    case OPT_KEEP:
    case OPT_OLDER_THAN:
    case OPT_USER:
        l->takes |= PRUNES;
        return parse_prune_option(opt, &l->cmd);
    case 'h':
        l->help = true;
        return 0;
    case 'V':
        l->version = true;
        return 0;
    default:
        return CMD_USAGE; /* getopt has said what is wrong */
    }
}

static int help(const char *name)
{
    const struct verb *v = name ? find_verb(name) : NULL;

    if (name && !v)
        return usage_error("unknown verb", name);
    if (v)
        fputs(v->help, stdout);
    else
        print_usage(stdout);
    return CMD_DONE;
}

/* Are the words and options those of the verb? */
static int check_usage(const struct line *l, const struct verb *v)
{
    if (l->nwords - 1 > v->max_args)
        return usage_error("too many arguments", l->words[v->max_args + 1]);
    if (l->nwords - 1 < v->min_args)
        return usage_error("a job id is missing", "");
    if (l->takes & ~v->takes & WAITS)
        return usage_error("--wait, --no-wait and --timeout belong to create, not to", v->name);
    if (l->takes & ~v->takes & ALL)
        return usage_error("--all belongs to verify, not to", v->name);
    if (l->takes & ~v->takes)
        return usage_error(
            "--keep, --older-than, --all-jobs, --dry-run and --user belong to prune, not to",
            v->name);
    /* Verbs of many jobs want some, or all of them. */
    if (v->max_args == ARGS_MAX && l->cmd.all == (l->nwords > 1))
        return usage_error(
            l->cmd.all ? "either job ids or all jobs, not both" : "a job id is missing", "");
    return 0;
}

static int run(struct line *l)
{
    const struct verb *v;
    int status;

    if (l->version) {
        puts(PACKAGE_NAME " " PACKAGE_VERSION);
        return CMD_DONE;
    }
    if (l->nwords > 0 && strcmp(l->words[0], "help") == 0)
        return help(l->nwords > 1 ? l->words[1] : NULL);
    if (l->help)
        return help(l->nwords > 0 ? l->words[0] : NULL);
    if (l->nwords == 0) {
        print_usage(stderr);
        return CMD_USAGE;
    }
    v = find_verb(l->words[0]);
    if (!v)
        return usage_error("unknown verb", l->words[0]);
    status = check_usage(l, v);
    if (status)
        return status;
    l->cmd.job = l->nwords > 1 ? l->words[1] : NULL;
    l->cmd.args = l->words + 1;
    l->cmd.nargs = l->nwords - 1;
    return v->run(&l->cmd);
}

int main(int argc, char **argv)
{
    struct line l = {.cmd = {.conf = getenv("SCHECKPOINT_CONF")}};
    int opt, status;

    if (!l.cmd.conf || !*l.cmd.conf)
        l.cmd.conf = CONF_DEFAULT_PATH;
    /* '-': options and words in any order, whatever POSIXLY_CORRECT says. */
    while ((opt = getopt_long(argc, argv, "-d:hV", options, NULL)) != -1) {
        status = parse_option(opt, &l);
        if (status)
            return status;
    }
    for (; optind < argc; optind++) { /* behind "--" */
        optarg = argv[optind];
        status = parse_option(1, &l);
        if (status)
            return status;
    }
    status = run(&l);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "scheckpoint: cannot write the result: %s\n", strerror(errno));
        return status == CMD_DONE ? CMD_FAILED : status;
    }
    return status;
}
