/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * headroom - how much more memory this process's control group may use before the kernel kills something in it.
 *
 * What a checkpoint's helpers use counts as the job's.  Control groups v1 (memory.limit_in_bytes ...) and v2
 * (memory.max ...), the group itself and every one above it that can be seen, and the machine's own memory.  Page
 * cache counts as free as far as it is clean: the kernel drops it first.
 */
#ifndef ABLE_HEADROOM_H
#define ABLE_HEADROOM_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct headroom {
    uint64_t room;  /* bytes; UINT64_MAX: nothing limits it */
    uint64_t limit; /* of the group that leaves least; UINT64_MAX: the machine's memory */
    uint64_t slow;  /* bytes not in room: page cache of that group that must be written first */
    bool all_die;   /* v2, memory.oom.group: not one process would be killed, but all */
};

/* root: "" (for tests: a directory that holds proc/self/cgroup, proc/self/mountinfo, proc/meminfo and the mount
 * points).  What cannot be read limits nothing. */
void headroom_read(const char *root, struct headroom *h);

/* The same for processes and threads (pids.max): room and limit are counts. */
void headroom_pids(const char *root, struct headroom *h);

/* Bytes that may still be promised where the kernel counts promises (vm.overcommit_memory=2); else UINT64_MAX.  root: as
 * above. */
uint64_t headroom_commit(const char *root);

/* The compressors' buffers where room is short (dump/pack.h). */
#define HEADROOM_BUFFERS (4u << 20)

/* What dump and criu need at least: bytes, without the compressors' buffers. processes: in the tree. */
uint64_t headroom_need(unsigned processes);

#endif
