/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/submit.h"

#include "common/io.h"
#include "common/spec.h"
#include "spank/policy.h"
#include "spank/slurmconf.h"
#include "spank/submit_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where Slurm looks for a plugin's option in the environment of sbatch and srun
 * (spank_process_env_options): SLURM_SPANK_ + _SLURM_SPANK_OPTION_PLUGIN_OPTION. */
#define OPTION_ENV "SLURM_SPANK__SLURM_SPANK_OPTION_checkpoint_checkpoint"
#define OPTION_DIR_ENV "SLURM_SPANK__SLURM_SPANK_OPTION_checkpoint_checkpoint_dir"

static bool append_set_by_us, step_append_set_by_us, option_set_by_us, dir_set_by_us,
    signal_set_by_us;

/* Calls fn with each argument of this process until it returns true. */
static bool each_argument(bool (*fn)(const char *))
{
    size_t len = 0;
    bool found = false;
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char *buf = fd < 0 ? NULL : io_slurp(fd, 4u << 20, &len, NULL);

    io_close(&fd);
    for (size_t i = 0; buf && i < len && !found; i += strlen(buf + i) + 1)
        found = fn(buf + i);
    free(buf);
    return found;
}

static bool is_checkpoint(const char *arg)
{
    return strcmp(arg, "--checkpoint") == 0 || strncmp(arg, "--checkpoint=", 13) == 0;
}

bool submit_on_command_line(void)
{
    return each_argument(is_checkpoint);
}

enum submit_kind submit_kind(void)
{
    return strcmp(program_invocation_short_name, "salloc") == 0 ? SUBMIT_SALLOC : SUBMIT_SBATCH;
}

static bool is_no_requeue(const char *arg)
{
    return strcmp(arg, "--no-requeue") == 0;
}

static bool is_export_file(const char *arg)
{
    return strcmp(arg, "--export-file") == 0 || strncmp(arg, "--export-file=", 14) == 0;
}

/* A batch script named on the command line with "#SBATCH ... OPTION".  A script on standard input
 * cannot be looked at: a job that may not be requeued says so when it starts. */
