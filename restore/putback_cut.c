/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/gendir.h"
#include "common/io.h"
#include "restore/putback_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

/* Lines of ours and of Slurm's tell what happened to the job: they stay in its output. */
static const char *const ours[] = {"checkpoint: ", "slurmstepd: "};

struct lines {
    int out; /* -1: only look */
    bool theirs;
    char line[LINE_MAX_BYTES];
    size_t len;
};

static int end_line(struct lines *l)
{
    bool keep = false;

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        keep = keep || (l->len >= strlen(ours[i]) && !memcmp(l->line, ours[i], strlen(ours[i])));
    if (!keep && l->len > 0)
        l->theirs = true;
    if (keep && l->out >= 0 && io_write_full(l->out, l->line, l->len) < 0)
        return -1;
    l->len = 0;
    return 0;
}

/* The lines of fd from `from` to its end: are there others than ours?  Ours go to `out`. */
static int split_lines(int fd, uint64_t from, uint64_t to, int out, bool *theirs)
{
    struct lines l = {.out = out};
    char buf[65536];

    for (uint64_t at = from; at < to;) {
        size_t want = to - at < sizeof buf ? (size_t)(to - at) : sizeof buf;
        ssize_t n = pread(fd, buf, want, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        for (ssize_t i = 0; i < n; i++) {
            if (l.len < sizeof l.line)
                l.line[l.len++] = buf[i];
            if (buf[i] == '\n' && end_line(&l) < 0)
                return -1;
        }
        at += (uint64_t)n;
    }
    if (l.len > 0 && end_line(&l) < 0)
        return -1;
    *theirs = l.theirs;
    return 0;
}

/* It stays as it is. */
static int skip(struct putback *p, const struct file_entry *e, bool must, struct err *err,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static int skip(struct putback *p, const struct file_entry *e, bool must, struct err *err,
                const char *fmt, ...)
{
    char why[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    if (must)
        return putback_hold(err, e->path, "%s", why);
    if (!p->skipped[0])
        snprintf(p->skipped, sizeof p->skipped, "%.150s left as it is: %.140s", e->path, why);
    return 0;
}

static const char *unfit(const struct putback *p, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "it is no regular file any more";
    if (st->st_uid != p->o.facts->uid)
        return "it belongs to another user";
    if (st->st_nlink != 1)
        return "it has other names (hard links), which would be cut with it";
    return NULL;
}

static bool same_contents(const struct file_entry *e, int fd)
{
    uint8_t head[32], tail[32];

    return !e->has_sums || (filelist_sums(fd, e->size, head, tail, NULL) == 0 &&
                            !memcmp(head, e->head, 32) && !memcmp(tail, e->tail, 32));
}

/* fd: for reading.  1: cut it; 0: nothing to do; -1. */
static int judge(struct putback *p, const struct file_entry *e, bool must, int fd,
                 const struct stat *st, struct err *err)
{
    const char *why = unfit(p, st);
    uint64_t size = (uint64_t)st->st_size;

    if (why && (size != e->size || !S_ISREG(st->st_mode)))
        return skip(p, e, must, err, "%s", why);
    if (size < e->size)
        return skip(p, e, must, err,
                    "%" PRIu64 " bytes, at the checkpoint it had %" PRIu64
                    ": the job has begun it anew meanwhile; files=%.80s has it copied",
                    size, e->size, e->path);
    if (!same_contents(e, fd))
        return skip(p, e, must, err,
                    "what the job had written before the checkpoint was written over since; "
                    "files=%.80s has it copied",
                    e->path);
    if (size == e->size)
        return 0;
    /* The shepherd and Slurm have the output open. */
    why = e->role == FILE_OUTPUT ? NULL : putback_other_writer(p, fd, st);
    if (why)
        return skip(p, e, must, err, "%s: it is not cut back", why);
    return 1;
}

static int stage(struct putback *p, struct act *a, bool must, int fd, struct err *err)
{
    const struct file_entry *e = a->e;
    bool theirs = true;
    int rc;

    if (fstat(fd, &a->st) < 0)
        return err_sys(err, "%.200s", e->path);
    rc = judge(p, e, must, fd, &a->st, err);
    if (rc <= 0)
        return rc;
    a->found = (uint64_t)a->st.st_size;
    if (e->role == FILE_OUTPUT && split_lines(fd, e->size, a->found, -1, &theirs) < 0)
        return skip(p, e, must, err, "%s", strerror(errno));
    if (!theirs || putback_keep(p, a, fd, e->size, a->found - e->size, false, err) == 0)
        return 0;
    /* Logs are no reason to keep a job waiting. */
    a->kept[0] = '\0';
    return must ? -1 : skip(p, e, must, err, "what would be cut off cannot be kept");
}

int putback_stage_cut(struct putback *p, const struct file_entry *e, bool must, struct err *err)
{
    struct act *a = putback_act(p, e, err);
    int dirfd, fd, rc;

    if (!a)
        return -1;
    dirfd = putback_dir(p, e->path, false, must ? err : NULL);
    fd = dirfd < 0 ? -1 : putback_open_at(dirfd, putback_base(e->path), O_RDONLY);
    if (dirfd < 0)
        rc = must ? -1 : 0;
    else if (fd < 0)
        rc = skip(p, e, must, err, "%s",
                  errno == ELOOP    ? "a symbolic link is there now: it is not followed"
                  : errno == ENOENT ? "it has gone"
                                    : strerror(errno));
    else
        rc = stage(p, a, must, fd, err);
    io_close(&fd);
    if (rc == 0 && !a->kept[0])
        p->n--; /* nothing to do */
    return rc;
}

int putback_commit_cut(struct putback *p, struct act *a, struct err *err)
{
    int fd = putback_open_again(p, a, err), kept, rc = 0;
    bool theirs;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)a->e->size) < 0) {
        rc = putback_hold(err, a->e->path, "cannot be cut back: %s", strerror(errno));
    } else {
        a->state = ACT_DONE;
        kept = a->e->role == FILE_OUTPUT ? gendir_open_file(p->keptdir, a->kept, O_RDONLY, 0, NULL)
                                         : -1;
        if (kept >= 0 && lseek(fd, (off_t)a->e->size, SEEK_SET) >= 0)
            (void)split_lines(kept, 0, a->found - a->e->size, fd, &theirs);
        io_close(&kept);
    }
    io_close(&fd);
    return rc;
}

/* What cannot be put on again stays in kept/. */
void putback_undo_cut(struct putback *p, struct act *a)
{
    int fd = putback_open_again(p, a, NULL);

    a->state = ACT_STAGED;
    if (fd >= 0)
        (void)putback_unkeep(p, a, fd, a->e->size);
    io_close(&fd);
}
