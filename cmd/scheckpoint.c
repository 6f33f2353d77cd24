/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scheckpoint - the user's and the administrator's command; see scheckpoint(1).
 */
#include "config.h"

#include "cmd/options.h"
#include "cmd/verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the overview shows them. */
static const struct verb *const verbs[] = {
    &verb_create, &verb_vacate, &verb_requeue, &verb_able,  &verb_disable,
    &verb_enable, &verb_list,   &verb_history, &verb_error, &verb_show,
    &verb_check,  &verb_verify, &verb_diff,    &verb_prune,   &verb_doctor,
    &verb_metrics, &verb_run,
};
#define NVERBS (sizeof verbs / sizeof verbs[0])

static void print_usage(FILE *to)
{
    char left[80];

    fputs("usage: scheckpoint [OPTION...] VERB [JOBID...]\n\n", to);
    for (size_t i = 0; i < NVERBS; i++) {
        snprintf(left, sizeof left, "%s %s", verbs[i]->name, verbs[i]->args);
        fprintf(to, "  %-20s %s\n", left, verbs[i]->summary);
    }
    fputs("  help [VERB]          tell more about a verb\n"
          "\n"
          "  -d, --checkpoint-dir=DIR  the checkpoints' directory (default: SLURM_CHECKPOINT_DIR,\n"
          "                       SBATCH_CHECKPOINT_DIR, else the site's)\n"
          "  --conf=FILE          the site's checkpoint.conf (default: SCHECKPOINT_CONF, else\n"
          "                       " CONF_DEFAULT_PATH ")\n"
          "  --json               print JSON\n"
          "  -h, --help           this text, or a verb's\n"
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

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < NVERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static int help(const char *name)
{
    const struct verb *v = name ? find_verb(name) : NULL;

    if (name && !v)
        return options_wrong("unknown verb", name);
    if (v)
        fputs(v->help, stdout);
    else
        print_usage(stdout);
    return CMD_DONE;
}

static int run(struct options *o)
{
    const struct verb *v;
    int status;

    if (o->version) {
        puts(PACKAGE_NAME " " PACKAGE_VERSION);
        return CMD_DONE;
    }
    if (o->nwords > 0 && strcmp(o->words[0], "help") == 0)
        return help(o->nwords > 1 ? o->words[1] : NULL);
    if (o->help)
        return help(o->nwords > 0 ? o->words[0] : NULL);
    if (o->nwords == 0) {
        print_usage(stderr);
        return CMD_USAGE;
    }
    v = find_verb(o->words[0]);
    if (!v)
        return options_wrong("unknown verb", o->words[0]);
    status = options_check(o, v);
    if (status)
        return status;
    o->cmd.job = o->nwords > 1 ? o->words[1] : NULL;
    o->cmd.args = o->words + 1;
    o->cmd.nargs = o->nwords - 1;
    return v->run(&o->cmd);
}

int main(int argc, char **argv)
{
    static struct options o;
    int status;

    o.cmd.conf = getenv("SCHECKPOINT_CONF");
    if (!o.cmd.conf || !*o.cmd.conf)
        o.cmd.conf = CONF_DEFAULT_PATH;
    status = options_parse(argc, argv, &o);
    if (status)
        return status;
    status = run(&o);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "scheckpoint: cannot write the result: %s\n", strerror(errno));
        return status == CMD_DONE ? CMD_FAILED : status;
    }
    return status;
}
