/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor.h"

#include "cmd/text.h"
#include "cmd/verb.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 262144

void doctor_add(struct doctor *d, const char *name, enum preflight_verdict v, const char *fmt, ...)
{
    struct doctor_point *p = &d->points[d->n];
    va_list ap;

    if (d->n == DOCTOR_MAX)
        return;
    d->n++;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->verdict = v;
    va_start(ap, fmt);
    if (vsnprintf(p->text, sizeof p->text, fmt, ap) < 0)
        p->text[0] = '\0';
    va_end(ap);
    err_clean(p->text);
}

bool doctor_each(const char *path, const char *separators, bool (*fn)(char *piece, void *arg),
                 void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len;
    char *text = fd < 0 ? NULL : io_slurp(fd, FILE_BYTES, &len, NULL), *save = NULL;
    bool found = false;

    io_close(&fd);
    for (char *piece = text ? strtok_r(text, separators, &save) : NULL; piece && !found;
         piece = strtok_r(NULL, separators, &save))
        found = fn(piece, arg);
    free(text);
    return found;
}

static enum preflight_verdict worst(const struct doctor *d)
{
    enum preflight_verdict w = PREFLIGHT_GOOD;

    for (size_t i = 0; i < d->n; i++)
        if (d->points[i].verdict > w)
            w = d->points[i].verdict;
    return w;
}

static int print_json(const struct doctor *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "point", d->points[i].name,
                                              "verdict", preflight_word(d->points[i].verdict),
                                              "text", d->points[i].text));
    return cmd_print_json(json_pack("{s:o, s:s, s:o}", "node", cmd_json_string(d->node), "verdict",
                                    preflight_word(worst(d)), "points", list));
}

static int print_text(const struct doctor *d)
{
    size_t bad = 0, doubtful = 0;

    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_point *p = &d->points[i];

        printf("%-4s  %-10s  %s\n", preflight_word(p->verdict), p->name, p->text);
        bad += p->verdict == PREFLIGHT_FAIL;
        doubtful += p->verdict == PREFLIGHT_WARN;
    }
    if (bad > 0)
        printf("Checkpoints do not work on %s: %zu of %zu points failed.\n", d->node, bad, d->n);
    else if (doubtful > 0)
        printf("Checkpoints work on %s, as far as this tells; %zu points to look at.\n", d->node,
               doubtful);
    else
        printf("Checkpoints work on %s%s.\n", d->node,
               d->cmd->user ? "" : ", as far as this tells (--user NAME tries it)");
    return 0;
}

static int run_doctor(const struct cmd *c)
{
    struct doctor *d = calloc(1, sizeof *d);
    struct err err = {""};
    int status = CMD_DONE;

    if (!d) {
        err_sys(&err, "no memory");
        return cmd_fail(c, CMD_FAILED, &err);
    }
    if (geteuid() != 0) {
        errno = EPERM;
        err_set(&err, "the node's doctor looks at what only root may see: sudo scheckpoint doctor");
        status = cmd_fail(c, CMD_REFUSED, &err);
        goto done;
    }
    d->cmd = c;
    d->conf_named = strcmp(c->conf, CONF_DEFAULT_PATH) != 0;
    snprintf(d->conf_path, sizeof d->conf_path, "%s", c->conf);
    doctor_slurm(d);
    doctor_conf(d);
    doctor_node(d);
    if (c->user && worst(d) != PREFLIGHT_FAIL)
        doctor_try(d, c->user);
    else if (c->user)
        doctor_add(d, "try", PREFLIGHT_WARN, "not tried with user %s: mend the above first",
                   c->user);
    if ((c->json ? print_json(d) : print_text(d)) < 0 || worst(d) == PREFLIGHT_FAIL)
        status = CMD_FAILED;
done:
    free(d);
    return status;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .args = "[--user NAME]",
    .summary = "for root on a node: tell whether checkpoints work there",
    .run = run_doctor,
    .min_args = 0,
    .max_args = 0,
    .takes = VERB_USER | VERB_NODE,
    .help =
        "usage: scheckpoint doctor [--user NAME] [--node NODE] [--conf FILE] [--json]\n"
        "\n"
        "For the administrator, as root on a node: a verdict (good, warn, fail) for each thing\n"
        "that checkpoints need there: Slurm's configuration, plugstack.conf, checkpoint.conf,\n"
        "kernel, criu, the helpers and their capability, mount options, namespaces, munge,\n"
        "directories and space. Exit status 1 when one fails.\n"
        "\n"
        "  --user NAME  try it: two jobs of that user here, of which the second goes on\n"
        "               with the first one's checkpoint (a minute; a free CPU is needed)\n"
        "  --node NODE  the name that Slurm has for this machine, where it is another one\n",
};
