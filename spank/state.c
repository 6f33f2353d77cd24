/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/state.h"

#include "common/facts.h"
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_dir(const char *dir, bool create, struct err *err)
{
    struct stat st;
    int fd;

    if (create && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "cannot make %s", dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "cannot open %s", dir);
    if (fstat(fd, &st) < 0 || st.st_uid != 0 || (st.st_mode & 022)) {
        close(fd);
        errno = EPERM;
        return err_set(err, "StateDir %s is not root's alone: chown it to root, chmod 700", dir);
    }
    return fd;
}

#define NAME_SIZE 112 /* ".JOB.NODE.PID.tmp" */

static int bad_node(struct err *err)
{
    errno = EINVAL;
    return err_set(err, "the node's name has a form that is not accepted");
}

int state_store(const char *dir, const struct state *s, struct err *err)
{
    char name[NAME_SIZE], tmp[NAME_SIZE], text[256];
    int dirfd, fd = -1, len, rc = -1;

    if (!facts_nonce_ok(s->nonce) || !facts_name_ok(s->cluster) || !facts_name_ok(s->node)) {
        errno = EINVAL;
        return err_set(err, "the job's nonce, cluster or node has a form that is not accepted");
    }
    dirfd = open_dir(dir, true, err);
    if (dirfd < 0)
        return -1;
    snprintf(name, sizeof name, "%u.%s", s->job, s->node);
    /* Of each process its own: the tasks of a step may store it at the same time. */
    snprintf(tmp, sizeof tmp, ".%u.%s.%d.tmp", s->job, s->node, (int)getpid());
    len = snprintf(text, sizeof text, "job=%u uid=%u epoch=%u nonce=%s cluster=%s node=%s\n",
                   s->job, s->uid, s->epoch, s->nonce, s->cluster, s->node);
    unlinkat(dirfd, tmp, 0);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || io_write_full(fd, text, (size_t)len) < 0 || renameat(dirfd, tmp, dirfd, name) < 0)
        err_sys(err, "cannot write %s/%s", dir, name);
    else
        rc = 0;
    io_close(&fd);
    io_close(&dirfd);
    return rc;
}

static int read_record(int dirfd, const char *name, uint32_t job, struct state *s, int64_t *age_s,
                       struct err *err)
{
    struct state got = {0};
    struct stat st;
    char text[256];
    int fd, end = 0;
    ssize_t n;

    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "the prolog hook's note of job %u", job);
    n = fstat(fd, &st) < 0 ? -1 : read(fd, text, sizeof text - 1);
    io_close(&fd);
    if (n < 0)
        return err_sys(err, "the prolog hook's note of job %u", job);
    text[n] = '\0';
    if (sscanf(text, "job=%u uid=%u epoch=%u nonce=%16s cluster=%63s node=%63s%n", &got.job,
               &got.uid, &got.epoch, got.nonce, got.cluster, got.node, &end) != 6 ||
        strcmp(text + end, "\n") != 0 || got.job != job || !facts_nonce_ok(got.nonce) ||
        !facts_name_ok(got.cluster) || !facts_name_ok(got.node)) {
        errno = EINVAL;
        return err_set(err, "the prolog hook's note of job %u is damaged: scontrol requeue %u", job,
                       job);
    }
    *s = got;
    *age_s = time(NULL) - st.st_mtim.tv_sec;
    return 0;
}

int state_load(const char *dir, uint32_t job, const char *node, struct state *s,
               enum state_age *age, struct err *err)
{
    int64_t age_s = -1;
    char name[NAME_SIZE];
    struct err first = {{0}};
    int dirfd, rc;

    if (!facts_name_ok(node))
        return bad_node(err);
    dirfd = open_dir(dir, false, err);
    if (dirfd < 0)
        return -1;
    snprintf(name, sizeof name, "%u.%s", job, node);
    rc = read_record(dirfd, name, job, s, &age_s, &first);
    *age = age_s >= 0 && age_s <= STATE_FRESH_S ? STATE_FRESH : STATE_OLD;
    if (rc < 0 && errno != ENOENT) {
        if (err)
            *err = first;
    } else if (rc < 0) {
        snprintf(name, sizeof name, "%u.%s.closed", job, node);
        rc = read_record(dirfd, name, job, s, &age_s, err);
        *age = STATE_CLOSED;
    }
    io_close(&dirfd);
    return rc;
}

int state_open_slots(const char *dir, struct err *err)
{
    int dirfd = open_dir(dir, true, err), fd;

    if (dirfd < 0)
        return -1;
    fd = openat(dirfd, "dumps", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        err_sys(err, "%s/dumps", dir);
    io_close(&dirfd);
    return fd;
}

static void remove_old(int dirfd)
{
    DIR *d = fdopendir(fcntl(dirfd, F_DUPFD_CLOEXEC, 3));
    struct dirent *e;
    struct stat st;

    while (d && (e = readdir(d))) {
        const char *dot = strrchr(e->d_name, '.');

        /* Or one that was not written to its end. */
        if (dot && (strcmp(dot, ".closed") == 0 || strcmp(dot, ".tmp") == 0) &&
            fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_ctime + STATE_CLOSED_S < time(NULL))
            unlinkat(dirfd, e->d_name, 0);
    }
    if (d)
        closedir(d);
}

int state_close(const char *dir, uint32_t job, const char *node, struct err *err)
{
    char name[NAME_SIZE], closed[NAME_SIZE];
    int dirfd, rc;

    if (!facts_name_ok(node))
        return bad_node(err);
    dirfd = open_dir(dir, false, err);
    if (dirfd < 0)
        return errno == ENOENT ? 0 : -1;
    remove_old(dirfd);
    snprintf(name, sizeof name, "%u.%s", job, node);
    snprintf(closed, sizeof closed, "%u.%s.closed", job, node);
    rc = renameat(dirfd, name, dirfd, closed);
    if (rc < 0 && errno == ENOENT)
        rc = 0;
    if (rc < 0)
        err_sys(err, "cannot close %s/%s", dir, name);
    io_close(&dirfd);
    return rc;
}
