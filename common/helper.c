/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* Known since libcap 2.44 headers; older system headers lack the name, not the number. */
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static int sane_standard_fds(struct err *err)
{
    for (int fd = 0; fd < 3; fd++) {
        int null;

        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        null = open("/dev/null", O_RDWR); /* the lowest free number: fd */
        if (null != fd)
            return err_sys(err, "cannot open /dev/null as descriptor %d", fd);
    }
    return 0;
}

static int reset_signals(struct err *err)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction ignore = {.sa_handler = SIG_IGN}, sa = {.sa_handler = SIG_DFL};

        /* What waits behind an inherited mask (an alarm, say) is not meant for us and goes when it is ignored;
         * a request to end is. */
        if (sig != SIGTERM)
            (void)sigaction(sig, &ignore, NULL);
        /* SIGKILL, SIGSTOP and the two that libc keeps for itself answer EINVAL. */
        if (sigaction(sig, &sa, NULL) < 0 && errno != EINVAL)
            return err_sys(err, "cannot reset signal %d", sig);
    }
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return err_sys(err, "cannot reset the signal mask");
    return 0;
}

static int reset_timers(struct err *err)
{
    static const int timers[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        struct itimerval off = {{0, 0}, {0, 0}};

        if (setitimer((__itimer_which_t)timers[i], &off, NULL) < 0)
            return err_sys(err, "cannot disarm a timer");
    }
    return 0;
}

/* A caller's RLIMIT_FSIZE of 0 would kill us at the first write (SIGXFSZ); a soft limit can always
 * be raised to the hard one, which is all that can be done without CAP_SYS_RESOURCE. */
static int reset_limits(struct err *err)
{
    static const int raise[] = {RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE};
    struct rlimit r = {0, 0};

    if (setrlimit(RLIMIT_CORE, &r) < 0)
        return err_sys(err, "cannot switch core dumps off");
    for (size_t i = 0; i < sizeof raise / sizeof raise[0]; i++) {
        if (getrlimit((__rlimit_resource_t)raise[i], &r) < 0)
            return err_sys(err, "getrlimit");
        r.rlim_cur = r.rlim_max;
        if (setrlimit((__rlimit_resource_t)raise[i], &r) < 0)
            return err_sys(err, "setrlimit");
    }
    return 0;
}

int helper_sanitize(int keep_max, struct err *err)
{
    if (clearenv() != 0 || setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 ||
        setenv("LC_ALL", "C", 1) < 0)
        return err_sys(err, "cannot clear the environment");
    if (sane_standard_fds(err) < 0)
        return -1;
    if (syscall(SYS_close_range, (unsigned)keep_max + 1, ~0U, 0) < 0)
        return err_sys(err, "close_range");
    /* Timers and limits before the signals that they send. */
    if (reset_timers(err) < 0 || reset_limits(err) < 0 || reset_signals(err) < 0)
        return -1;
    umask(077);
    if (chdir("/") < 0)
        return err_sys(err, "chdir /");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_sys(err, "PR_SET_DUMPABLE");
    return 0;
}

/* permitted and inheritable as told, effective as told; everything else clear. */
static int set_caps(bool permitted, bool inheritable, bool effective, struct err *err)
{
    static const cap_value_t wanted[] = {CAP_CHECKPOINT_RESTORE};
    cap_t caps = cap_init();
    int rc = -1;

    if (!caps)
        return err_sys(err, "cap_init");
    if ((permitted && cap_set_flag(caps, CAP_PERMITTED, 1, wanted, CAP_SET) < 0) ||
        (inheritable && cap_set_flag(caps, CAP_INHERITABLE, 1, wanted, CAP_SET) < 0) ||
        (effective && cap_set_flag(caps, CAP_EFFECTIVE, 1, wanted, CAP_SET) < 0) ||
        cap_set_proc(caps) < 0)
        err_sys(err, "cannot set CAP_CHECKPOINT_RESTORE");
    else
        rc = 0;
    cap_free(caps);
    return rc;
}

