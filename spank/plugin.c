/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * checkpoint.so - the SPANK callbacks: each checks its context, calls one function, returns.
 *
 * Nothing here may hurt a job that did not ask for checkpoints, nor drain a node: every callback
 * returns success whatever happens.  What must be refused at submission ends sbatch itself, because
 * Slurm ignores what an `optional` plugin returns from init_post_opt.
 */
#include "common/conf.h"
#include "spank/launch.h"
#include "spank/leftgroup.h"
#include "spank/node.h"
#include "spank/restarts.h"
#include "spank/srun.h"
#include "spank/submit.h"

#include <errno.h>
#include <pwd.h>
#include <slurm/slurm.h>
#include <slurm/spank.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC visibility push(default)
SPANK_PLUGIN(checkpoint, 1)
#pragma GCC visibility pop

#define NONCE_ENV                                                                                  \
    "CHECKPOINT_NONCE" /* job control environment: SPANK_CHECKPOINT_NONCE in the prolog */

static struct {
    bool asked;
    char *spec, *dir;
} options;

static const char *conf_path(int ac, char **av)
{
    for (int i = 0; i < ac; i++)
        if (strncmp(av[i], "conf=", 5) == 0)
            return av[i] + 5;
    return CONF_DEFAULT_PATH;
}

static int keep_argument(char **where, const char *value)
{
    char *copy = strdup(value ? value : "");

    if (!copy)
        return -1;
    free(*where);
    *where = copy;
    return 0;
}

static int option_checkpoint(int val, const char *value, int remote)
{
    struct err err = {{0}};
    struct spec s;

    (void)val;
    /* A bare option is NULL here, "" in a batch step and "(null)" in an inner srun. */
    if (value && strcmp(value, "(null)") == 0)
        value = "";
    if (value && strcmp(value, "off") == 0) { /* after an option of the environment's */
        options.asked = false;
        return 0;
    }
    if (!remote && spec_parse(value, &s, &err) < 0) {
        slurm_error("--checkpoint: %s", err.text);
        return -1;
    }
    if (!remote && spank_context() == S_CTX_ALLOCATOR)
        submit_append_output();
    options.asked = true;
    return keep_argument(&options.spec, value);
}

static int option_dir(int val, const char *value, int remote)
{
    (void)val;
    (void)remote;
    return keep_argument(&options.dir, value);
}

static struct spank_option spank_option_table[] = {
    {(char[]){"checkpoint"}, (char[]){"[SPEC]"},
     (char[]){"checkpoint the job and restore it when it is requeued; SPEC: interval (Slurm time) "
              "and/or key=value,... (see spank-checkpoint(8))"},
     2, 0, option_checkpoint},
    {(char[]){"checkpoint-dir"}, (char[]){"DIR"},
     (char[]){"directory of yours for the job's checkpoints, on a filesystem that all nodes share"},
     1, 0, option_dir},
};

int slurm_spank_init(spank_t sp, int ac, char **av)
{
    spank_context_t context = spank_context();

    (void)ac;
    (void)av;
    if (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR && context != S_CTX_REMOTE)
        return ESPANK_SUCCESS;
    for (size_t i = 0; i < sizeof spank_option_table / sizeof spank_option_table[0]; i++)
        if (spank_option_register(sp, &spank_option_table[i]) != ESPANK_SUCCESS)
            slurm_error(
                "checkpoint: option --%s cannot be registered: is the plugin in plugstack.conf "
                "twice, or has another plugin an option of that name?",
                spank_option_table[i].name);
    if (context != S_CTX_REMOTE)
        submit_environment(context == S_CTX_LOCAL);
    return ESPANK_SUCCESS;
}

/* Ends sbatch: see the top of this file. */
static void refuse(const struct err *err)
{
    slurm_error("checkpoint: %s", err->text);
    exit(1);
}

static struct conf *load_conf(const char *path)
{
    struct err err = {{0}};
    struct conf *conf = malloc(sizeof *conf);

    if (!conf)
        err_sys(&err, "no memory");
    if (!conf || conf_load(path, conf, &err) < 0)
        refuse(&err);
    return conf;
}

