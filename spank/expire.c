/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/expire.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 1024

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
    char dir[PATH_MAX], program[2][PATH_MAX + 64], slurm_conf[PATH_MAX + 16];
    const char *conf_path;
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

static void run(const struct user *u)
{
    char *argv[] = {
        (char[]){"scheckpoint"}, (char[]){"prune"},         (char[]){"--expired"},
        (char[]){"--all-jobs"},  (char[]){"--conf"},        (char *)(uintptr_t)u->conf_path,
        (char[]){"-d"},          (char *)(uintptr_t)u->dir, NULL};
    char *envp[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, (char[]){"LC_ALL=C"},
                    *u->slurm_conf ? (char *)(uintptr_t)u->slurm_conf : NULL, NULL};
    int null;
    sigset_t none;

    if (syscall(SYS_close_range, 0U, ~0U, 0) < 0)
        return;
    null = open("/dev/null", O_RDWR); /* 0; all three are inherited on purpose */
    if (null != 0 || dup(null) != 1 || dup(null) != 2 || chdir("/") < 0 || become(u) < 0)
        return;
    umask(077);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)alarm(EXPIRE_MOST_S); /* stays armed through exec */
    for (size_t i = 0; i < sizeof u->program / sizeof u->program[0]; i++)
        execve(u->program[i], argv, envp);
}

/* Twice, so that it is not a child of the epilog's, which would wait. */
static int start(const struct user *u, struct err *err)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (setsid() < 0 || fork() != 0)
            _exit(0);
        run(u);
        _exit(127);
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
    snprintf(u->program[0], sizeof u->program[0], CKPT_BINDIR "/scheckpoint");
    snprintf(u->program[1], sizeof u->program[1], "%s/../../bin/scheckpoint", conf->helper_dir);
    if (slurm_conf)
        snprintf(u->slurm_conf, sizeof u->slurm_conf, "SLURM_CONF=%s", slurm_conf);
    rc = look_up(u, uid, err);
    if (rc == 0)
        rc = conf_expand_dir(conf->dir, u->name, uid, u->home, cluster, u->dir, err);
    if (rc == 0)
        rc = start(u, err);
    free(u);
    return rc < 0 ? err_prefix(err, "expiry of old checkpoints") : 0;
}
