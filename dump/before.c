/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/before.h"

#include "able/able.h"
#include "able/headroom.h"
#include "common/manifest.h"
#include "dump/capture.h"
#include "dump/pack.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>

#define PASSING_MS 2000
#define AGAIN_MS 100

static unsigned thread_count(const struct facts *f)
{
    cpu_set_t set;
    int n = 1;

    if (f->threads)
        return f->threads < 64 ? f->threads : 64;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > 8 ? 8 : (unsigned)n;
}

/* A call to munge or sssd takes milliseconds: it need not cost the checkpoint. */
static int look_tree(pid_t root, struct able_list *list, struct err *err)
{
    int64_t end = capture_now_ms() + PASSING_MS;
    char text[sizeof err->text];

    if (able_scan("/proc", root, list, err) < 0)
        return -1;
    while (able_passing(list) && capture_now_ms() < end) {
        poll(NULL, 0, AGAIN_MS);
        if (able_scan("/proc", root, list, err) < 0)
            return -1;
    }
    if (list->total == 0)
        return 0;
    able_summary(list, text, sizeof text);
    errno = ENOTSUP;
    return err_set(err, "%s", text);
}

bool before_fit(uint64_t room, unsigned wanted, unsigned processes, const struct facts *f,
                struct before *b)
{
    uint64_t least = headroom_need(processes);

    b->frame_bytes = f->incremental ? PACK_FRAME_INCREMENTAL : MANIFEST_FRAME_MAX;
    for (b->threads = wanted; b->threads > 0; b->threads--)
        if (least + pack_memory(b->threads, b->frame_bytes, f->compress, f->compress_level) <= room)
            return true;
    b->threads = 1;
    b->frame_bytes = PACK_FRAME_SMALL;
    return least + pack_memory(1, b->frame_bytes, f->compress, f->compress_level) <= room;
}

static int look_room(unsigned processes, const struct facts *f, bool last, struct before *b,
                     struct err *err)
{
    struct headroom h;
    uint64_t need;

    headroom_read("", &h);
    if (before_fit(h.room, thread_count(f), processes, f, b) || last)
        return 0;
    need =
        headroom_need(processes) + pack_memory(1, b->frame_bytes, f->compress, f->compress_level);
    errno = ENOMEM;
    if (h.limit == UINT64_MAX)
        return err_set(err,
                       "this node has %llu MiB of memory left, a checkpoint needs %llu: the job is "
                       "not touched",
                       (unsigned long long)(h.room >> 20), (unsigned long long)(need >> 20) + 1);
    return err_set(
        err,
        "%llu MiB of the job's memory limit (%llu MiB) are left, a checkpoint needs %llu: it is "
        "tried again later; ask for a little more with --mem",
        (unsigned long long)(h.room >> 20), (unsigned long long)(h.limit >> 20),
        (unsigned long long)(need >> 20) + 1);
}

int before_look(pid_t root, const struct facts *f, bool last, struct before *b, struct err *err)
{
    struct able_list *list = calloc(1, sizeof *list);
    int rc;

    if (!list)
        return err_sys(err, "no memory to look at the job");
    rc = look_tree(root, list, err);
    if (rc == 0)
        rc = look_room((unsigned)list->processes, f, last, b, err);
    free(list);
    return rc;
}
