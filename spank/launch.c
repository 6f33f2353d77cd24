/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/launch.h"

#include "common/helper.h"
#include "common/io.h"
#include "spank/jobclock.h"
#include "spank/launch_env.h"
#include "spank/nsroot.h"
#include "spank/slurmconf.h"
#include "spank/srun.h"
#include "spank/state.h"
#include "spank/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

/* One task, one process: slurmstepd forks before it calls us. */
static struct {
    bool prepared;
    bool exec_multi; /* nothing of ours was put before the program yet */
    struct facts facts;
    struct nsroot ns;
    int facts_fd, slots_fd, tally_fd;
    pid_t keeper;
    char note[512]; /* for the user, once the task's stderr is in place */
} launch;

static int set_bit(cap_flag_value_t value)
{
    static const cap_value_t bit[] = {CAP_CHECKPOINT_RESTORE};
    cap_t caps = cap_get_proc();
    int rc = -1;

    if (!caps)
        return -1;
    if (cap_set_flag(caps, CAP_INHERITABLE, 1, bit, value) == 0 && cap_set_proc(caps) == 0)
        rc = 0;
    cap_free(caps);
    return rc;
}

void launch_clear_bit(void)
{
    cap_flag_value_t left = CAP_SET;
    cap_t caps;

    set_bit(CAP_CLEAR);
    caps = cap_get_proc();
    if (!caps || cap_get_flag(caps, CAP_CHECKPOINT_RESTORE, CAP_INHERITABLE, &left) < 0 ||
        left != CAP_CLEAR)
        abort();
    cap_free(caps);
}

/* For the node's monitoring only: without it the job has its checkpoints all the same. */
static void open_tally(const struct conf *conf, const struct policy_task *task,
                       const struct facts *f)
{
    struct tally_name name = {.job = f->job, .step = f->step, .task = task->taskid};
    struct err err = {{0}};

    memcpy(name.node, f->node, sizeof name.node);
    launch.tally_fd = tally_open(conf->state_dir, &name, &err);
    if (launch.tally_fd < 0)
        slurm_error("checkpoint: nothing of this task is counted: %s", err.text);
}

int launch_prepare(const struct conf *conf, const struct policy_task *task, struct err *err)
{
    struct facts *f = &launch.facts;
    bool clock;

    if (policy_facts(conf, task, f, err) < 0 || policy_preflight(f, err) < 0)
        return -1;
    clock = conf->job_clock && jobclock_possible();
    if (f->isolation == ISOLATION_PRIVATE) {
        struct err why = {{0}};

        if (nsroot_enter(&launch.ns, &why) < 0) {
            bool lost = errno == ENOTRECOVERABLE;

            if (lost || !policy_host_allowed(conf, f->user)) {
                errno = lost ? ENOTRECOVERABLE : EPERM;
                return err_set(err, "isolation=private: %s", why.text);
            }
            snprintf(launch.note, sizeof launch.note, "isolation=host is used: %.400s", why.text);
            f->isolation = ISOLATION_HOST;
        }
    }
    if (clock)
        jobclock_set();
    launch.slots_fd = state_open_slots(conf->state_dir, err);
    if (launch.slots_fd < 0)
        slurm_error("checkpoint: no limit for dumps at once: %s", err->text);
    open_tally(conf, task, f);
    launch.facts_fd = facts_store(f, err);
    if (launch.facts_fd < 0 || set_bit(CAP_SET) < 0) {
        int saved = errno;

        err_prefix(err, "cannot hand the capability to the keeper");
        nsroot_destroy(&launch.ns);
        io_close(&launch.facts_fd);
        io_close(&launch.slots_fd);
        io_close(&launch.tally_fd);
        errno = f->isolation == ISOLATION_PRIVATE ? ENOTRECOVERABLE : saved;
        return -1;
    }
    launch.prepared = true;
    return 0;
}

static void keeper_exec(const char *path, int facts_fd, int sock)
{
    char *argv[] = {(char[]){"keeper"}, NULL};
    char *envp[] = {NULL};
    int fds[] = {facts_fd, sock, launch.slots_fd, launch.tally_fd};
    int n = launch.slots_fd < 0 ? 2 : launch.tally_fd < 0 ? 3 : 4;

    if (helper_fds_place(fds, n, NULL) == 0)
        execve(path, argv, envp);
    dprintf(STDERR_FILENO, "checkpoint: cannot start %s: %s\n", path, strerror(errno));
    launch_clear_bit();
}

/* The first process after unshare() is the namespace's init: it must be there whatever happens. */
static pid_t keeper_fork(int sock, int go[2])
{
    char path[PATH_MAX + 16];
    pid_t pid;

    snprintf(path, sizeof path, "%s/keeper", launch.facts.helper_dir);
    pid = fork();
    if (pid == 0) {
        char word = 0;

        /* Ours of the writing end: else the end of the task's would never be seen. */
        io_close(&go[1]);
        /* Not before /proc is mounted: the keeper looks at it. */
        if (read(go[0], &word, 1) == 1 && word == 1)
            keeper_exec(path, launch.facts_fd, sock);
        else
            launch_clear_bit();
        if (launch.facts.isolation == ISOLATION_PRIVATE)
            nsroot_idle();
        _exit(127);
    }
    return pid;
}

