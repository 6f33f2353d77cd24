/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/node.h"

#include "common/conf.h"
#include "spank/expire.h"
#include "spank/metrics.h"
#include "spank/state.h"
#include "spank/tally.h"

#include <errno.h>
#include <slurm/spank.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool environment_number(const char *name, uint32_t *value)
{
    const char *text = getenv(name);
    char *end;
    unsigned long v;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *end || v > UINT32_MAX)
        return false;
    *value = (uint32_t)v;
    return true;
}

void node_prolog(const char *path, const char *nonce)
{
    struct err err = {{0}};
    struct conf *conf = malloc(sizeof *conf);
    const char *cluster = getenv("SLURM_CLUSTER_NAME"), *node = getenv("SLURMD_NODENAME");
    struct state s;

    memset(&s, 0, sizeof s);
    snprintf(s.nonce, sizeof s.nonce, "%s", nonce);
    snprintf(s.cluster, sizeof s.cluster, "%s", cluster ? cluster : "");
    snprintf(s.node, sizeof s.node, "%s", node ? node : "");
    if (!conf || !environment_number("SLURM_JOB_ID", &s.job) ||
        !environment_number("SLURM_JOB_UID", &s.uid) ||
        !environment_number("SLURM_JOB_RESTART_COUNT", &s.epoch))
        slurm_error(
            "checkpoint: prolog: Slurm's environment lacks the job's id, uid or restart count");
    else if (strlen(nonce) != 16 || conf_load(path, conf, &err) < 0 ||
             state_store(conf->state_dir, &s, &err) < 0)
        slurm_error("checkpoint: prolog of job %u: %s", s.job, err.text);
    free(conf);
}

static void end_tally(const struct conf *conf, uint32_t job, const char *node)
{
    struct err err = {{0}};

    if (tally_fold(conf->state_dir, job, NULL, node, &err) < 0 ||
        (conf->metrics_dir[0] && metrics_write(conf->state_dir, node, conf->metrics_dir, &err) < 0))
        slurm_error("checkpoint: epilog of job %u: %s", job, err.text);
}

void node_end_step(const char *path, uint32_t job, uint32_t step)
{
    const char *node = getenv("SLURMD_NODENAME");
    struct err err = {{0}};
    struct conf *conf = node ? malloc(sizeof *conf) : NULL;

    if (!node)
        return;
    if (!conf || conf_load(path, conf, &err) < 0 ||
        tally_fold(conf->state_dir, job, &step, node, &err) < 0)
        slurm_error("checkpoint: end of step %u.%u: %s", job, step, err.text);
    free(conf);
}

void node_epilog(const char *path)
{
    const char *node = getenv("SLURMD_NODENAME"), *cluster = getenv("SLURM_CLUSTER_NAME");
    struct err err = {{0}};
    struct conf *conf;
    uint32_t job, uid;

    if (!node || !environment_number("SLURM_JOB_ID", &job))
        return;
    conf = malloc(sizeof *conf);
    if (!conf || conf_load(path, conf, &err) < 0 ||
        state_close(conf->state_dir, job, node, &err) < 0) {
        slurm_error("checkpoint: epilog of job %u: %s", job, err.text);
    } else {
        end_tally(conf, job, node);
        if (cluster && environment_number("SLURM_JOB_UID", &uid) &&
            expire_start(conf, path, uid, cluster, &err) < 0)
            slurm_error("checkpoint: epilog of job %u: %s", job, err.text);
    }
    free(conf);
}
