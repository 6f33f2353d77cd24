/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PID_MOST 4194304u /* PID_MAX_LIMIT of 64-bit kernels */

static bool id_ok(uint32_t id)
{
    return id > 1 && id <= PID_MOST;
}

static bool has_pid(const struct tree *t, uint32_t pid)
{
    for (size_t i = t->n; i-- > 0;)
        if (t->procs[i].pid == pid)
            return true;
    return false;
}

static int check(const struct tree *t, const struct proc *p, struct err *err)
{
    errno = EBADMSG;
    if (!id_ok(p->pid) || !id_ok(p->pgid) || !id_ok(p->sid))
        return err_set(err, "process %u, group %u, session %u: not process numbers", p->pid,
                       p->pgid, p->sid);
    if (p->ntids < 1 || p->tids[0] != p->pid)
        return err_set(err, "process %u: its first thread is another", p->pid);
    for (size_t i = 0; i < p->ntids; i++)
        if (!id_ok(p->tids[i]))
            return err_set(err, "process %u: thread %u", p->pid, p->tids[i]);
    if ((p->ppid == 0) != (t->n == 0))
        return err_set(err, "process %u: not exactly one root", p->pid);
    if (t->n > 0 && !has_pid(t, p->ppid))
        return err_set(err, "process %u: its parent %u is not there", p->pid, p->ppid);
    if (t->n >= TREE_PROCESSES_MAX || p->ntids > TREE_THREADS_MAX - t->nthreads)
        return err_set(err, "too many processes or threads");
    return 0;
}

int tree_add(struct tree *t, const struct proc *p, struct err *err)
{
    struct proc *more, *last;

    if (check(t, p, err) < 0)
        return -1;
    if ((t->n & (t->n - 1)) == 0) { /* room doubles at each power of two */
        more = realloc(t->procs, (t->n ? 2 * t->n : 1) * sizeof *more);
        if (!more)
            return err_sys(err, "processes");
        t->procs = more;
    }
    last = &t->procs[t->n];
    *last = *p;
    last->tids = malloc(p->ntids * sizeof *p->tids);
    if (!last->tids)
        return err_sys(err, "threads");
    memcpy(last->tids, p->tids, p->ntids * sizeof *p->tids);
    t->n++;
    t->nthreads += p->ntids;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static size_t unique(uint32_t *v, size_t n)
{
    size_t kept = 0;

    if (n > 1)
        qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[kept - 1] != v[i])
            v[kept++] = v[i];
    return kept;
}

int tree_finish(struct tree *t, struct err *err)
{
    size_t n = 0;
    uint32_t *ids;

    if (t->n == 0) {
        errno = EBADMSG;
        return err_set(err, "no process at all");
    }
    ids = malloc((t->nthreads + 2 * t->n) * sizeof *ids);
    if (!ids)
        return err_sys(err, "threads");
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < t->procs[i].ntids; j++)
            ids[n++] = t->procs[i].tids[j];
    if (unique(ids, n) != n) {
        free(ids);
        errno = EBADMSG;
        return err_set(err, "two threads with the same number");
    }
    for (size_t i = 0; i < t->n; i++) {
        ids[n++] = t->procs[i].pgid;
        ids[n++] = t->procs[i].sid;
    }
    t->nids = unique(ids, n);
    free(t->ids);
    t->ids = ids;
    return 0;
}

void tree_free(struct tree *t)
{
    int saved = errno;

    for (size_t i = 0; i < t->n; i++)
        free(t->procs[i].tids);
    free(t->procs);
    free(t->ids);
    memset(t, 0, sizeof *t);
    errno = saved;
}

static bool same_threads(const struct proc *p, const struct manifest_process *m)
{
    uint32_t *a, *b;
    bool same = false;

    if (p->dead || p->ntids != m->nthreads)
        return p->dead; /* CRIU writes no thread list for a zombie */
    a = malloc(p->ntids * sizeof *a);
    b = malloc(p->ntids * sizeof *b);
    if (a && b) {
        memcpy(a, p->tids, p->ntids * sizeof *a);
        memcpy(b, m->threads, p->ntids * sizeof *b);
        qsort(a, p->ntids, sizeof *a, by_value);
        qsort(b, p->ntids, sizeof *b, by_value);
        same = memcmp(a, b, p->ntids * sizeof *a) == 0;
    }
    free(a);
    free(b);
    return same;
}

int tree_compare(const struct tree *t, const struct manifest *m, struct err *err)
{
    errno = EBADMSG;
    if (t->n != m->nprocesses)
        return err_set(err, "%zu processes in the images, %zu in the manifest", t->n,
                       m->nprocesses);
    for (size_t i = 0; i < t->n; i++) {
        const struct proc *p = &t->procs[i];
        const struct manifest_process *q = NULL;

        for (size_t j = 0; j < m->nprocesses && !q; j++) {
            /* both come in the same order unless somebody turned them round */
            const struct manifest_process *at = &m->processes[(i + j) % m->nprocesses];

            if (at->pid == p->pid)
                q = at;
        }
        if (!q || q->pgid != p->pgid || q->sid != p->sid || (i > 0 && q->ppid != p->ppid) ||
            !same_threads(p, q)) {
            errno = EBADMSG;
            return err_set(err, "process %u: images and manifest differ", p->pid);
        }
    }
    return 0;
}

uint32_t tree_max_id(const struct tree *t)
{
    return t->nids ? t->ids[t->nids - 1] : 0;
}
