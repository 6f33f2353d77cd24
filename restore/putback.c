/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/putback.h"

#include "common/beneath.h"
#include "common/gendir.h"
#include "common/io.h"
#include "common/proto.h"
#include "restore/keptlist.h"
#include "restore/putback_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEPT_RESTARTS 2u /* whose tails stay */

static bool is_cut(const struct act *a)
{
    return !a->created &&
           (a->e->role == FILE_CUT || a->e->role == FILE_OUTPUT || a->e->role == FILE_LEFT);
}

/* When root started this task: facts tell it in clock ticks since boot. */
static int64_t start_of_task(const struct facts *f)
{
    struct timespec boot, now;
    long ticks = sysconf(_SC_CLK_TCK);

    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec - (int64_t)boot.tv_sec +
           (int64_t)(f->task_start / (uint64_t)(ticks > 0 ? ticks : 100)) + 1;
}

static size_t largest_frame(const struct index *ix)
{
    size_t most = 1;

    for (size_t i = 0; i < ix->nframes; i++)
        most = ix->frames[i].stored > most ? ix->frames[i].stored : most;
    return most;
}

struct putback *putback_create(const struct putback_opts *o, struct err *err)
{
    struct putback *p = calloc(1, sizeof *p);
    enum facts_compress compress = manifest_compress(&o->c->m);

    if (!p) {
        err_sys(err, "files to put back");
        return NULL;
    }
    p->o = *o;
    p->keptdir = p->dirfd = -1;
    p->started_s = start_of_task(o->facts);
    p->stored = malloc(largest_frame(&o->c->ix));
    p->raw = malloc(MANIFEST_FRAME_MAX);
    if (compress != COMPRESS_NONE)
        p->unfold = unfold_create(compress);
    if (!p->stored || !p->raw || (compress != COMPRESS_NONE && !p->unfold)) {
        err_sys(err, "files to put back");
        putback_destroy(p);
        return NULL;
    }
    return p;
}

static int stage_one(struct putback *p, const struct file_entry *e, struct err *err)
{
    if (filelist_may_be_missing(e)) {
        int rc = putback_stage_missing(p, e, err);

        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
    switch (e->role) {
    case FILE_CUT:
        return putback_stage_cut(p, e, true, err);
    case FILE_LEFT:
        return putback_stage_cut(p, e, false, err);
    case FILE_OUTPUT:
        return p->o.cut_output ? putback_stage_cut(p, e, false, err) : 0;
    case FILE_COPY:
    case FILE_ABSENT:
        return putback_stage_copy(p, e, err);
    case FILE_DIR:
    case FILE_LINK:
        return putback_make(p, e, err);
    default:
        return 0;
    }
}

int putback_stage(struct putback *p, struct err *err)
{
    /* Sorted by path: directories come before what is in them. */
    for (size_t i = 0; i < p->o.list->n; i++)
        if (stage_one(p, &p->o.list->v[i], err) < 0)
            return -1;
    return 0;
}

int putback_commit(struct putback *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        struct act *a = &p->acts[i];

        if ((is_cut(a) ? putback_commit_cut(p, a, err) : putback_commit_copy(p, a, err)) < 0)
            return -1;
    }
    return 0;
}

void putback_undo(struct putback *p)
{
    int saved = errno;

    for (size_t i = p->n; i-- > 0;) {
        struct act *a = &p->acts[i];

        if (a->state != ACT_DONE)
            continue;
        if (is_cut(a))
            putback_undo_cut(p, a);
        else
            putback_undo_copy(p, a);
    }
    errno = saved;
}

/* Tails of restarts before the last one go. */
static void forget_older(struct putback *p)
{
    DIR *d = p->keptdir < 0 ? NULL : beneath_list(p->keptdir, NULL);
    const struct dirent *e;

    while (d && (e = readdir(d))) {
        unsigned epoch;

        if (sscanf(e->d_name, "r%4u", &epoch) == 1 && epoch + KEPT_RESTARTS <= p->o.facts->epoch)
            (void)unlinkat(p->keptdir, e->d_name, 0);
    }
    if (d)
        beneath_end(d);
}

/* Which files, for who wants to know it all. */
static void write_list(struct putback *p)
{
    char name[32], line[PATH_MAX + 128];
    int fd;

    if (p->keptdir < 0)
        return;
    snprintf(name, sizeof name, "r%04u.txt", p->o.facts->epoch);
    (void)unlinkat(p->keptdir, name, 0);
    fd = gendir_open_file(p->keptdir, name, O_WRONLY | O_CREAT, 0600, NULL);
    for (size_t i = 0; i < p->n && fd >= 0; i++) {
        const struct act *a = &p->acts[i];
        int n;

        if (a->state != ACT_DONE)
            continue;
        n = is_cut(a)
                ? snprintf(line, sizeof line,
                           "cut %s from %" PRIu64 " to %" PRIu64 " bytes, the rest is %s",
                           a->e->path, a->found, a->e->size, a->kept)
                : snprintf(line, sizeof line, "%s %s%s%s",
                           a->e->role == FILE_ABSENT ? "taken away" : "put back", a->e->path,
                           a->kept[0] == 'r' ? ", it is " : "", a->kept[0] == 'r' ? a->kept : "");
        if (n < 0 || (size_t)n >= sizeof line - 1)
            continue;
        err_clean(line);
        line[n++] = '\n';
        if (io_write_full(fd, line, (size_t)n) < 0)
            break;
    }
    io_close(&fd);
}

static void count(struct putback *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct act *a = &p->acts[i];

        if (a->state != ACT_DONE)
            continue;
        if (is_cut(a)) {
            p->ncut++;
            p->tail += a->found - a->e->size;
        } else {
            p->nput++;
        }
    }
}

static const char *first_path(const struct putback *p, bool cut)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->acts[i].state == ACT_DONE && is_cut(&p->acts[i]) == cut)
            return p->acts[i].e->path;
    return "";
}

static void describe(const struct putback *p, char *note, size_t size)
{
    char cut[200] = "", put[200] = "";

    if (p->ncut > 0)
        snprintf(cut, sizeof cut,
                 "%zu file%s cut back (%.80s%s; %" PRIu64 " bytes kept in %s/r%04u-*)", p->ncut,
                 p->ncut == 1 ? "" : "s", first_path(p, true), p->ncut > 1 ? ", ..." : "", p->tail,
                 PUTBACK_KEPT, p->o.facts->epoch);
    if (p->nput > 0)
        snprintf(put, sizeof put, "%zu put back (%.80s%s)", p->nput, first_path(p, false),
                 p->nput > 1 ? ", ..." : "");
    snprintf(note, size, "%s%s%s%s%s", cut, *cut && *put ? ", " : "", put,
             (*cut || *put) && p->skipped[0] ? "; " : "", p->skipped);
}

void putback_done(struct putback *p, char *note, size_t size)
{
    count(p);
    write_list(p);
    forget_older(p);
    describe(p, note, size);
}

void putback_destroy(struct putback *p)
{
    int saved = errno;

    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        if (!is_cut(&p->acts[i]))
            putback_forget_copy(p, &p->acts[i]);
    io_close(&p->keptdir);
    io_close(&p->dirfd);
    unfold_destroy(p->unfold);
    free(p->acts);
    free(p->stored);
    free(p->raw);
    free(p);
    errno = saved;
}
