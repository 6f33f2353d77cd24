/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor.h"

#include "cmd/capture.h"
#include "cmd/doctor_release.h"

#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONFIG_BYTES 262144
#define PATIENCE_S 60
#define WORD_BYTES 16

/* The release that this program and the plugin were built for: its second number has no zero in front here. */
#define BUILT_MAJOR SLURM_VERSION_MAJOR(SLURM_VERSION_NUMBER)
#define BUILT_MINOR SLURM_VERSION_MINOR(SLURM_VERSION_NUMBER)

static void release(struct doctor *d, const char *config, const char *slurmd)
{
    const struct doctor_release built = {BUILT_MAJOR, BUILT_MINOR};
    char v[64] = "?", text[400];
    enum preflight_verdict verdict;

    capture_value(config, "SLURM_VERSION", v, sizeof v);
    verdict = doctor_release_judge(v, slurmd, built, text, sizeof text);
    doctor_add(d, "slurm", verdict, "%s", text);
}

#define CHILDREN "SignalChildrenProcesses"

/* Its value, the last one that is there.  Never the answer to doctor_each(). */
static bool take_children(char *line, void *arg)
{
    char *value = arg;

    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t");
    if (strncasecmp(line, CHILDREN, sizeof CHILDREN - 1) == 0) {
        line += sizeof CHILDREN - 1;
        line += strspn(line, " \t=");
        snprintf(value, WORD_BYTES, "%.*s", (int)strcspn(line, " \t\r"), line);
    }
    return false;
}

/* Slurm tells most of cgroup.conf but not this key (seen in the source of 24.11 to 26.05): it is read where this node's
 * daemons read it, beside slurm.conf.  What Slurm takes for a yes counts as one. */
static void children(struct doctor *d, const char *config)
{
    char path[PATH_MAX - 16] = "", value[WORD_BYTES] = "", *slash;

    capture_value(config, "SLURM_CONF", path, sizeof path);
    slash = strrchr(path, '/');
    if (!slash)
        return;
    snprintf(slash, sizeof path - (size_t)(slash - path), "/cgroup.conf");
    (void)doctor_each(path, "\n", take_children, value); /* there need not be one */
    if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0 ||
        strcasecmp(value, "up") == 0 || strcmp(value, "1") == 0)
        doctor_add(d, "signals", PREFLIGHT_WARN,
                   CHILDREN "=%s in %s ends a job's processes before its last checkpoint: say no",
                   value, path);
    else
        doctor_add(d, "signals", PREFLIGHT_GOOD, CHILDREN "=%s", *value ? value : "no");
}

static void tracking(struct doctor *d, const char *config)
{
    char v[128] = "?", ram[16] = "?", task[256] = "";

    capture_value(config, "ProctrackType", v, sizeof v);
    capture_value(config, "ConstrainRAMSpace", ram, sizeof ram);
    capture_value(config, "TaskPlugin", task, sizeof task);
    if (strstr(v, "pgid"))
        doctor_add(d, "proctrack", PREFLIGHT_FAIL,
                   "%s loses sight of a job's processes: checkpoints are refused; use "
                   "proctrack/cgroup",
                   v);
    else if (strstr(v, "linuxproc"))
        doctor_add(
            d, "proctrack", PREFLIGHT_WARN,
            "%s: no last checkpoint at a requeue, only earlier ones; proctrack/cgroup has it", v);
    else
        doctor_add(d, "proctrack", PREFLIGHT_GOOD, "%s", v);
    children(d, config);
    if (!strstr(task, "task/cgroup"))
        doctor_add(d, "memory", PREFLIGHT_WARN,
                   "TaskPlugin has no task/cgroup: no job has a limit that Linux enforces");
    else
        doctor_add(d, "memory", PREFLIGHT_GOOD, "task/cgroup, ConstrainRAMSpace=%s", ram);
}

static void requeue(struct doctor *d, const char *config)
{
    char v[32] = "", wait[32] = "", params[1024] = "", preempt[128] = "";
    long seconds;

    if (capture_value(config, "JobRequeue", v, sizeof v) && strcmp(v, "0") == 0)
        doctor_add(d, "requeue", PREFLIGHT_WARN,
                   "JobRequeue=0: only jobs submitted with --requeue come back");
    else
        doctor_add(d, "requeue", PREFLIGHT_GOOD, "JobRequeue=%s", v);
    capture_value(config, "KillWait", wait, sizeof wait);
    seconds = strtol(wait, NULL, 10);
    if (seconds < 60)
        doctor_add(
            d, "killwait", PREFLIGHT_WARN,
            "KillWait=%ld s is all that a last checkpoint has at a requeue or preemption; 120 "
            "suits large jobs",
            seconds);
    else
        doctor_add(d, "killwait", PREFLIGHT_GOOD, "KillWait=%ld s", seconds);
    capture_value(config, "PreemptMode", preempt, sizeof preempt);
    capture_value(config, "SlurmctldParameters", params, sizeof params);
    if (strstr(preempt, "REQUEUE") && !strstr(params, "send_user_signal"))
        doctor_add(
            d, "preempt", PREFLIGHT_WARN,
            "PreemptMode=%s without SlurmctldParameters=preempt_send_user_signal: jobs are not "
            "warned at the beginning of a GraceTime",
            preempt);
    else
        doctor_add(d, "preempt", PREFLIGHT_GOOD, "PreemptMode=%s", preempt);
}

