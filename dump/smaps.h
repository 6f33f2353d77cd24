/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * smaps - is what /proc/PID/smaps said a moment ago still so?
 *
 * To read it the kernel looks at every page table entry: as long as half a fork of the process, and only its VmFlags are of
 * use.  So it is read while the job still runs.  When the tree stands still, /proc/PID/maps, which costs
 * nothing, shows whether the areas are the same; and whether their flags were, the copy-on-write snapshot's own
 * smaps, read when the job runs again: a fork takes over all flags but that of locked memory.
 * Sources: fs/proc/task_mmu.c (show_map_vma, show_smap_vma_flags), mm/mmap.c (dup_mmap), Linux 6.18.
 *
 * All texts are whole files, NUL-terminated, and are not changed.
 */
#ifndef DUMP_SMAPS_H
#define DUMP_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SMAPS_MAX (256u << 20)

/* What is read from fd to its end; the caller frees it.  NULL with errno: EFBIG over SMAPS_MAX. */
char *smaps_read(int fd);
char *smaps_read_of(pid_t pid, const char *name); /* /proc/PID/NAME */

/* maps and status were read now, while the process stands still.  True: the same areas and names, as much locked memory;
 * and none that a fork leaves out, of which smaps_same_flags could not tell. */
bool smaps_same_areas(const char *smaps, const char *maps, const char *status);

/* copy: smaps of a fork of it.  Are all of the areas in it, with the flags that they had? */
bool smaps_same_flags(const char *smaps, const char *copy);

#endif
