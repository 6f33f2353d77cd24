/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/preflight.h"
#include "cmd/cmd.h"
#include "cmd/target.h"
#include "cmd/text.h"
#include "cmd/verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *point_json(const struct preflight_point *x)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "point", x->name, "verdict",
                     preflight_word(x->verdict), "node", x->node, "text", x->text);
}

static int print_json(const struct target *t, const struct preflight *p)
{
    json_t *list = json_array();
    char host[65] = "", label[BASE_LABEL_MAX];

    (void)gethostname(host, sizeof host - 1);
    base_label(&t->job, label);
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(list, point_json(&p->points[i]));
    return cmd_print_json(json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "job", (json_int_t)t->job.job,
                                    "label", label, "generation", p->generation, "host", host,
                                    "verdict", preflight_word(preflight_worst(p)), "points", list));
}

static int print_text(const struct target *t, const struct preflight *p)
{
    char host[65] = "", label[BASE_LABEL_MAX];

    (void)gethostname(host, sizeof host - 1);
    base_label(&t->job, label);
    printf("job %s, %s, on %s\n", label, p->generation, host);
    for (size_t i = 0; i < p->n; i++)
        printf("  %-4s  %-11s  %s\n", preflight_word(p->points[i].verdict), p->points[i].name,
               p->points[i].text);
    return 0;
}

/* The same command as a step of one task there: what is to be looked at is the node. */
static int run_there(const struct cmd *c, const char *path, struct err *err)
{
    static const char *const inherited[] = {"SLURM_JOB_ID",       "SLURM_JOBID",  "SLURM_NODELIST",
                                            "SLURM_JOB_NODELIST", "SLURM_NNODES", "SLURM_NTASKS"};
    char self[PATH_MAX], node[300];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *argv[20];
    int k = 0;

    if (n <= 0)
        return err_sys(err, "/proc/self/exe");
    self[n] = '\0';
    snprintf(node, sizeof node, "--nodelist=%s", c->node);
    for (size_t i = 0; i < sizeof inherited / sizeof inherited[0]; i++)
        unsetenv(inherited[i]); /* a job of its own, wherever this is typed */
    argv[k++] = "srun";
    argv[k++] = "--quiet";
    argv[k++] = "--nodes=1";
    argv[k++] = "--ntasks=1";
    argv[k++] = "--job-name=scheckpoint-check";
    argv[k++] = node;
    argv[k++] = self;
    argv[k++] = "check";
    argv[k++] = "--conf";
    argv[k++] = c->conf;
    argv[k++] = "-d";
    argv[k++] = path;
    if (c->json)
        argv[k++] = "--json";
    argv[k++] = c->job;
    argv[k] = NULL;
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    return err_sys(err, "srun");
}

static void site_facts(const struct cmd *c, struct facts *f)
{
    struct conf *conf = calloc(1, sizeof *conf);

    if (conf && conf_load(c->conf, conf, NULL) < 0)
        conf_defaults(conf);
    if (conf)
        memcpy(f->criu, conf->criu, sizeof f->criu);
    free(conf);
}

static int check(const struct cmd *c, const struct target *t, struct err *err)
{
    struct facts *f = target_facts(c, t->path, &t->job, err);
    struct preflight *p = calloc(1, sizeof *p);
    struct target_name name;
    struct gendir_id id;
    int status = -1;

    if (f && !p)
        err_sys(err, "no memory");
    if (f && p && target_parse(c->job, &name) && target_find(t, &name, &id, err) == 0 &&
        (!c->node || run_there(c, t->path, err) == 0)) {
        site_facts(c, f);
        preflight_run(t->taskfd, id, f, true, p);
        status = c->json ? print_json(t, p) : print_text(t, p);
        status = status == 0 && preflight_worst(p) != PREFLIGHT_FAIL ? CMD_DONE : CMD_FAILED;
    }
    free(f);
    free(p);
    return status;
}

static int run_check(const struct cmd *c)
{
    struct target_name name;
    struct err err = {""};

    if (!target_parse(c->job, &name)) {
        err_set(&err, "not a job or a generation of one: %s (" TARGET_FORMS ")", c->job);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    return target_with(c, "check", &name, check);
}

const struct verb verb_check = {
    .name = "check",
    .args = "JOBID[.GEN]",
    .summary = "tell whether it would be restored here, or on a node",
    .run = run_check,
    .min_args = 1,
    .max_args = 1,
    .takes = VERB_NODE,
    .help = "usage: scheckpoint check [--node NODE] [--json] [-d DIR]\n"
            "           JOBID[.STEP[/TASK]][.GENERATION]\n"
            "\n"
            "Looks whether a checkpoint would come back to life, and touches nothing: a verdict\n"
            "(good, warn, fail) for each of munge, images, machine, kernel, criu, cpu, pids,\n"
            "pid_max, programs, inputs, outputs, directories, memory, processes, descriptors and\n"
            "space. Exit status 1 when one fails. A job does the same before it is restored.\n"
            "\n"
            "  --node NODE  look there, as a job of one task (srun)\n",
};
