/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/trust.h"

#include "common/helper.h"

#include <errno.h>
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
        return err_set(err, "%s: %s does not belong to root but to uid %u: chown it", what, path,
                       st.st_uid);
    if ((st.st_mode & 022) && !(S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX)))
        return err_set(err, "%s: %s is writable by others than root (mode %04o): chmod go-w it",
                       what, path, st.st_mode & 07777);
    if (last && (!S_ISREG(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID))))
        return err_set(err, "%s: %s is not a plain file without setuid and setgid bits", what,
                       path);
    return 0;
}

int helper_path_trusted(const char *path, const char *what, struct err *err)
{
    return helper_path_walk(path, what, check_component, err);
}
