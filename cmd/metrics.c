/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/metrics.h"

#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/verb.h"
#include "spank/tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Slurm's name for this machine is the host's, without its domain, unless --node tells another. */
static void name_node(const struct cmd *c, char node[65])
{
    char host[65] = "";

    (void)gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    snprintf(node, 65, "%s", c->node ? c->node : host);
}

static int tell(const struct cmd *c, const struct conf *conf, const char *node, struct err *err)
{
    char *text;

    if (c->output)
        return metrics_write(conf->state_dir, node, c->output, err);
    text = metrics_text(conf->state_dir, node, err);
    if (!text)
        return -1;
    fputs(text, stdout);
    free(text);
    return 0;
}

static int run_metrics(const struct cmd *c)
{
    struct conf *conf;
    struct err err = {""};
    int status = CMD_DONE;
    char node[65];

    if (c->json)
        return options_wrong("metrics prints the text format of Prometheus, and no JSON", "");
    conf = calloc(1, sizeof *conf);
    name_node(c, node);
    errno = EPERM;
    if (geteuid() != 0) {
        err_set(&err, "a node's numbers are root's: sudo scheckpoint metrics");
        status = cmd_fail(c, CMD_REFUSED, &err);
    } else if (!conf || conf_load(c->conf, conf, &err) < 0 || tell(c, conf, node, &err) < 0) {
        status = cmd_fail(c, CMD_FAILED, &err);
    } else if (!tally_any(conf->state_dir, node)) {
        err_set(&err,
                "no counters of node %s: no job with checkpoints has run there since it was "
                "started, or Slurm has another name for it (--node)",
                node);
        /* Who has it done again and again begins before the first job. */
        status = c->output ? CMD_DONE : CMD_FAILED;
        (void)cmd_fail(c, status, &err);
    }
    free(conf);
    return status;
}

const struct verb verb_metrics = {
    .name = "metrics",
    .args = "[--output DIR]",
    .summary = "for root on a node: numbers for its monitoring",
    .run = run_metrics,
    .min_args = 0,
    .max_args = 0,
    .takes = VERB_NODE | VERB_OUTPUT,
    .help =
        "usage: scheckpoint metrics [--output DIR] [--node NODE] [--conf FILE]\n"
        "\n"
        "For the administrator, as root on a node: how many checkpoints were made there and\n"
        "failed, how long jobs stood still for them, how much was written, how many were\n"
        "restored, and when the newest of each running task was made, in the text format of\n"
        "Prometheus. Counted since the node was started; exit\n"
        "status 1 (with --output 0), and zeros, when nothing was yet.\n"
        "\n"
        "  --output DIR  into DIR/slurm_checkpoint_NODE.prom, for the node exporter's textfile\n"
        "                collector (MetricsDir in checkpoint.conf: at the end of each job)\n"
        "  --node NODE   the name that Slurm has for this machine, where it is another one\n",
};
