/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of snapshot.h: what a snapshot process looks like is compared, and it lets go of what nobody reads in it.
 */
#include "dump/inject.h"
#include "dump/inject_arch.h"
#include "dump/smaps.h"
#include "dump/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int check_early(const struct snapshot_process *p, struct err *err)
{
    char *before, *now;
    int rc = 0;

    if (p->earlyfd < 0)
        return 0;
    /* CRIU has read it to its end. */
    before = lseek(p->earlyfd, 0, SEEK_SET) == 0 ? smaps_read(p->earlyfd) : NULL;
    now = before ? smaps_read(p->smapsfd) : NULL;
    if (!now)
        rc = err_sys(err, "memory map of process %d and of its snapshot", (int)p->pid);
    else if (!smaps_same_flags(before, now)) {
        errno = EBADMSG;
        rc = err_set(
            err, "process %d changed properties of its memory in the moment before it was stopped",
            (int)p->pid);
    }
    free(before);
    free(now);
    return rc;
}

int snapshot_check_early(struct snapshot *s, struct err *err)
{
    for (size_t i = 0; i < snapshot_count(s); i++)
        if (check_early(snapshot_at(s, i), err) < 0)
            return -1;
    return 0;
}

static int unmap(struct inject *in, const struct snapshot_process *p, uint64_t from, uint64_t to)
{
    /* The vDSO has the instruction by which we do this. */
    if (from < p->vdso_end && p->vdso_start < to) {
        if (from < p->vdso_start && unmap(in, p, from, p->vdso_start) < 0)
            return -1;
        from = p->vdso_end;
    }
    if (from < to) {
        const uint64_t args[5] = {from, to - from, 0, 0, 0};

        return inject_call(in, NULL, SYS_munmap, args) == INJECT_LOST ? -1 : 0;
    }
    return 0;
}

struct watcher {
    int (*watch)(void *arg, struct err *err);
    void *arg;
    struct err *err;
};

static int look(const struct watcher *w)
{
    return w->watch ? w->watch(w->arg, w->err) : 0;
}

/* It stands at the end of its last call; the stop is good for more.  -1: lost, or w->err says what. */
static int trim(const struct snapshot_process *p, const struct watcher *w)
{
    const uint64_t top = ARCH_TOP;
    uint64_t at = 65536;
    struct inject in;

    if (inject_begin(&in, p->child, p->site, 0) < 0)
        return -1;
    for (size_t i = 0; i < p->n; i++) {
        if (at < p->areas[i].start && (look(w) < 0 || unmap(&in, p, at, p->areas[i].start) < 0))
            return -1;
        at = p->areas[i].end;
    }
    return at < top ? unmap(&in, p, at, top - 4096) : 0;
}

int snapshot_trim(struct snapshot *s, int (*watch)(void *arg, struct err *err), void *arg,
                  struct err *err)
{
    struct err why = {""};
    const struct watcher w = {watch, arg, &why};

    for (size_t i = 0; i < snapshot_count(s); i++)
        if (trim(snapshot_at(s, i), &w) < 0) {
            if (why.text[0])
                return err_set(err, "%s", why.text);
            errno = ESRCH;
            return err_set(err, "the snapshot of process %d was lost", (int)snapshot_at(s, i)->pid);
        }
    return 0;
}