static int start(spank_t sp, int pair[2], int go[2], struct err *err)
{
    char program[PATH_MAX + 16], fds[48], multi[8];
    bool private = launch.facts.isolation == ISOLATION_PRIVATE;
    char ok = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(go, O_CLOEXEC) < 0)
        return err_sys(err, "cannot make the keeper's socket");
    launch.keeper = keeper_fork(pair[1], go);
    launch_clear_bit();
    if (launch.keeper < 0) {
        err_sys(err, "cannot fork the keeper");
        errno = private ? ENOTRECOVERABLE : EAGAIN; /* a pid namespace without an init */
        return -1;
    }
    io_close(&go[0]);
    if (private && nsroot_mount_proc(&launch.ns, err) < 0)
        return -1;
    snprintf(program, sizeof program, "%s/shepherd", launch.facts.helper_dir);
    snprintf(fds, sizeof fds, "%d,%d,%d", pair[0], launch.facts_fd, (int)launch.keeper);
    if (access(program, X_OK) < 0)
        return err_sys(err, "%s", program);
    if (spank_setenv(sp, LAUNCH_ENV_FDS, fds, 1) != ESPANK_SUCCESS) {
        errno = EINVAL;
        return err_set(err, "cannot set %s", LAUNCH_ENV_FDS);
    }
    launch.exec_multi = !slurmconf_can_prepend() &&
                        spank_getenv(sp, SRUN_MULTI_ENV, multi, sizeof multi) == ESPANK_SUCCESS;
    if (!launch.exec_multi && slurmconf_replace_program(sp, program, LAUNCH_ENV_PROGRAM, err) < 0)
        return -1;
    if (write(go[1], &ok, 1) != 1)
        return err_sys(err, "cannot release the keeper");
    /* Only now, with every failure behind us, may the two outlive the exec. */
    fcntl(pair[0], F_SETFD, 0);
    fcntl(launch.facts_fd, F_SETFD, 0);
    return 0;
}

int launch_start(spank_t sp, struct err *err)
{
    int pair[2] = {-1, -1}, go[2] = {-1, -1};
    int rc, saved;

    if (!launch.prepared) {
        launch_clear_bit();
        return 0;
    }
    launch.prepared = false;
    if (launch.note[0])
        dprintf(STDERR_FILENO, "checkpoint: %s\n", launch.note);
    rc = start(sp, pair, go, err);
    saved = errno;
    if (rc == 0) /* for the auditor: slurmd's log, or syslog as the site has it */
        slurm_info(
            "checkpoint: CAP_CHECKPOINT_RESTORE to the keeper of job %u %s, uid %u, isolation=%s",
            launch.facts.job, launch.facts.task, (unsigned)launch.facts.uid,
            launch.facts.isolation == ISOLATION_PRIVATE ? "private" : "host");
    launch_clear_bit();
    io_close(&go[0]);
    io_close(&go[1]); /* without the byte the first child stays a plain init, or ends */
    io_close(&pair[1]);
    io_close(&launch.slots_fd);
    io_close(&launch.tally_fd);
    nsroot_destroy(&launch.ns);
    if (rc < 0) {
        io_close(&pair[0]);
        io_close(&launch.facts_fd);
        if (launch.keeper > 0 && launch.facts.isolation == ISOLATION_HOST)
            waitpid(launch.keeper, NULL, 0);
        spank_unsetenv(sp, LAUNCH_ENV_FDS);
        spank_unsetenv(sp, LAUNCH_ENV_PROGRAM);
    }
    errno = saved;
    return rc;
}

void launch_finish(spank_t sp)
{
    char program[PATH_MAX + 16];
    struct err err = {{0}};

    if (!launch.exec_multi)
        return;
    snprintf(program, sizeof program, "%s/shepherd", launch.facts.helper_dir);
    slurmconf_exec_multi(sp, program, LAUNCH_ENV_PROGRAM, &err);
    /* The keeper waits for a shepherd, and under private isolation nothing can run without it. */
    dprintf(STDERR_FILENO, "checkpoint: the task cannot be started: %s\n", err.text);
    _exit(1);
}

int launch_hold(spank_t sp, const struct conf *conf, const struct policy_task *task, bool restores,
                const char *why, struct err *err)
{
    char program[PATH_MAX + 16], cluster[64] = "", dir[PATH_MAX], name[64];

    snprintf(program, sizeof program, "%s/shepherd", conf->helper_dir);
    if (access(program, X_OK) < 0)
        return err_sys(err, "%s", program);
    spank_getenv(sp, "SLURM_CLUSTER_NAME", cluster, sizeof cluster);
    if (policy_dir(conf, task, cluster, dir, err) < 0 || policy_task_name(task, name, err) < 0)
        return -1;
    if (spank_setenv(sp, LAUNCH_ENV_HOLD, why, 1) != ESPANK_SUCCESS ||
        spank_setenv(sp, LAUNCH_ENV_DIR, dir, 1) != ESPANK_SUCCESS ||
        spank_setenv(sp, LAUNCH_ENV_TASK, name, 1) != ESPANK_SUCCESS ||
        (restores && spank_setenv(sp, LAUNCH_ENV_SOURCE, "1", 1) != ESPANK_SUCCESS)) {
        errno = EINVAL;
        return err_set(err, "cannot set the shepherd's environment");
    }
    return slurmconf_replace_program(sp, program, LAUNCH_ENV_PROGRAM, err);
}
