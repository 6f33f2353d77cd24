/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot - in dump: the copy-on-write snapshots of one checkpoint, from the moment at which CRIU's plugin makes them
 * (snapshot_take.h) until their memory is in the pack.
 *
 * A snapshot process is traced by this thread from the freeze on and never runs again but for a few calls of ours.
 * PTRACE_O_EXITKILL: it ends with us, however we end.  As its tracer has not taken its end, its pid cannot become
 * another's while we read.  When memory runs out, the kernel takes it first.
 *
 * All functions but snapshot_read are for one thread, the one that called snapshot_create.
 */
#ifndef DUMP_SNAPSHOT_H
#define DUMP_SNAPSHOT_H

#include "common/err.h"
#include "dump/snapshot_map.h"
#include "dump/snapshot_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SNAPSHOT_HELD_MAX (256u << 20) /* bytes of CRIU's own pages kept in memory for merging */

/* One process's. */
struct snapshot_process {
    pid_t pid, child;
    int pidfd, memfd, pagemapfd;
    int smapsfd, earlyfd; /* its smaps, and those of before (snapshot_wire.h), -1: none */
    uint64_t site, vdso_start, vdso_end;
    uint64_t bytes; /* in the areas, at the freeze */
    struct snapshot_area *areas;
    size_t n;
    char pages[64]; /* CRIU's image of the pages that it saves itself, and its contents */
    uint8_t *held;
    size_t held_len, held_room;
};

struct snapshot;

/* fd: our end of the socket of snapshot_wire.h, taken over. NULL: no memory. */
struct snapshot *snapshot_create(int fd);
/* Their memory is not read any more: snapshot_end() then finds them dying. */
void snapshot_kill(const struct snapshot *s);

/* End all snapshot processes and wait (for some seconds at most) until they are gone: a zombie would be taken for one
 * of the job's by the next checkpoint.  What has been noted of them stays. NULL is fine; errno is kept. */
void snapshot_end(struct snapshot *s);
void snapshot_destroy(struct snapshot *s); /* ends them, too */

/* Before criu stops anything: none will be made, and why (printable ASCII). */
int snapshot_forgo(struct snapshot *s, const char *why, struct err *err);
/* A process that could have one but for some reason must not be left to CRIU: snapshot_serve fails. */
void snapshot_require(struct snapshot *s);
/* Before criu stops anything: tell the plugin what it may do.  Magic and verb are filled in. */
int snapshot_plan(struct snapshot *s, const struct snapshot_word *plan, struct err *err);

/* criu was killed before its work was done: see to what it left.  True: a process of the job was lost (snapshot_loss.h). */
bool snapshot_criu_ended(struct snapshot *s);

/* It is told nothing more: should the plugin wait for a word, it goes on without a snapshot, to where CRIU finds that nobody
 * listens.  What it tells is still heard. */
void snapshot_hang_up(const struct snapshot *s);

/* To be polled for reading; -1: nothing comes any more. */
int snapshot_fd(const struct snapshot *s);
/* Take one word and answer it.  -1: the checkpoint must fail. */
int snapshot_serve(struct snapshot *s, struct err *err);

/* The process's, or NULL. */
struct snapshot_process *snapshot_of(struct snapshot *s, pid_t pid);
size_t snapshot_count(const struct snapshot *s);
struct snapshot_process *snapshot_at(struct snapshot *s, size_t i);

/* CRIU's own pages of a process that has a snapshot. EFBIG: too many. */
int snapshot_hold(struct snapshot_process *p, const void *data, size_t len, struct err *err);

/* The job runs again, nothing has been trimmed yet.  -1: what was read of a process before it was stopped was not so any
 * more, and the checkpoint is none. */
int snapshot_check_early(struct snapshot *s, struct err *err);

/* The job runs again: let go of all memory that is not in the areas (shared memory counts who has it mapped).
 * watch (may be NULL) is called again and again; -1 of it: give up. */
int snapshot_trim(struct snapshot *s, int (*watch)(void *arg, struct err *err), void *arg,
                  struct err *err);

/* Bytes at `at` of the process, from any thread.  -1: the snapshot is gone. */
int snapshot_read(const struct snapshot_process *p, uint64_t at, void *to, size_t len);
/* Are all still as they were stopped?  What was read before is then theirs. */
int snapshot_alive(const struct snapshot *s, struct err *err);

/* It took the job's standing still for so many milliseconds more. */
void snapshot_note_held(struct snapshot *s, uint32_t ms);
/* For the manifest: "copy-on-write", "none: WHY" or "copy-on-write, but PID: WHY"; owned by s. */
const char *snapshot_how(struct snapshot *s);

#endif
