/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir_impl.h"

#include "common/beneath.h"
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The owner may put anything into his directory; a directory with more names than this is not one
 * of ours, and a list of them must not eat the job's memory. */
#define MAX_NAMES 65536
#define MAX_EPOCH 9999

bool gendir_parse_name(const char *name, struct gendir_id *id, bool *partial)
{
    struct gendir_id got;
    char again[40], *end;
    unsigned long long v;
    bool suffix;

    if (strncmp(name, "gen-", 4) != 0 || name[4] < '0' || name[4] > '9')
        return false;
    v = strtoull(name + 4, &end, 10);
    if (v > MAX_EPOCH || *end != '-' || end[1] < '0' || end[1] > '9')
        return false;
    got.epoch = (uint32_t)v;
    v = strtoull(end + 1, &end, 10);
    if (v < 1 || v > UINT32_MAX || (*end && !partial))
        return false;
    got.sequence = (uint32_t)v;
    suffix = *end != '\0';
    /* Only the form we write ourselves: one name, one generation. */
    gendir_format_name(got, suffix, again);
    if (strcmp(again, name) != 0)
        return false;
    *id = got;
    if (partial)
        *partial = suffix;
    return true;
}

void gendir_format_name(struct gendir_id id, bool partial, char name[40])
{
    snprintf(name, 40, GENDIR_NAME "%s", id.epoch, id.sequence, partial ? ".partial" : "");
}

#define LINK_BEFORE "pages."
#define LINK_AFTER ".zst"

void gendir_format_link(struct gendir_id id, char name[48])
{
    snprintf(name, 48, LINK_BEFORE GENDIR_NAME LINK_AFTER, id.epoch, id.sequence);
}

bool gendir_parse_link(const char *name, struct gendir_id *id)
{
    const size_t before = sizeof LINK_BEFORE - 1, after = sizeof LINK_AFTER - 1, n = strlen(name);
    char gen[40];

    if (n <= before + after || n - before - after >= sizeof gen ||
        strncmp(name, LINK_BEFORE, before) != 0 || strcmp(name + n - after, LINK_AFTER) != 0)
        return false;
    memcpy(gen, name + before, n - before - after);
    gen[n - before - after] = '\0';
    return gendir_parse_name(gen, id, NULL);
}

int gendir_compare(struct gendir_id a, struct gendir_id b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    if (a.sequence != b.sequence)
        return a.sequence < b.sequence ? -1 : 1;
    return 0;
}

int gendir_open_file(int dirfd, const char *name, int flags, unsigned mode, struct err *err)
{
    return beneath_open_file(dirfd, name, flags, mode, err);
}

int gendir_open_dir(int dirfd, const char *name, struct err *err)
{
    return beneath_open_dir(dirfd, name, geteuid(), err);
}

int gendir_open_shared(int dirfd, const char *name, struct err *err)
{
    return beneath_open_shared(dirfd, name, err);
}

int gendir_open_base(const char *base, uid_t uid, bool create, struct err *err)
{
    int fd = beneath_open_path(base, uid, create, err);

    return fd < 0 ? err_prefix(err, "checkpoint directory") : fd;
}

/* Opens name below dirfd and gives up dirfd, whatever comes of it. */
static int descend(int dirfd, const char *name, bool create, uid_t uid, struct err *err)
{
    int fd;

    if (create && mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST) {
        err_sys(err, "cannot make %s", name);
        io_close(&dirfd);
        return -1;
    }
    fd = beneath_open_dir(dirfd, name, uid, err);
    io_close(&dirfd);
    return fd;
}

