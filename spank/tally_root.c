/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Root's side.
 */
#include "spank/tally.h"

#include "common/facts.h"
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE 128

static int open_dir(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return err_sys(err, "cannot open %s", dir);
    if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022))
        return fd;
    close(fd);
    errno = EPERM;
    return err_set(err, "StateDir %s is not root's alone: chown it to root, chmod 700", dir);
}

int tally_open(const char *state_dir, const struct tally_name *name, struct err *err)
{
    struct tally t = {.began = 0};
    char file[NAME_SIZE];
    int dirfd, fd;

    errno = EINVAL;
    if (!facts_name_ok(name->node))
        return err_set(err, "the node's name has a form that is not accepted");
    dirfd = open_dir(state_dir, err);
    if (dirfd < 0)
        return -1;
    snprintf(file, sizeof file, "tally.%u.%u.%u.%s", name->job, name->step, name->task, name->node);
    fd = openat(dirfd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* There is one when the job comes back before its epilog has run here. */
    if (fd >= 0 && io_pread_full(fd, &t, sizeof t, 0) < 0)
        memset(&t, 0, sizeof t);
    t.began = (int64_t)time(NULL);
    if (fd < 0 || pwrite(fd, &t, sizeof t, 0) != (ssize_t)sizeof t) {
        err_sys(err, "%s/%s", state_dir, file);
        io_close(&fd);
    }
    io_close(&dirfd);
    return fd;
}

static bool parse(const char *file, struct tally_name *name)
{
    int end = 0;

    memset(name, 0, sizeof *name);
    return sscanf(file, "tally.%10u.%10u.%10u.%n", &name->job, &name->step, &name->task, &end) ==
               3 &&
           end > 0 && strlen(file + end) < sizeof name->node && facts_name_ok(file + end) &&
           snprintf(name->node, sizeof name->node, "%s", file + end) > 0;
}

static int load(int dirfd, const char *file, struct tally *t)
{
    int fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;

    if (fd < 0)
        return -1;
    rc = io_pread_full(fd, t, sizeof *t, 0);
    io_close(&fd);
    return rc;
}

static void sum_up(struct tally *sum, const struct tally *t)
{
    sum->dumps += t->dumps;
    sum->dump_failures += t->dump_failures;
    sum->restores += t->restores;
    sum->restore_failures += t->restore_failures;
    sum->pause_us += t->pause_us;
    sum->dump_ms += t->dump_ms;
    sum->stored_bytes += t->stored_bytes;
    if (t->last_dump > sum->last_dump)
        sum->last_dump = t->last_dump;
}

/* job != 0: of that job only, or of one step of it, and remove them. */
static void each(int dirfd, uint32_t job, const uint32_t *step, const char *node, struct tally *sum,
                 tally_fn fn, void *arg)
{
    DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *e;

    while (d && (e = readdir(d))) {
        struct tally_name name;
        struct tally t;

        if (!parse(e->d_name, &name) || strcmp(name.node, node) != 0 ||
            (job != 0 && name.job != job) || (step && name.step != *step) ||
            load(dirfd, e->d_name, &t) < 0)
            continue;
        sum_up(sum, &t);
        if (job != 0)
            unlinkat(dirfd, e->d_name, 0);
        if (fn)
            fn(&name, &t, arg);
    }
    if (d)
        closedir(d);
}

/* Open and locked: epilogs run at the same time. */
static int open_sum(int dirfd, const char *node, struct tally *sum, struct err *err)
{
    char file[NAME_SIZE];
    int fd;

    snprintf(file, sizeof file, "tallied.%s", node);
    fd = openat(dirfd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        err_sys(err, "%s", file);
        io_close(&fd);
        return -1;
    }
    memset(sum, 0, sizeof *sum);
    if (pread(fd, sum, sizeof *sum, 0) != (ssize_t)sizeof *sum)
        memset(sum, 0, sizeof *sum);
    return fd;
}

int tally_fold(const char *state_dir, uint32_t job, const uint32_t *step, const char *node,
               struct err *err)
{
    int dirfd, fd, rc = 0;
    struct tally sum;

    errno = EINVAL;
    if (job == 0 || !facts_name_ok(node))
        return err_set(err, "the job or the node's name has a form that is not accepted");
    dirfd = open_dir(state_dir, err);
    if (dirfd < 0)
        return errno == ENOENT ? 0 : -1;
    fd = open_sum(dirfd, node, &sum, err);
    if (fd < 0) {
        io_close(&dirfd);
        return -1;
    }
    each(dirfd, job, step, node, &sum, NULL, NULL);
    if (pwrite(fd, &sum, sizeof sum, 0) != (ssize_t)sizeof sum)
        rc = err_sys(err, "%s/tallied.%s", state_dir, node);
    io_close(&fd);
    io_close(&dirfd);
    return rc;
}

int tally_read(const char *state_dir, const char *node, struct tally *sum, tally_fn fn, void *arg,
               struct err *err)
{
    int dirfd, fd;

    memset(sum, 0, sizeof *sum);
    errno = EINVAL;
    if (!facts_name_ok(node))
        return err_set(err, "the node's name has a form that is not accepted");
    dirfd = open_dir(state_dir, err);
    if (dirfd < 0)
        return errno == ENOENT ? 0 : -1;
    fd = open_sum(dirfd, node, sum, err);
    if (fd >= 0)
        each(dirfd, 0, NULL, node, sum, fn, arg);
    io_close(&dirfd);
    if (fd < 0)
        return -1;
    io_close(&fd);
    return 0;
}

static void note_one(const struct tally_name *name, const struct tally *t, void *arg)
{
    (void)name;
    (void)t;
    *(bool *)arg = true;
}

bool tally_any(const char *state_dir, const char *node)
{
    int dirfd = facts_name_ok(node) ? open_dir(state_dir, NULL) : -1;
    char file[NAME_SIZE];
    bool any = false;
    struct tally sum;
    struct stat st;

    if (dirfd < 0)
        return false;
    memset(&sum, 0, sizeof sum);
    snprintf(file, sizeof file, "tallied.%s", node);
    /* To read it makes it, empty. */
    if (fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
        any = true;
    else
        each(dirfd, 0, NULL, node, &sum, note_one, &any);
    io_close(&dirfd);
    return any;
}