static void set_nonce(spank_t sp)
{
    struct err err = {{0}};
    char nonce[17];

    if (submit_nonce(nonce, &err) < 0)
        refuse(&err);
    if (spank_job_control_setenv(sp, NONCE_ENV, nonce, 1) != ESPANK_SUCCESS) {
        err_set(&err, "Slurm does not take the job's key");
        refuse(&err);
    }
    /* Of the job that this one is submitted from; run_without() would take it for this one's. */
    unsetenv("SLURM_RESTART_COUNT");
}

/* Of a heterogeneous job the script is checkpointed, which runs in the first component; Slurm requeues all of them
 * together.  Its steps, and those of salloc and srun, may be in another component, a job with an id of its own, of which
 * the checkpoints know nothing. */
static void refuse_het(struct err *err, const char *what)
{
    errno = ENOTSUP;
    err_set(err, "%s of several components (hetjob, ':') cannot be checkpointed", what);
}

/* sbatch and salloc; called for each component of a heterogeneous job, any of which may have asked. */
static void submit(spank_t sp, const char *path, unsigned component)
{
    enum submit_kind kind = submit_kind();
    struct err err = {{0}};
    struct conf *conf;

    /* salloc inside a job with checkpoints inherits the option by the environment. */
    if (kind == SUBMIT_SALLOC && !submit_on_command_line())
        return;
    if (component > 0 && kind != SUBMIT_SBATCH) {
        refuse_het(&err, "an allocation");
        refuse(&err);
    }
    conf = load_conf(path);
    if (submit_check(conf, options.spec, options.dir, kind, &err) < 0)
        refuse(&err);
    set_nonce(sp);
    free(conf);
}

/* A step that was not asked for on its own command line runs without checkpoints when there can be none. */
static void srun_without(const struct err *err)
{
    if (submit_on_command_line())
        refuse(err);
    slurm_info("checkpoint: the tasks of this step are not checkpointed: %s", err->text);
}

/* The prolog runs on a node where the script is not when the job's first step comes there, with what srun sends: which
 * (22.05 to 24.11) does not have what sbatch has set, unless it is set here once more. */
static void send_nonce(spank_t sp)
{
    const char *nonce = getenv(SRUN_NONCE_ENV);

    if (nonce && spank_job_control_setenv(sp, NONCE_ENV, nonce, 1) != ESPANK_SUCCESS)
        slurm_error("checkpoint: Slurm does not take the job's key: on further nodes the tasks of "
                    "this step are not checkpointed");
}

static void srun_inside(spank_t sp, const struct conf *conf, const struct spec *s)
{
    enum srun_verdict verdict;
    struct err err = {{0}};
    char key[64];
    int code;

    if (srun_claim(conf, options.dir, s->name, &verdict, key, &code, &err) < 0) {
        srun_without(&err);
        return;
    }
    if (verdict == SRUN_DONE) {
        slurm_info("checkpoint: this step ended with exit code %d before the job was requeued: it "
                   "is not run again",
                   code);
        exit(code);
    }
    send_nonce(sp);
    srun_export(key);
}

static void srun_alone(spank_t sp, const struct conf *conf, const struct spec *s)
{
    struct err err = {{0}};
    char word[17], key[64], *command = srun_command(word);

    if (!command)
        err_sys(&err, "srun's own command line");
    if (!command || submit_check(conf, options.spec, options.dir, SUBMIT_SRUN, &err) < 0)
        refuse(&err);
    free(command);
    set_nonce(sp);
    snprintf(key, sizeof key, "%s-0", s->name[0] ? s->name : word);
    srun_export(key);
}

/* Called for each component of a heterogeneous step.  Their tasks have the same numbers, and would share directories:
 * the second takes back what the first was given. */
static void srun_step(spank_t sp, const char *path, unsigned component)
{
    struct err err = {{0}};
    struct conf *conf;
    struct spec s;

    srun_export(NULL);
    if (component > 1)
        return;
    if (component == 1)
        refuse_het(&err, "a step");
    if (component == 1 || srun_possible(&err) < 0) {
        srun_without(&err);
        return;
    }
    conf = load_conf(path);
    if (spec_parse(options.spec, &s, &err) < 0)
        refuse(&err);
    if (srun_where() == SRUN_INSIDE)
        srun_inside(sp, conf, &s);
    else
        srun_alone(sp, conf, &s);
    free(conf);
}

