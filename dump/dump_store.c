/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/dump.h"

#include "common/helper.h"
#include "dump/capture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_SLOW_MS 2000

static uint32_t stat_us(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    unsigned long v = at ? strtoul(at + strlen(key), NULL, 10) : 0;

    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static uint32_t elapsed_ms(const struct dump *d)
{
    int64_t ms = capture_now_ms() - d->start;

    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* What CRIU left out, while the job runs on; one that was held because of it runs on when it has been read. */
static int store_snapshot(struct dump *d, struct err *err)
{
    if (snapshot_count(d->snapshot) == 0)
        return 0;
    d->store_opts = (struct snapshot_store_opts){.snapshot = d->snapshot,
                                                 .images = d->images,
                                                 .pack = d->pack,
                                                 .incremental = d->facts.incremental > 0,
                                                 .wanted = d->wanted,
                                                 .watch = snapshot_policy_watch,
                                                 .watch_arg = d->policy};
    d->store = snapshot_store_create(&d->store_opts, err);
    if (!d->store || snapshot_store_run(d->store, err) < 0)
        return -1;
    snapshot_end(d->snapshot);
    d->held_ms = snapshot_policy_release(d->policy);
    snapshot_note_held(d->snapshot, d->held_ms);
    return snapshot_store_finish(d->store, err);
}

/* What is complete is not given up for coming late, nor because the keeper will not hear of it. */
static int cancelled(const struct dump *d, struct err *err)
{
    const struct wanted w = {
        .cancel_fd = d->wanted.cancel_fd, .result_fd = -1, .deadline = INT64_MAX};

    return wanted_still(&w, err);
}

/* scontrol suspend sends SIGTSTP to every process of the job, us included, and two seconds later stops them all; then
 * SIGCONT.  What CRIU has seen of the tree may have stopped already, or be about to. */
static bool suspended(const struct dump *d)
{
    sigset_t pending;

    if (sigpending(&pending) == 0 &&
        (sigismember(&pending, SIGTSTP) == 1 || sigismember(&pending, SIGCONT) == 1))
        return true;
    for (size_t i = 0; i < d->nprocesses; i++)
        if (d->states[i] == IMAGES_ALIVE)
            return false;
    return true; /* where nothing runs, nothing would ever wake up */
}

/* What was left out; else what copying cost, when it made the pause long. */
static void tell_files(struct dump *d)
{
    const uint32_t ms = files_pause_ms(d->files);

    if (*files_warning(d->files))
        snprintf(d->reply.text, sizeof d->reply.text, "%s", files_warning(d->files));
    else if (ms >= FILES_SLOW_MS)
        snprintf(d->reply.text, sizeof d->reply.text,
                 "%.1f s of the pause went into copying %.1f MiB of files (see files-limit in "
                 "spank-checkpoint(8))",
                 ms / 1000.0, (double)files_bytes(d->files) / 1048576.0);
}

int dump_store(struct dump *d, struct err *err)
{
    const char *stats = criurun_stdout(d->run);
    char version[32];
    struct generation_info info = {.reason = d->request.reason,
                                   .criu_version = version,
                                   .freeze_us = stat_us(stats, "Freezing time: "),
                                   .incremental = d->facts.incremental > 0,
                                   .base = d->base,
                                   .processes = d->processes,
                                   .nprocesses = d->nprocesses};

    criurun_version_tell(&d->criu_version, version, sizeof version);
    info.pause_us = info.freeze_us + stat_us(stats, "Frozen time: ");
    d->doing = "writing the checkpoint";
    if (files_finish(d->files, err) < 0)
        return -1;
    if (store_snapshot(d, err) < 0 || pack_finish(d->pack, d->wanted.deadline, err) < 0)
        return -1;
    info.snapshot = snapshot_how(d->snapshot);
    info.pause_us += d->held_ms * 1000;
    info.total_ms = elapsed_ms(d);
    info.suspended = suspended(d);
    if (generation_write(&d->gen, &d->facts, d->images, d->pack, &info, &d->reply.raw_bytes,
                         &d->reply.stored_bytes, err) < 0 ||
        cancelled(d, err) < 0 || generation_commit(&d->gen, err) < 0)
        return -1;
    d->reply.pause_us = info.pause_us;
    d->reply.processes = (uint32_t)d->nprocesses;
    d->reply.total_ms = elapsed_ms(d);
    d->committed = true;
    d->doing = "removing older generations";
    if (generation_prune(&d->gen, &d->facts, err) < 0)
        snprintf(d->reply.text, sizeof d->reply.text, "%s", err->text);
    else
        tell_files(d);
    return 0;
}