static bool script_has(const char *arg, const char *option)
{
    bool found = false;
    struct stat st;
    char *line = NULL;
    size_t size = 0;
    FILE *f;

    if (*arg == '-' || stat(arg, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    f = fopen(arg, "re");
    if (!f)
        return false;
    if (getline(&line, &size, f) > 2 && line[0] == '#' && line[1] == '!')
        while (!found && getline(&line, &size, f) > 0 && (*line == '#' || *line == '\n'))
            found = strncmp(line, "#SBATCH", 7) == 0 && strstr(line, option) != NULL;
    free(line);
    fclose(f);
    return found;
}

static bool script_no_requeue(const char *arg)
{
    return script_has(arg, "--no-requeue");
}

static bool script_export_file(const char *arg)
{
    return script_has(arg, "--export-file");
}

static bool is_signal(const char *arg)
{
    return strcmp(arg, "--signal") == 0 || strncmp(arg, "--signal=", 9) == 0;
}

static bool script_signal(const char *arg)
{
    return script_has(arg, "--signal");
}

static bool is_wrap_or_script(const char *arg)
{
    char start[2] = "";
    struct stat st;
    int fd;

    if (strncmp(arg, "--wrap", 6) == 0)
        return true;
    if (*arg == '-' || stat(arg, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    fd = open(arg, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, start, 2) != 2)
        start[0] = '\0';
    io_close(&fd);
    return start[0] == '#' && start[1] == '!';
}

/* SBATCH_SIGNAL would win over an #SBATCH line: only when the script can be seen to have none. */
static void warn_of_preemption(void)
{
    char signal[32];

    if (getenv("SBATCH_SIGNAL") || !slurmconf_warns() || each_argument(is_signal) ||
        each_argument(script_signal) || !each_argument(is_wrap_or_script))
        return;
    snprintf(signal, sizeof signal, "B:URG@%d", SUBMIT_WARNING_S);
    signal_set_by_us = setenv("SBATCH_SIGNAL", signal, 1) == 0;
}

void submit_append_output(void)
{
    if (!getenv("SBATCH_OPEN_MODE") && setenv("SBATCH_OPEN_MODE", "append", 1) == 0)
        append_set_by_us = true;
    warn_of_preemption();
}

void submit_environment(bool is_srun)
{
    const char *spec = getenv(is_srun ? "SLURM_CHECKPOINT" : "SBATCH_CHECKPOINT");
    const char *dir = getenv(is_srun ? "SLURM_CHECKPOINT_DIR" : "SBATCH_CHECKPOINT_DIR");

    if (spec && !getenv(OPTION_ENV))
        option_set_by_us = setenv(OPTION_ENV, spec, 1) == 0;
    if (dir && !getenv(OPTION_DIR_ENV))
        dir_set_by_us = setenv(OPTION_DIR_ENV, dir, 1) == 0;
    if (!is_srun && submit_kind() == SUBMIT_SBATCH && (spec || each_argument(is_checkpoint)))
        submit_append_output();
    /* A step's own output files (srun -o) are begun by the first run of the script only. */
    if (is_srun && getenv("SLURM_RESTART_COUNT") && getenv(OPTION_ENV) &&
        !getenv("SLURM_OPEN_MODE"))
        step_append_set_by_us = setenv("SLURM_OPEN_MODE", "append", 1) == 0;
}

void submit_finish(void)
{
    if (append_set_by_us)
        unsetenv("SBATCH_OPEN_MODE");
    if (step_append_set_by_us)
        unsetenv("SLURM_OPEN_MODE");
    if (option_set_by_us)
        unsetenv(OPTION_ENV);
    if (dir_set_by_us)
        unsetenv(OPTION_DIR_ENV);
    if (signal_set_by_us)
        unsetenv("SBATCH_SIGNAL");
    append_set_by_us = step_append_set_by_us = option_set_by_us = dir_set_by_us = false;
    signal_set_by_us = false;
}

int submit_check(const struct conf *conf, const char *spec, const char *dir, enum submit_kind kind,
                 struct err *err)
{
    const struct passwd *pw = getpwuid(getuid());
    const char *user = pw ? pw->pw_name : "";
    char expanded[PATH_MAX];
    struct spec s;

    if (getuid() == 0) {
        errno = EPERM;
        return err_set(err, "jobs of root are not checkpointed");
    }
    if (policy_spec(conf, user, spec, &s, err) < 0)
        return -1;
    if (!(dir && *dir) && !conf->dir[0]) {
        errno = ENOENT;
        return err_set(err, "this site has no default directory for checkpoints: give "
                            "--checkpoint-dir=DIR, a directory of yours on a shared filesystem");
    }
    if (conf_expand_dir(dir && *dir ? dir : conf->dir, user, getuid(), pw ? pw->pw_dir : "/",
                        *slurmconf_cluster() ? slurmconf_cluster() : "cluster", expanded, err) < 0)
        return err_prefix(err, dir && *dir ? "--checkpoint-dir=%s" : "Dir=%s in checkpoint.conf",
                          dir && *dir ? dir : conf->dir);
    if (kind != SUBMIT_SRUN && s.name[0]) {
        errno = EINVAL;
        return err_set(err, "name= is for srun: it names one step");
    }
    if (kind != SUBMIT_SBATCH)
        return 0;
    if (s.has_restore && submit_check_restore(expanded, &s, err) < 0)
        return -1;
    if (getenv("SBATCH_NO_REQUEUE") || each_argument(is_no_requeue) ||
        each_argument(script_no_requeue)) {
        errno = EINVAL;
        return err_set(err,
                       "--checkpoint and --no-requeue exclude each other: a job that may not be "
                       "requeued is never restored; use --requeue");
    }
    if (each_argument(is_export_file) || each_argument(script_export_file)) {
        errno = EINVAL;
        return err_set(err,
                       "--checkpoint and --export-file exclude each other: Slurm carries a "
                       "plugin's options in the environment that the file replaces; use --export");
    }
    return 0;
}

int submit_nonce(char nonce[17], struct err *err)
{
    unsigned char raw[8];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return err_sys(err, "getrandom");
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(nonce + 2 * i, 3, "%02x", raw[i]);
    return 0;
}
