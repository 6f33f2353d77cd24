/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/helper.h"
#include "common/io.h"
#include "common/trust.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* How everybody else is called in a namespace that knows only one user (fs.overflowuid): root, too. */
#define NOBODY 65534u

/* "UID OUTSIDE 1" is all of the map. */
static int check_namespace(struct err *err)
{
    char text[256];
    unsigned inside, outside, count;
    int end = 0;

    if (io_read_start("/proc/self/uid_map", text, sizeof text) < 0)
        return err_sys(err, "/proc/self/uid_map");
    errno = EPERM;
    if (sscanf(text, "%u %u %u %n", &inside, &outside, &count, &end) != 3 || text[end] ||
        count != 1 || inside != getuid() || inside == 0)
        return err_set(err, "this program runs in a user namespace of its user's own only "
                            "(scheckpoint run makes it)");
    return 0;
}

int trust_facts(int fd, struct facts *f, struct err *err)
{
    struct stat st;

    if (check_namespace(err) < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "facts: fstat");
    errno = EPERM;
    if (st.st_uid != getuid())
        return err_set(err, "facts: not the user's");
    if (facts_load(fd, false, f, err) < 0)
        return -1;
    errno = EPERM;
    return f->isolation == ISOLATION_PRIVATE
               ? 0
               : err_set(err, "facts: not of a job with namespaces of its own");
}

const char *trust_isolation(const struct facts *f)
{
    (void)f;
    return TRUST_OWN;
}

const char *trust_helper(bool dump)
{
    return dump ? "own-dump" : "own-restore";
}

static int check_component(const char *path, bool last, const char *what, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_sys(err, "%s: %s", what, path);
    errno = EPERM;
    if (st.st_uid != getuid() && st.st_uid != NOBODY)
        return err_set(err, "%s: %s belongs to another user", what, path);
    if ((st.st_mode & 022) && !(S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX)))
        return err_set(err, "%s: %s is writable by others", what, path);
    if (last && !S_ISREG(st.st_mode))
        return err_set(err, "%s: %s is not a plain file", what, path);
    return 0;
}

/* The user himself may have installed it; whom he trusts beside root cannot be told here. */
int helper_path_trusted(const char *path, const char *what, struct err *err)
{
    return helper_path_walk(path, what, check_component, err);
}