/* slurmd on this machine has a name that need not be the machine's. */
static void name_node(struct doctor *d)
{
    char host[65] = "", *dot;

    if (d->cmd->node) {
        snprintf(d->node, sizeof d->node, "%s", d->cmd->node);
        return;
    }
    (void)gethostname(host, sizeof host - 1);
    dot = strchr(host, '.');
    if (dot)
        *dot = '\0';
    snprintf(d->node, sizeof d->node, "%s", host);
}

/* Slurm's release, as slurmd here has it, and the node's state. */
static void node_state(struct doctor *d, const char *config)
{
    const char *const argv[] = {"scontrol", "--oneliner", "show", "node", d->node, NULL};
    char text[8192], version[64] = "", *at, *state;
    struct err err = {""};
    bool known = capture_run(argv, PATIENCE_S, text, sizeof text, &err) == 0;

    at = known ? strstr(text, " Version=") : NULL;
    if (at)
        snprintf(version, sizeof version, "%.*s", (int)strcspn(at + strlen(" Version="), " \n"),
                 at + strlen(" Version="));
    release(d, config, version);
    state = known ? strstr(text, " State=") : NULL;
    if (!state) {
        doctor_add(d, "node", PREFLIGHT_FAIL,
                   "Slurm knows no node %s (--node NAME, if slurmd has another name here)",
                   d->node);
        return;
    }
    state += strlen(" State=");
    text[strcspn(text, "\n")] = '\0';
    state[strcspn(state, " ")] = '\0';
    if (strncmp(state, "DOWN", 4) == 0 || strncmp(state, "UNKNOWN", 7) == 0 ||
        strstr(state, "NOT_RESPONDING"))
        doctor_add(d, "node", PREFLIGHT_FAIL, "%s is %s: start slurmd, see its log", d->node,
                   state);
    else if (strstr(state, "DRAIN"))
        doctor_add(d, "node", PREFLIGHT_WARN, "%s is %s: it takes no jobs", d->node, state);
    else
        doctor_add(d, "node", PREFLIGHT_GOOD, "%s is %s", d->node, state);
}

/* Without PlugStackConfig Slurm takes the file beside slurm.conf; without a slurm.conf of its own a node keeps what slurmctld
 * gave it in /run/slurm/conf. */
static void find_plugstack(const char *config, char path[PATH_MAX])
{
    static const char run[] = "/run/slurm/conf/plugstack.conf";
    char conf[PATH_MAX] = "";
    const char *own = getenv("SLURM_CONF");

    if (capture_value(config, "PlugStackConfig", path, PATH_MAX) && path[0] == '/')
        return;
    if (own && own[0] == '/')
        snprintf(conf, sizeof conf, "%s", own);
    else
        capture_value(config, "SLURM_CONF", conf, sizeof conf);
    conf[conf[0] == '/' ? strrchr(conf, '/') - conf : 0] = '\0';
    if (snprintf(path, PATH_MAX, "%s/plugstack.conf", conf) >= PATH_MAX ||
        (!own && access(path, F_OK) < 0 && access(run, F_OK) == 0))
        snprintf(path, PATH_MAX, "%s", run);
}

void doctor_slurm(struct doctor *d)
{
    static const char *const argv[] = {"scontrol", "show", "config", NULL};
    char *config = malloc(CONFIG_BYTES), plugstack[PATH_MAX] = "", dirs[PATH_MAX] = "";
    struct err err = {""};
    int rc;

    name_node(d);
    if (!config) {
        doctor_add(d, "slurm", PREFLIGHT_FAIL, "no memory");
        return;
    }
    rc = capture_run(argv, PATIENCE_S, config, CONFIG_BYTES, &err);
    if (rc != 0) {
        config[strcspn(config, "\n")] = '\0';
        doctor_add(d, "slurm", PREFLIGHT_FAIL, "scontrol show config: %s",
                   rc < 0 ? err.text : config);
    } else {
        node_state(d, config);
        find_plugstack(config, plugstack);
        capture_value(config, "PluginDir", dirs, sizeof dirs);
        doctor_plugstack(d, plugstack, dirs);
        tracking(d, config);
        requeue(d, config);
    }
    free(config);
}
