/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/srun.h"

#include "common/io.h"
#include "spank/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum srun_where srun_where(void)
{
    const char *job = getenv("SLURM_JOB_ID");

    return job && *job ? SRUN_INSIDE : SRUN_ALONE;
}

/* NUL-separated arguments of this process; NULL when they cannot be read. */
static char *arguments(size_t *len)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : io_slurp(fd, 4u << 20, len, NULL);

    io_close(&fd);
    return text;
}

/* srun's own arguments end with "--" or the program; which that is cannot be told without srun's table of options, so
 * the search ends at the first that is a path.  What slips through is found by the task's shepherd. */
static bool has_option(const char *option)
{
    size_t len = 0, n = strlen(option);
    char *text = arguments(&len);
    bool found = false;

    if (!text)
        return false;
    for (size_t i = strlen(text) + 1; i < len && !found; i += strlen(text + i) + 1) {
        if (strcmp(text + i, "--") == 0 || text[i] == '/' || text[i] == '.')
            break;
        found = strncmp(text + i, option, n) == 0 && (!text[i + n] || text[i + n] == '=');
    }
    free(text);
    return found;
}

int srun_possible(struct err *err)
{
    errno = ENOTSUP;
    if (has_option("--pty"))
        return err_set(err, "srun --pty cannot be checkpointed: its terminal belongs to srun; "
                            "leave out --pty, or --checkpoint");
    return getenv("SLURM_HET_SIZE")
               ? err_set(err, "a step of a heterogeneous job cannot be checkpointed, only its "
                              "script and what it runs itself")
               : 0;
}

/* FNV-1a: tells commands apart, and is not meant to withstand anybody but chance. */
static uint64_t hash(uint64_t h, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return h;
}

char *srun_command(char word[17])
{
    size_t len = 0;
    char *text = arguments(&len), cwd[PATH_MAX] = "";
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    if (!text || !getcwd(cwd, sizeof cwd)) {
        free(text);
        return NULL;
    }
    h = hash(hash(h, text, len), cwd, strlen(cwd));
    snprintf(word, 17, "%016" PRIx64, h);
    for (size_t i = 0; i + 1 < len; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    return text;
}

void srun_export(const char *key)
{
    unsetenv(SRUN_MULTI_ENV);
    if (!key) {
        unsetenv(SRUN_KEY_ENV);
        return;
    }
    setenv(SRUN_KEY_ENV, key, 1);
    if (has_option("--multi-prog"))
        setenv(SRUN_MULTI_ENV, "1", 1);
}

static int run_helper(char *const argv[], char *line, size_t size, struct err *err)
{
    posix_spawn_file_actions_t actions;
    int out[2], status, rc;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    rc = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    io_close(&out[1]);
    if (rc) {
        io_close(&out[0]);
        errno = rc;
        return err_sys(err, "%s", argv[0]);
    }
    while ((n = read(out[0], line + used, size - 1 - used)) > 0 || (n < 0 && errno == EINTR))
        used += n > 0 ? (size_t)n : 0;
    line[used] = '\0';
    io_close(&out[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    errno = EIO;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, "the step's place in the script cannot be found (see above)");
    return 0;
}

static int base_dir(const struct conf *conf, const char *dir, const char *cluster,
                    char path[PATH_MAX], struct err *err)
{
    const struct passwd *pw = getpwuid(getuid());
    struct policy_task t = {.uid = getuid(), .dir = dir};

    t.user = pw ? pw->pw_name : "";
    t.home = pw ? pw->pw_dir : "";
    return policy_dir(conf, &t, cluster, path, err);
}

static int ask(const struct conf *conf, const char *base, const char *word, const char *command,
               char *line, size_t size, struct err *err)
{
    char helper[PATH_MAX + 16];
    char *argv[] = {helper,
                    (char *)(uintptr_t)base,
                    getenv("SLURM_CLUSTER_NAME"),
                    getenv("SLURM_JOB_ID"),
                    getenv(SRUN_NONCE_ENV),
                    (char *)(uintptr_t)word,
                    (char *)(uintptr_t)command,
                    NULL};

    snprintf(helper, sizeof helper, "%s/step-claim", conf->helper_dir);
    return run_helper(argv, line, size, err);
}

int srun_claim(const struct conf *conf, const char *dir, const char *name,
               enum srun_verdict *verdict, char key[64], int *code, struct err *err)
{
    const char *cluster = getenv("SLURM_CLUSTER_NAME");
    char word[17], base[PATH_MAX], line[128], *command;
    int rc;

    errno = EPERM;
    if (!getenv(SRUN_NONCE_ENV) || !cluster)
        return err_set(err, "this allocation was made without --checkpoint: give it to sbatch or "
                            "salloc already");
    if (base_dir(conf, dir, cluster, base, err) < 0)
        return -1;
    command = srun_command(word);
    if (!command)
        return err_sys(err, "srun's own command line");
    rc = ask(conf, base, *name ? name : word, command, line, sizeof line, err);
    free(command);
    if (rc < 0)
        return -1;
    *verdict = SRUN_RUN;
    if (sscanf(line, "run %63s", key) == 1)
        return 0;
    *verdict = SRUN_DONE;
    if (sscanf(line, "done %d", code) == 1)
        return 0;
    errno = EBADMSG;
    return err_set(err, "step-claim gave no answer that is understood");
}
