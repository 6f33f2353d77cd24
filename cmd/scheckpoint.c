/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scheckpoint - the user's and the administrator's command; see scheckpoint(1).
 */
#include "config.h"

#include "cmd/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_CONF = 256, OPT_JSON, OPT_WAIT, OPT_NO_WAIT, OPT_TIMEOUT };

#define TIMEOUT_MAX (365u * 86400)

static const struct option options[] = {
    {"checkpoint-dir", required_argument, NULL, 'd'},
    {"conf", required_argument, NULL, OPT_CONF},
    {"json", no_argument, NULL, OPT_JSON},
    {"wait", no_argument, NULL, OPT_WAIT},
    {"no-wait", no_argument, NULL, OPT_NO_WAIT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const struct verb {
    const char *name;
    int (*run)(const struct cmd *);
    int min_args, max_args;
    bool waits; /* takes --wait, --no-wait, --timeout */
    const char *help;
} verbs[] = {
    {"create", cmd_create, 1, 1, true,
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
    {"list", cmd_list, 0, 1, false,
     "usage: scheckpoint list [--json] [-d DIR] [JOBID]\n"
     "\n"
     "Lists your checkpoints, or one job's, newest first.\n"},
    {"error", cmd_error, 1, 1, false,
     "usage: scheckpoint error [--json] [-d DIR] JOBID\n"
     "\n"
     "Tells the last failures of a job's checkpoints and restores, and its last good "
     "generation.\n"},
};

static void print_usage(FILE *to)
{
    fputs("usage: scheckpoint [OPTION...] VERB [JOBID]\n"
          "\n"
          "  create JOBID       checkpoint a running job, which runs on\n"
          "  list [JOBID]       list your checkpoints\n"
          "  error JOBID        tell what last went wrong\n"
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
    const char *words[3]; /* verb, arguments */
    int nwords;
    bool help, version, waits; /* waits: an option of create's was there */
};

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
        l->waits = true;
        return 0;
    case OPT_TIMEOUT:
        l->waits = true;
        return parse_seconds(optarg, &l->cmd.timeout)
                   ? 0
                   : usage_error("--timeout wants seconds from 1 to 31536000", optarg);
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

static int run(struct line *l)
{
    const struct verb *v;

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
    if (l->nwords - 1 > v->max_args)
        return usage_error("too many arguments", l->words[v->max_args + 1]);
    if (l->nwords - 1 < v->min_args)
        return usage_error("a job id is missing", "");
    if (l->waits && !v->waits)
        return usage_error("--wait, --no-wait and --timeout belong to create, not to", v->name);
    l->cmd.job = l->nwords > 1 ? l->words[1] : NULL;
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