int gendir_open_task(const struct facts *f, bool create, struct err *err)
{
    char job[160];
    int fd;

    if (!facts_name_ok(f->cluster) || !facts_name_ok(f->task) || !facts_nonce_ok(f->nonce)) {
        errno = EINVAL;
        return err_set(err, "bad cluster, task or nonce");
    }
    snprintf(job, sizeof job, "%s.%u.%s", f->cluster, f->job, f->nonce);
    fd = gendir_open_base(f->dir, f->uid, create, err);
    if (fd < 0) {
        /* ENOENT means "no checkpoints of this job yet"; a base that is not there may be a
         * filesystem that is not mounted, which must not be taken for that. */
        if (errno == ENOENT)
            errno = ENXIO;
        return -1;
    }
    fd = descend(fd, job, create, f->uid, err);
    if (fd >= 0)
        fd = descend(fd, f->task, create, f->uid, err);
    if (fd < 0)
        return err_prefix(err, "in %s", f->dir);
    return fd;
}

struct found {
    struct gendir_id id;
    bool partial;
};

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return gendir_compare(y->id, x->id);
}

/* 1: *f is the next generation-like name; 0: the end; -1. */
static int next_found(DIR *d, struct found *f, size_t *seen, struct err *err)
{
    struct dirent *e;

    while (errno = 0, (e = readdir(d))) {
        if (++*seen > MAX_NAMES) {
            errno = EOVERFLOW;
            return err_set(err, "too many names in the task's directory");
        }
        if (gendir_parse_name(e->d_name, &f->id, &f->partial))
            return 1;
    }
    return errno ? err_sys(err, "cannot read the directory") : 0;
}

/* Every name that looks like a generation, complete or partial, newest first. */
static ssize_t scan(int taskfd, struct found **out, struct err *err)
{
    struct found *list = NULL, *bigger, f;
    size_t n = 0, room = 0, seen = 0;
    DIR *d = beneath_list(taskfd, err);
    int rc;

    if (!d)
        return -1;
    while ((rc = next_found(d, &f, &seen, err)) > 0) {
        if (n == room) {
            room = room ? 2 * room : 64;
            bigger = realloc(list, room * sizeof *list);
            if (!bigger) {
                rc = err_sys(err, "list of generations");
                break;
            }
            list = bigger;
        }
        list[n++] = f;
    }
    beneath_end(d);
    if (rc < 0) {
        free(list);
        return -1;
    }
    if (n > 1)
        qsort(list, n, sizeof *list, newest_first);
    *out = list;
    return (ssize_t)n;
}

/* 1, 0, or -1: a file system that does not answer must not look like one without checkpoints. */
static int is_own_dir(int dirfd, const char *name, struct err *err)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISDIR(st.st_mode) && st.st_uid == geteuid();
    return errno == ENOENT ? 0 : err_sys(err, "%s", name); /* removed meanwhile */
}

int gendir_list(int taskfd, struct gendir_id **ids, struct err *err)
{
    struct found *list = NULL;
    struct gendir_id *out;
    ssize_t n = scan(taskfd, &list, err);
    int count = 0;

    if (n < 0)
        return -1;
    out = calloc((size_t)n + 1, sizeof *out);
    if (!out) {
        err_sys(err, "list of generations");
        free(list);
        return -1;
    }
    for (ssize_t i = 0; i < n && count >= 0; i++) {
        int own = 0;
        char name[40];

        gendir_format_name(list[i].id, false, name);
        if (!list[i].partial)
            own = is_own_dir(taskfd, name, err);
        if (own > 0)
            out[count++] = list[i].id;
        else if (own < 0)
            count = -1;
    }
    free(list);
    if (count < 0)
        free(out);
    else
        *ids = out;
    return count;
}

static int stale(struct err *err)
{
    errno = ESTALE;
    return err_set(err, "a newer start of this job has written checkpoints already");
}

/* An older copy of the job may be at work in a partial directory of its own: it is taken away under its hands
 * as a whole, by name, so that it cannot commit what we are removing piece by piece.
 *
 * One that cannot be removed (a stranger's file in it) costs space, but is in nobody's way: its number is
 * not used again. */