static int clear_ambient(struct err *err)
{
    if (cap_reset_ambient() < 0)
        return err_sys(err, "cannot clear the ambient capabilities");
    return 0;
}

static int has_cap(cap_flag_t set, struct err *err)
{
    cap_t caps = cap_get_proc();
    cap_flag_value_t v = CAP_CLEAR;
    int rc;

    if (!caps)
        return err_sys(err, "cap_get_proc");
    rc = cap_get_flag(caps, CAP_CHECKPOINT_RESTORE, set, &v);
    cap_free(caps);
    if (rc < 0)
        return err_sys(err, "cap_get_flag");
    return v == CAP_SET;
}

int helper_caps_hold(struct err *err)
{
    int held = has_cap(CAP_PERMITTED, err);

    if (held < 0)
        return -1;
    if (!held) {
        /* A task under no_new_privs, or one that is traced, gains nothing from the file capability.
         */
        bool nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;

        errno = EPERM;
        return err_set(err, "CAP_CHECKPOINT_RESTORE is not permitted here%s",
                       nnp ? " (the task has no_new_privs set)" : "");
    }
    if (clear_ambient(err) < 0)
        return -1;
    return set_caps(true, true, false, err);
}

int helper_caps_raise(struct err *err)
{
    return set_caps(true, true, true, err);
}

int helper_caps_lower(struct err *err)
{
    return set_caps(true, true, false, err);
}

int helper_caps_ambient(struct err *err)
{
    if (set_caps(true, true, false, err) < 0)
        return -1;
    if (cap_set_ambient(CAP_CHECKPOINT_RESTORE, CAP_SET) < 0)
        return err_sys(err, "cannot set the ambient capability");
    return 0;
}

int helper_caps_drop(struct err *err)
{
    cap_t caps, none;
    int same;

    if (clear_ambient(err) < 0 || set_caps(false, false, false, err) < 0)
        return -1;
    caps = cap_get_proc();
    none = cap_init();
    same = caps && none ? cap_compare(caps, none) : -1;
    cap_free(caps);
    cap_free(none);
    if (same != 0 || cap_get_ambient(CAP_CHECKPOINT_RESTORE) != 0) {
        errno = EPERM;
        return err_set(err, "capabilities are still there after they were dropped");
    }
    return 0;
}

int helper_fds_place(const int *fds, int n, struct err *err)
{
    int high[16];

    if (n < 0 || n > (int)(sizeof high / sizeof high[0])) {
        errno = EINVAL;
        return err_set(err, "too many descriptors");
    }
    /* Above all targets first, so that no move overwrites one that is still to be moved. */
    for (int i = 0; i < n; i++) {
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
        if (high[i] < 0)
            return err_sys(err, "dup");
    }
    for (int i = 0; i < n; i++)
        if (dup2(high[i], 3 + i) < 0)
            return err_sys(err, "dup2");
    if (syscall(SYS_close_range, 3U + (unsigned)n, ~0U, 0) < 0)
        return err_sys(err, "close_range");
    return 0;
}

int helper_path_walk(const char *path, const char *what, helper_check *check, struct err *err)
{
    char real[PATH_MAX];
    size_t len;

    if (*path != '/') {
        errno = EINVAL;
        return err_set(err, "%s: %s is not an absolute path", what, path);
    }
    if (!realpath(path, real))
        return err_sys(err, "%s: %s", what, path);
    if (strcmp(real, path) != 0) {
        errno = EINVAL;
        return err_set(err, "%s: %s is reached through a symbolic link: name %s instead", what,
                       path, real);
    }
    len = strlen(real);
    for (size_t i = 1; i <= len; i++) {
        char kept = real[i];

        if (kept != '/' && kept != '\0')
            continue;
        real[i] = '\0';
        if (check(real, kept == '\0', what, err) < 0)
            return -1;
        real[i] = kept;
    }
    return check("/", false, what, err);
}