static struct {
    char name[64], home[PATH_MAX];
} user;

/* Here, in slurmstepd itself, and not in the task: that is a fork of a process with threads, which may hold
 * the locks of the name service. */
static void look_up_user(spank_t sp)
{
    struct passwd pw, *found = NULL;
    char buf[16384];
    uid_t uid = 0;

    if (spank_get_item(sp, S_JOB_UID, &uid) != ESPANK_SUCCESS ||
        getpwuid_r(uid, &pw, buf, sizeof buf, &found) != 0 || !found)
        return;
    snprintf(user.name, sizeof user.name, "%s", pw.pw_name);
    snprintf(user.home, sizeof user.home, "%s", pw.pw_dir);
}

int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
    static unsigned component;
    spank_context_t context = spank_context();

    if (context == S_CTX_ALLOCATOR && options.asked)
        submit(sp, conf_path(ac, av), component);
    if (context == S_CTX_LOCAL && options.asked)
        srun_step(sp, conf_path(ac, av), component);
    component++;
    if (context == S_CTX_ALLOCATOR || context == S_CTX_LOCAL)
        submit_finish();
    if (context == S_CTX_REMOTE && options.asked)
        look_up_user(sp);
    return ESPANK_SUCCESS;
}

/* --- root on the node ------------------------------------------------------------------------- */

/* The spank_job_control functions crash slurmstepd in prolog and epilog (22.05 to 26.05): the environment it is. */
int slurm_spank_job_prolog(spank_t sp, int ac, char **av)
{
    const char *nonce = getenv("SPANK_" NONCE_ENV);

    (void)sp;
    if (nonce)
        node_prolog(conf_path(ac, av), nonce);
    return ESPANK_SUCCESS;
}

int slurm_spank_job_epilog(spank_t sp, int ac, char **av)
{
    (void)sp;
    if (getenv("SPANK_" NONCE_ENV))
        node_epilog(conf_path(ac, av));
    return ESPANK_SUCCESS;
}

int slurm_spank_exit(spank_t sp, int ac, char **av)
{
    uint32_t job = 0, step = 0;

    if (spank_context() != S_CTX_REMOTE || !options.asked || geteuid() != 0)
        return ESPANK_SUCCESS;
    leftgroup_remove();
    if (spank_get_item(sp, S_JOB_ID, &job) == ESPANK_SUCCESS &&
        spank_get_item(sp, S_JOB_STEPID, &step) == ESPANK_SUCCESS &&
        step < SLURM_MAX_NORMAL_STEP_ID)
        node_end_step(conf_path(ac, av), job, step);
    return ESPANK_SUCCESS;
}

/* --- the task ----------------------------------------------------------------------------------
 */

static struct err launch_error;
static int launch_errno;
static bool launch_failed;

static char step_key[64], job_nonce[24];

/* The batch script, or a task of a step of srun's; not what Slurm calls the extern and interactive steps.  A step
 * whose srun found that it cannot be checkpointed has no key. */
static bool is_our_task(spank_t sp)
{
    uint32_t step = 0;

    if (!options.asked || spank_context() != S_CTX_REMOTE ||
        spank_get_item(sp, S_JOB_STEPID, &step) != ESPANK_SUCCESS)
        return false;
    if (step == SLURM_BATCH_SCRIPT)
        return true;
    return step < SLURM_MAX_NORMAL_STEP_ID &&
           spank_getenv(sp, SRUN_KEY_ENV, step_key, sizeof step_key) == ESPANK_SUCCESS;
}

static void stop_if_unrecoverable(void)
{
    if (errno != ENOTRECOVERABLE)
        return;
    slurm_error("checkpoint: the task cannot be started: %s", launch_error.text);
    dprintf(STDERR_FILENO, "checkpoint: the task cannot be started: %s\n", launch_error.text);
    _exit(1);
}

