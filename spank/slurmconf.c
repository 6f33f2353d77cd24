/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slurmconf.h"

#include "common/slurmapi.h"

#include <dlfcn.h>
#include <errno.h>
#include <slurm/slurm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int slurmconf_proctrack(char *out, size_t size, struct err *err)
{
    const slurm_conf_t *conf = dlsym(RTLD_DEFAULT, "slurm_conf");
    const char *type = conf ? conf->proctrack_type : NULL;
    const char *slash = type ? strrchr(type, '/') : NULL;

    if (!slash || strlen(slash + 1) >= size) {
        errno = ENOENT;
        return err_set(err, "cannot learn ProctrackType from slurmstepd");
    }
    memcpy(out, slash + 1, strlen(slash));
    return 0;
}

bool slurmconf_memory_kill(void)
{
    const slurm_conf_t *conf = dlsym(RTLD_DEFAULT, "slurm_conf");
    const char *params = conf ? conf->job_acct_gather_params : NULL;

    return params && strcasestr(params, "OverMemoryKill");
}

bool slurmconf_warns(void)
{
    const slurm_conf_t *conf = dlsym(RTLD_DEFAULT, "slurm_conf");

    return conf && conf->slurmctld_params && strstr(conf->slurmctld_params, "send_user_signal");
}

const char *slurmconf_cluster(void)
{
    const slurm_conf_t *conf = dlsym(RTLD_DEFAULT, "slurm_conf");

    return conf && conf->cluster_name ? conf->cluster_name : "";
}

static const char *unended(uint32_t state)
{
    switch (state & JOB_STATE_BASE) {
    case JOB_PENDING:
        return "PENDING";
    case JOB_RUNNING:
        return "RUNNING";
    case JOB_SUSPENDED:
        return "SUSPENDED";
    default:
        return NULL;
    }
}

static bool is_job(const slurm_job_info_t *j, uint32_t job, uint32_t task)
{
    return task == 0 ? j->job_id == job : j->array_job_id == job && j->array_task_id == task - 1;
}

const char *slurmconf_job_unended(uint32_t job, uint32_t task)
{
    /* As this release's header declares them: they differ. */
    __typeof__(&slurm_load_job) load =
        (__typeof__(&slurm_load_job))dlsym(RTLD_DEFAULT, "slurm_load_job");
    __typeof__(&slurm_free_job_info_msg) done =
        (__typeof__(&slurm_free_job_info_msg))dlsym(RTLD_DEFAULT, "slurm_free_job_info_msg");
    job_info_msg_t *msg = NULL;
    const char *state = NULL;

    if (!load || !done || load(&msg, SLURMAPI_JOB(job), SHOW_ALL) != SLURM_SUCCESS)
        return NULL;
    for (uint32_t i = 0; i < msg->record_count; i++)
        if (is_job(&msg->job_array[i], job, task))
            state = unended(msg->job_array[i].job_state);
    done(msg);
    return state;
}

int slurmconf_replace_program(spank_t sp, const char *program, const char *original,
                              struct err *err)
{
    int (*prepend)(spank_t, int, const char **) =
        (int (*)(spank_t, int, const char **))dlsym(RTLD_DEFAULT, "spank_prepend_task_argv");
    char **argv = NULL, *copy;
    int argc = 0;

    if (prepend) {
        const char *args[] = {program};

        if (prepend(sp, 1, args) != ESPANK_SUCCESS) {
            errno = EINVAL;
            return err_set(err, "spank_prepend_task_argv failed");
        }
        return 0;
    }
    if (spank_get_item(sp, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1 || !argv[0]) {
        errno = EINVAL;
        return err_set(err, "the task's arguments cannot be read");
    }
    copy = strdup(program);
    if (!copy)
        return err_sys(err, "no memory");
    if (spank_setenv(sp, original, argv[0], 1) != ESPANK_SUCCESS) {
        free(copy);
        errno = EINVAL;
        return err_set(err, "cannot set %s in the task's environment", original);
    }
    argv[0] = copy; /* the process is about to exec: nobody frees either string */
    return 0;
}

bool slurmconf_can_prepend(void)
{
    return dlsym(RTLD_DEFAULT, "spank_prepend_task_argv") != NULL;
}

/* slurmstepd's own; its configuration is the second of the step's arguments (22.05, multi_prog.c). */
typedef int (*get_argv_fn)(char *config, char **env, int rank, uint32_t *argc, char ***argv,
                           int global_argc, char **global_argv);

int slurmconf_exec_multi(spank_t sp, const char *program, const char *original, struct err *err)
{
    get_argv_fn get_argv = (get_argv_fn)dlsym(RTLD_DEFAULT, "multi_prog_get_argv");
    char **step_argv = NULL, **env = NULL, **argv = NULL;
    uint32_t rank = 0, argc = 0;
    int step_argc = 0;

    errno = ENOTSUP;
    if (!get_argv || spank_get_item(sp, S_JOB_ARGV, &step_argc, &step_argv) != ESPANK_SUCCESS ||
        step_argc < 2 || spank_get_item(sp, S_TASK_GLOBAL_ID, &rank) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_ENV, &env) != ESPANK_SUCCESS)
        return err_set(err, "the program of this task of srun --multi-prog cannot be found out");
    if (get_argv(step_argv[1], env, (int)rank, &argc, &argv, step_argc, step_argv) != 0 ||
        argc < 1 || !argv[0])
        return err_set(err, "srun --multi-prog: no program for task %u", rank);
    if (spank_setenv(sp, original, argv[0], 1) != ESPANK_SUCCESS ||
        spank_get_item(sp, S_JOB_ENV, &env) != ESPANK_SUCCESS)
        return err_set(err, "cannot set %s in the task's environment", original);
    argv[0] = (char *)(uintptr_t)program;
    execve(program, argv, env);
    return err_sys(err, "%s", program);
}
