/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/hostcheck.h"

#include "common/helper.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CAP_CHECKPOINT_RESTORE_NUMBER 40 /* older headers lack the name */

/* A small number out of /proc/sys; -1: there is none. */
static int number_of(const char *path)
{
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    io_close(&fd);
    return n > 0 && *text >= '0' && *text <= '9' ? (int)strtol(text, NULL, 10) : -1;
}

int hostcheck_kernel(struct err *err)
{
    int last = number_of("/proc/sys/kernel/cap_last_cap");

    if (last >= 0 && last < CAP_CHECKPOINT_RESTORE_NUMBER) {
        errno = ENOSYS;
        return err_set(err,
                       "this kernel has no CAP_CHECKPOINT_RESTORE: Linux 5.9 or later is needed");
    }
    errno = EPERM;
    if (number_of("/proc/sys/fs/suid_dumpable") == 1)
        return err_set(err, "fs.suid_dumpable is 1: set it to 0 or 2, else helpers can be traced");
    return 0;
}

int hostcheck_ptrace(struct err *err)
{
    int scope = number_of("/proc/sys/kernel/yama/ptrace_scope");

    if (scope <= 0)
        return 0;
    errno = EPERM;
    return err_set(
        err,
        "kernel.yama.ptrace_scope is %d: criu, which does not hold CAP_SYS_PTRACE, may not look "
        "into the job's processes; set it to 0 on this node (%s)",
        scope, scope == 3 ? "3 stays until the next boot" : "sysctl kernel.yama.ptrace_scope=0");
}

int hostcheck_keeper(const char *helper_dir, struct err *err)
{
    char path[PATH_MAX + 16], *text;
    struct statvfs fs;
    cap_t caps;
    int rc = -1;

    snprintf(path, sizeof path, "%s/keeper", helper_dir);
    if (helper_path_trusted(path, "keeper", err) < 0)
        return -1;
    if (statvfs(path, &fs) < 0)
        return err_sys(err, "keeper: %s", path);
    errno = EPERM;
    if (fs.f_flag & (ST_NOSUID | ST_NOEXEC))
        return err_set(err, "keeper: %s is on a filesystem mounted nosuid or noexec", path);
    if (access(path, X_OK) < 0)
        return err_sys(err, "keeper: %s cannot be executed", path);
    caps = cap_get_file(path);
    text = caps ? cap_to_text(caps, NULL) : NULL;
    errno = EPERM;
    if (!text)
        err_set(err, "keeper: %s has lost its file capability: setcap cap_checkpoint_restore=i %s",
                path, path);
    else if (strcmp(text, "cap_checkpoint_restore=i") != 0)
        err_set(err,
                "keeper: %s has the file capabilities '%s' instead of "
                "'cap_checkpoint_restore=i': setcap cap_checkpoint_restore=i %s",
                path, text, path);
    else
        rc = 0;
    cap_free(text);
    cap_free(caps);
    return rc;
}

static int check_plain(const char *dir, const char *name, struct err *err)
{
    char path[2 * PATH_MAX];
    cap_t caps;

    snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", name);
    if (helper_path_trusted(path, *dir ? name : "criu", err) < 0)
        return -1;
    caps = cap_get_file(path);
    if (caps) {
        cap_free(caps);
        errno = EPERM;
        return err_set(err,
                       "%s has file capabilities: remove them (setcap -r), any user could start "
                       "it",
                       path);
    }
    return 0;
}

int hostcheck_helpers(const char *helper_dir, struct err *err)
{
    static const char *const helpers[] = {"dump",
                                          "restore",
                                          "ckpt-init",
                                          "shepherd",
                                          "job-restarts",
                                          "criu-shim.so",
                                          "criu-plugins/ckpt-criu.so",
                                          "criu-plugins/ckpt-restore.so"};

    for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++)
        if (check_plain(helper_dir, helpers[i], err) < 0)
            return -1;
    return 0;
}

int hostcheck_criu(const char *criu, struct err *err)
{
    return check_plain("", criu, err);
}
