/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/expire.h"

#include "common/helper.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 1024
#define PROGRAM_FD 3 /* in the process that becomes the user */
#ifndef MFD_EXEC     /* Linux 6.3 */
#define MFD_EXEC 0x0010U
#endif

bool expire_due(const char *state_dir, uid_t uid)
{
    char name[32];
    struct stat st;
    bool due = false;
    int dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;

    snprintf(name, sizeof name, "expired.%u", uid);
    if (dirfd >= 0)
        fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        /* A new one is empty. */
        due = st.st_size == 0 || st.st_mtim.tv_sec + EXPIRE_EVERY_S <= time(NULL);
        if (due && pwrite(fd, "\n", 1, 0) != 1)
            due = false;
    }
    io_close(&fd);
    io_close(&dirfd);
    return due;
}

/* What the child needs, looked up before the fork. */
struct user {
    char name[64], home[PATH_MAX];
    uid_t uid;
    gid_t gid, groups[GROUPS_MAX];
    int ngroups;
    char dir[PATH_MAX], slurm_conf[PATH_MAX + 16];
    const char *conf_path;
    int program;
};

static int look_up(struct user *u, uid_t uid, struct err *err)
{
    struct passwd pw, *found = NULL;
    char buf[16384];

    if (getpwuid_r(uid, &pw, buf, sizeof buf, &found) != 0 || !found) {
        errno = ENOENT;
        return err_set(err, "user id %u is not known on this node", uid);
    }
    snprintf(u->name, sizeof u->name, "%s", pw.pw_name);
    snprintf(u->home, sizeof u->home, "%s", pw.pw_dir);
    u->uid = uid;
    u->gid = pw.pw_gid;
    u->ngroups = GROUPS_MAX;
    if (getgrouplist(u->name, u->gid, u->groups, &u->ngroups) < 0)
        u->ngroups = GROUPS_MAX; /* cut short is fine here */
    return 0;
}

static int become(const struct user *u)
{
    uid_t id[3];

    if (setgroups((size_t)u->ngroups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
        setresuid(u->uid, u->uid, u->uid) < 0 || getresuid(&id[0], &id[1], &id[2]) < 0)
        return -1;
    return id[0] == u->uid && id[1] == u->uid && id[2] == u->uid && setuid(0) < 0 ? 0 : -1;
}

/* An older kernel does not know the flag; vm.memfd_noexec=2 forbids it. */
static int executable_memory(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("scheckpoint", flags | MFD_EXEC);

    return fd < 0 && errno == EINVAL ? memfd_create("scheckpoint", flags) : fd;
}

/* scheckpoint, as a file of root's that the user may run but not read.  This process is in none of his jobs: what he
 * could trace, he would have turned into a program of his own that nobody counts and nothing limits.  The kernel makes
 * a process that runs what its user may not read undumpable from its first instruction (would_dump, fs/exec.c): closed
 * to ptrace and /proc/PID/mem. */
static int unreadable_copy(const char *path, struct err *err)
{
    int from = open(path, O_RDONLY | O_CLOEXEC), to = -1, rc = -1;
    struct stat st;

    if (from < 0 || fstat(from, &st) < 0 || (to = executable_memory()) < 0) {
        err_sys(err, "%s", path);
        io_close(&from);
        return -1;
    }
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        left -= n;
        rc = left == 0 ? 0 : -1;
    }
    if (rc < 0 || fchmod(to, 0111) < 0 ||
        fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        err_sys(err, "copy of %s", path);
        io_close(&to);
    }
    io_close(&from);
    return to;
}

/* The one that is installed, or the one beside the helpers (a build that was moved). */
static int open_program(const struct conf *conf, struct err *err)
{
    char candidate[2][PATH_MAX + 64], path[PATH_MAX];

    snprintf(candidate[0], sizeof candidate[0], CKPT_BINDIR "/scheckpoint");
    snprintf(candidate[1], sizeof candidate[1], "%s/../../bin/scheckpoint", conf->helper_dir);
    for (size_t i = 0; i < 2; i++)
        if (realpath(candidate[i], path))
            return helper_path_trusted(path, "scheckpoint", err) < 0 ? -1
                                                                     : unreadable_copy(path, err);
    return err_sys(err, "%s", candidate[0]);
}

static void run(const struct user *u)
{
    char *argv[] = {
        (char[]){"scheckpoint"}, (char[]){"prune"},         (char[]){"--expired"},
        (char[]){"--all-jobs"},  (char[]){"--conf"},        (char *)(uintptr_t)u->conf_path,
        (char[]){"-d"},          (char *)(uintptr_t)u->dir, NULL};
    char *envp[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"LC_ALL=C"},
                    *u->slurm_conf ? (char *)(uintptr_t)u->slurm_conf : NULL, NULL};
    sigset_t none;

    if (chdir("/") < 0 || become(u) < 0)
        return;
    umask(077);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)alarm(EXPIRE_MOST_S); /* stays armed through exec */
    syscall(SYS_execveat, PROGRAM_FD, "", argv, envp, AT_EMPTY_PATH);
}

/* Root's, so that the user can neither stop it nor have it forget the time. */
static void mind(const struct user *u)
{
    struct pollfd p = {.events = POLLIN};
    pid_t pid;
    int null;

    if (dup2(u->program, PROGRAM_FD) != PROGRAM_FD || syscall(SYS_close_range, 0U, 2U, 0) < 0 ||
        syscall(SYS_close_range, PROGRAM_FD + 1U, ~0U, 0) < 0)
        return;
    null = open("/dev/null", O_RDWR); /* 0; all three are inherited on purpose */
    if (null != 0 || dup(null) != 1 || dup(null) != 2 || fcntl(PROGRAM_FD, F_SETFD, FD_CLOEXEC) < 0)
        return;
    pid = fork();
    if (pid == 0) {
        run(u);
        _exit(127);
    }
    p.fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (p.fd < 0)
        return;
    while (poll(&p, 1, EXPIRE_MOST_S * 1000) < 0 && errno == EINTR)
        ;
    (void)syscall(SYS_pidfd_send_signal, p.fd, SIGKILL, NULL, 0);
}

/* Twice, so that it is not a child of the epilog's, which would wait. */
static int start(const struct user *u, struct err *err)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (setsid() < 0 || fork() != 0)
            _exit(0);
        mind(u);
        _exit(0);
    }
    if (pid < 0)
        return err_sys(err, "fork");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

int expire_start(const struct conf *conf, const char *conf_path, uid_t uid, const char *cluster,
                 struct err *err)
{
    const char *slurm_conf = getenv("SLURM_CONF");
    struct user *u;
    int rc;

    if (uid == 0 || conf->expire_days == 0 || !conf->dir[0] || !expire_due(conf->state_dir, uid))
        return 0;
    u = calloc(1, sizeof *u);
    if (!u)
        return err_sys(err, "expiry");
    u->conf_path = conf_path;
    u->program = -1;
    if (slurm_conf)
        snprintf(u->slurm_conf, sizeof u->slurm_conf, "SLURM_CONF=%s", slurm_conf);
    rc = look_up(u, uid, err);
    if (rc == 0)
        rc = conf_expand_dir(conf->dir, u->name, uid, u->home, cluster, u->dir, err);
    if (rc == 0)
        rc = u->program = open_program(conf, err);
    if (rc >= 0)
        rc = start(u, err);
    io_close(&u->program);
    free(u);
    return rc < 0 ? err_prefix(err, "expiry of old checkpoints") : 0;
}