static void describe_task(spank_t sp, struct policy_task *task)
{
    const char *node = getenv("SLURMD_NODENAME"); /* slurmstepd's own, not the task's */

    *task = (struct policy_task){.user = user.name,
                                 .home = user.home,
                                 .spec = options.spec,
                                 .dir = options.dir,
                                 .node = node ? node : "",
                                 .nonce = job_nonce,
                                 .key = step_key};
    if (spank_getenv(sp, SRUN_NONCE_ENV, job_nonce, sizeof job_nonce) != ESPANK_SUCCESS)
        job_nonce[0] = '\0';
    spank_get_item(sp, S_JOB_STEPID, &task->step);
    task->batch = task->step == SLURM_BATCH_SCRIPT;
    if (!task->batch) {
        spank_get_item(sp, S_TASK_GLOBAL_ID, &task->taskid);
        spank_get_item(sp, S_JOB_TOTAL_TASK_COUNT, &task->ntasks);
    }
    spank_get_item(sp, S_JOB_ID, &task->job);
    spank_get_item(sp, S_JOB_ALLOC_MEM, &task->memory_mib);
    spank_get_item(sp, S_JOB_UID, &task->uid);
    spank_get_item(sp, S_JOB_GID, &task->gid);
    if (spank_get_item(sp, S_JOB_ARRAY_ID, &task->array_job) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_ARRAY_TASK_ID, &task->array_task) != ESPANK_SUCCESS ||
        task->array_job == 0)
        task->array_job = task->array_task = 0;
}

int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av)
{
    struct policy_task task;
    struct conf *conf;
    int rc;

    if (!is_our_task(sp))
        return ESPANK_SUCCESS;
    describe_task(sp, &task);
    conf = malloc(sizeof *conf);
    rc = conf && conf_load(conf_path(ac, av), conf, &launch_error) == 0
             ? launch_prepare(conf, &task, &launch_error)
             : -1;
    launch_failed = rc < 0;
    launch_errno = errno;
    if (launch_failed)
        stop_if_unrecoverable();
    free(conf);
    return ESPANK_SUCCESS;
}

/* A first start runs without checkpoints.  A restart would begin from the start and write over what
 * the job has done: it does so only when nothing was saved. */
static void run_without(spank_t sp, const char *path)
{
    struct err err = {{0}};
    struct policy_task task;
    struct conf *conf;
    struct spec spec;
    char count[16] = "";
    bool again, restores;

    slurm_error("checkpoint: not available for this job: %s", launch_error.text);
    if (launch_errno == RESTARTS_E_ELSEWHERE) { /* nor may it touch what its successor works on */
        dprintf(STDERR_FILENO, "checkpoint: %s: this start of it ends\n", launch_error.text);
        _exit(1);
    }
    describe_task(sp, &task);
    spank_getenv(sp, "SLURM_RESTART_COUNT", count, sizeof count);
    again = strtoul(count, NULL, 10) > 0;
    restores = task.batch && spec_parse(options.spec, &spec, &err) == 0 && spec.has_restore;
    if (restores && !again) {
        dprintf(STDERR_FILENO,
                "checkpoint: the checkpoint of job %u cannot be restored on this node: %s. The job "
                "ends here\n",
                spec.restore_job, launch_error.text);
        _exit(1);
    }
    if (!again) {
        dprintf(STDERR_FILENO, "checkpoint: this job runs without checkpoints: %s\n",
                launch_error.text);
        return;
    }
    conf = malloc(sizeof *conf);
    if (!conf || conf_load(path, conf, &err) < 0 ||
        launch_hold(sp, conf, &task, restores, launch_error.text, &err) < 0) {
        dprintf(
            STDERR_FILENO,
            "checkpoint: this job cannot be restored on this node (%s; %s). It ends here instead "
            "of "
            "starting over; its checkpoints are kept: scontrol requeue %u when this is mended\n",
            launch_error.text, err.text, task.job);
        _exit(1);
    }
    free(conf);
}

int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
    if (!is_our_task(sp))
        return ESPANK_SUCCESS;
    if (!launch_failed && launch_start(sp, &launch_error) < 0) {
        launch_failed = true;
        stop_if_unrecoverable();
    }
    launch_clear_bit();
    if (launch_failed)
        run_without(sp, conf_path(ac, av));
    else
        launch_finish(sp);
    return ESPANK_SUCCESS;
}
