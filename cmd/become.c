/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/become.h"

#include "common/helper.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_BECOME 125 /* the child's status: it has said why */

static bool is_only(uid_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;

    return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == uid && e == uid &&
           s == uid && rg == gid && eg == gid && sg == gid;
}

static int become(const char *user, uid_t uid, gid_t gid, struct err *err)
{
    umask(077);
    if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_sys(err, "cannot become %s", user);
    if (helper_caps_drop(err) < 0)
        return err_prefix(err, "cannot become %s", user);
    /* With the capabilities gone too, neither may work. */
    if (!is_only(uid, gid) || setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setgid(0) == 0) {
        errno = EPERM;
        return err_set(err, "has not become %s", user);
    }
    /* The user may not look into what root's process has in its memory. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
        return err_sys(err, "prctl");
    return 0;
}

static _Noreturn void child(const char *user, uid_t uid, gid_t gid, int (*fn)(void *), void *arg)
{
    struct err err = {""};
    int status;

    if (close_range(3, ~0u, 0) < 0 && errno != ENOSYS)
        _exit(NOT_BECOME);
    if (become(user, uid, gid, &err) < 0) {
        fprintf(stderr, "scheckpoint: %s\n", err.text);
        _exit(NOT_BECOME);
    }
    status = fn(arg);
    if (fflush(stdout) == EOF || ferror(stdout))
        status = status ? status : 1;
    _exit(status);
}

int become_run(const char *user, int (*fn)(void *), void *arg, struct err *err)
{
    const struct passwd *pw;
    int status;
    pid_t pid;
    uid_t uid;
    gid_t gid;

    errno = 0;
    pw = getpwnam(user);
    if (!pw) {
        errno = errno ? errno : ENOENT;
        return err_set(err, "there is no user %s", user);
    }
    uid = pw->pw_uid;
    gid = pw->pw_gid;
    errno = EPERM;
    if (geteuid() != 0)
        return err_set(err, "only root can become another user");
    if (uid == 0)
        return err_set(err, "root has no checkpoints");
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        return err_sys(err, "fork");
    if (pid == 0)
        child(user, uid, gid, fn, arg);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    errno = EIO;
    if (WIFSIGNALED(status))
        return err_set(err, "was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == NOT_BECOME)
        return err_set(err, "did nothing");
    return WEXITSTATUS(status);
}
