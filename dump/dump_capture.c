/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/dump.h"

#include "common/helper.h"
#include "dump/before.h"
#include "dump/capture.h"
#include "dump/priority.h"
#include "dump/target.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

static int prepare_files(struct dump *d, struct err *err)
{
    const struct files_opts opts = {.facts = &d->facts,
                                    .images = d->images,
                                    .pack = d->pack,
                                    .taskfd = d->gen.taskfd,
                                    .dirfd = d->gen.dirfd,
                                    .wanted = d->wanted};

    d->files = files_create(&opts);
    return d->files ? 0 : err_sys(err, "files");
}

int dump_begin(struct dump *d, struct err *err)
{
    struct before before;

    d->doing = "looking at the job";
    if (before_look(d->pid, &d->facts, d->request.flags & PROTO_F_STOP, &before, err) < 0)
        return -1;
    d->doing = "opening the checkpoint directory";
    if (generation_begin(&d->gen, &d->facts, target_memory(d->pid), d->request.flags & PROTO_F_STOP,
                         err) < 0)
        return -1;
    snprintf(d->reply.generation, sizeof d->reply.generation, "%.31s", d->gen.name);
    d->images = images_create();
    if (!d->images)
        return err_sys(err, "images");
    d->pack = pack_create_sized(d->gen.pagesfd, before.threads, before.frame_bytes,
                                d->facts.compress, d->facts.compress_level, d->facts.max_size, err);
    if (!d->pack)
        return -1;
    if (d->facts.incremental) {
        /* Why there is none is nobody's business: then all is written. */
        d->base = base_open(d->gen.taskfd, d->gen.dirfd, &d->facts, NULL);
        pack_incremental(d->pack, d->base);
    }
    d->own =
        pack_memory(before.threads, before.frame_bytes, d->facts.compress, d->facts.compress_level);
    d->own += base_memory(d->base);
    pack_direct(d->pack, d->gen.directfd, d->gen.reserve);
    return prepare_files(d, err);
}

/* What lacks one of its processes is not to do anything more: it goes on from its last checkpoint. */
static void end_if_lost(struct dump *d, struct err *err)
{
    int saved = errno;

    if (criurun_killed(d->run) && snapshot_criu_ended(d->snapshot)) {
        d->lost = true;
        (void)target_kill_noted(d->noted, d->nnoted);
        err_prefix(err,
                   "criu was killed while it held a process of the job, which did not survive it");
    }
    errno = saved;
}

/* From here on the tree stands still until CRIU has ended. */
int dump_capture(struct dump *d, struct err *err)
{
    struct capture_opts opts = {.run = d->run,
                                .images = d->images,
                                .pack = d->pack,
                                .snapshot = d->snapshot,
                                .drain_fd = d->drain,
                                .root = d->pid,
                                .root_fd = HELPER_FD_PIDFD,
                                .wanted = d->wanted,
                                .frozen = files_frozen,
                                .frozen_arg = d->files};
    int rc;

    d->doing = "taking the checkpoint";
    if (!target_alive(HELPER_FD_PIDFD)) {
        errno = ESRCH;
        return err_set(err, "process %d has ended meanwhile", d->pid);
    }
    d->policy = snapshot_policy_apply(d->snapshot, &d->facts, d->pid, d->own,
                                      (d->request.flags & PROTO_F_STOP) != 0,
                                      (d->request.flags & PROTO_F_PLAIN) != 0, err);
    if (!d->policy)
        return -1;
    /* Before anything is stopped. */
    if (wanted_still(&d->wanted, err) < 0)
        return -1;
    d->nnoted = target_note_tree(d->pid, &d->noted);
    d->log = true;
    /* When it cannot be told, it has ended, and capture_run will say why. */
    (void)send(d->drain, "g", 1, MSG_NOSIGNAL);
    rc = capture_run(&opts, err);
    /* Also when we failed after CRIU had done its part: then it has left the tree stopped. */
    d->stopped = (d->request.flags & PROTO_F_STOP) && criurun_ended_well(d->run);
    if (rc < 0) {
        end_if_lost(d, err);
        return -1;
    }
    d->log = false;
    if (snapshot_count(d->snapshot) > 0)
        priority_lower(false);
    else if (d->facts.compress != COMPRESS_NONE)
        priority_lower(true);
    if (images_processes(d->images, &d->processes, &d->nprocesses, &d->states, err) < 0)
        return -1;
    if (d->processes[0].pid != (uint32_t)d->pid) {
        errno = ESRCH;
        return err_set(err, "CRIU dumped process %u, not %d", d->processes[0].pid, d->pid);
    }
    return 0;
}