static void clear_partial(int taskfd, struct gendir_id id, uint32_t epoch)
{
    struct gendir_id ours = {epoch, id.sequence};
    char from[40], to[40];
    int fd, rc;

    gendir_format_name(id, true, from);
    gendir_format_name(ours, true, to);
    fd = gendir_open_dir(taskfd, from, NULL);
    rc = fd < 0 ? -1 : gendir_check_parts(fd, from, NULL);
    io_close(&fd);
    if (rc == 0 && (id.epoch == epoch || renameat(taskfd, from, taskfd, to) == 0))
        (void)gendir_remove(taskfd, ours, true, NULL);
}

int gendir_sweep(int taskfd, uint32_t epoch, struct err *err)
{
    struct found *list = NULL;
    ssize_t n = scan(taskfd, &list, err);

    for (ssize_t i = 0; i < n; i++)
        if (list[i].partial && list[i].id.epoch < epoch)
            clear_partial(taskfd, list[i].id, epoch);
    free(list);
    return n < 0 ? -1 : 0;
}

int gendir_begin(int taskfd, uint32_t epoch, struct gendir_id *id, struct err *err)
{
    struct gendir_id next = {epoch, 0};
    struct found *list = NULL;
    ssize_t n;
    char name[40];

    if (epoch > MAX_EPOCH) {
        errno = EINVAL;
        return err_set(err, "epoch %u is out of range", epoch);
    }
    if (gendir_fence_check(taskfd, epoch, err) < 0)
        return -1;
    n = scan(taskfd, &list, err);
    if (n < 0)
        return -1;
    for (ssize_t i = 0; i < n; i++) {
        if (list[i].id.epoch > epoch) {
            free(list);
            return stale(err);
        }
        if (list[i].id.sequence > next.sequence)
            next.sequence = list[i].id.sequence;
        if (list[i].partial)
            clear_partial(taskfd, list[i].id, epoch);
    }
    free(list);
    if (next.sequence == UINT32_MAX) {
        errno = EOVERFLOW;
        return err_set(err, "no generation number is left");
    }
    next.sequence++;
    gendir_format_name(next, true, name);
    if (mkdirat(taskfd, name, 0700) < 0)
        return err_sys(err, "cannot make %s", name);
    n = gendir_open_dir(taskfd, name, err);
    if (n >= 0) {
        *id = next;
    } else {
        const int error = errno;

        (void)unlinkat(taskfd, name, AT_REMOVEDIR);
        errno = error;
    }
    return (int)n;
}

/* A name without .partial is a promise: one that could not be kept is taken back. */
static void take_back(int taskfd, const char *final, const char *partial)
{
    int saved = errno;

    (void)renameat(taskfd, final, taskfd, partial);
    errno = saved;
}

/* Has a newer start of the job begun meanwhile? */
static int check_epoch(int taskfd, uint32_t epoch, struct err *err)
{
    struct found *list = NULL;
    ssize_t n = scan(taskfd, &list, err);
    bool newer = n > 0 && list[0].id.epoch > epoch; /* newest first */

    free(list);
    if (n < 0)
        return -1;
    return newer ? stale(err) : gendir_fence_check(taskfd, epoch, err);
}

int gendir_commit(int taskfd, int genfd, struct gendir_id id, struct err *err)
{
    char from[40], to[40];

    gendir_format_name(id, true, from);
    gendir_format_name(id, false, to);
    if (check_epoch(taskfd, id.epoch, err) < 0)
        return -1;
    if (!beneath_same(genfd, taskfd, from)) {
        errno = ESTALE;
        return err_set(err, "%s is no longer the directory that was written", from);
    }
    if (fsync(genfd) < 0)
        return err_sys(err, "fsync %s", from);
    if (renameat(taskfd, from, taskfd, to) < 0)
        return err_sys(err, "rename %s to %s", from, to);
    if (!beneath_same(genfd, taskfd, to)) {
        errno = ESTALE;
        err_set(err, "%s was replaced while it was committed", from);
    } else if (fsync(taskfd) < 0) {
        err_sys(err, "fsync after the rename to %s", to);
    } else {
        return 0;
    }
    take_back(taskfd, to, from);
    return -1;
}
