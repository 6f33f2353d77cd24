/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/trust.h"

#include "common/helper.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int trust_facts(int fd, struct facts *f, struct err *err)
{
    return facts_load(fd, true, f, err);
}

const char *trust_isolation(const struct facts *f)
{
    return f->isolation == ISOLATION_PRIVATE ? "private" : "host";
}

const char *trust_helper(bool dump)
{
    return dump ? "dump" : "restore";
}

static int check_component(const char *path, bool last, const char *what, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_sys(err, "%s: %s", what, path);
    errno = EPERM;
    if (st.st_uid != 0)
        return err_set(err, "%s: %s does not belong to root", what, path);
    if ((st.st_mode & 022) && !(S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX)))
        return err_set(err, "%s: %s is writable by others than root", what, path);
    if (last && (!S_ISREG(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID))))
        return err_set(err, "%s: %s is not a plain file", what, path);
    return 0;
}

int helper_path_trusted(const char *path, const char *what, struct err *err)
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
        return err_set(err, "%s: %s is reached through a symbolic link", what, path);
    }
    len = strlen(real);
    for (size_t i = 1; i <= len; i++) {
        char kept = real[i];

        if (kept != '/' && kept != '\0')
            continue;
        real[i] = '\0';
        if (check_component(real, kept == '\0', what, err) < 0)
            return -1;
        real[i] = kept;
    }
    return check_component("/", false, what, err);
}
