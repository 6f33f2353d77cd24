/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * memroom - how much more memory the processes of this control group may use before somebody is killed for it.
 *
 * The least of: limit less use of this memory control group and of each above it (v1 and v2; page cache that can be
 * dropped does not count as use), and what the node has available.  Sources: the kernel's
 * Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst, filesystems/proc.rst.
 */
#ifndef DUMP_MEMROOM_H
#define DUMP_MEMROOM_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct memroom;

/* Of this process's control group.  Groups whose files cannot be read are left out. NULL: no memory. */
struct memroom *memroom_create(struct err *err);
void memroom_destroy(struct memroom *h); /* NULL is fine */

/* Bytes, now; UINT64_MAX: nothing limits it, or nothing can be read. */
uint64_t memroom_now(const struct memroom *h);
/* When memory runs out, would the kernel kill the whole group (memory.oom.group)? */
bool memroom_all_die(const struct memroom *h);
/* Bytes that may still be promised where the kernel counts promises (vm.overcommit_memory=2); else UINT64_MAX. */
uint64_t memroom_commit(void);

#endif
