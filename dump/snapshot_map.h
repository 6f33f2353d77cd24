/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_map - which memory of a process a copy-on-write snapshot takes over from CRIU: /proc/PID/smaps, read.
 *
 * Private anonymous areas of at least SNAPSHOT_AREA_MIN bytes, with none but well-known properties.  All else is
 * CRIU's: shared and file-backed memory, huge pages of hugetlbfs, what fork() leaves out or empties
 * (MADV_DONTFORK, MADV_WIPEONFORK), devices, droppable pages, shadow stacks, tagged memory.
 * Source: the kernel's fs/proc/task_mmu.c, show_smap_vma_flags().
 */
#ifndef DUMP_SNAPSHOT_MAP_H
#define DUMP_SNAPSHOT_MAP_H

#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_AREA_MIN (256u << 10)

struct snapshot_area {
    uint64_t start, end;
};

struct snapshot_map {
    struct snapshot_area *areas; /* by address, not touching each other */
    size_t n, room;
    uint64_t bytes;                /* resident or swapped in them */
    uint64_t rest;                 /* private and not file's, resident or swapped, in all others */
    uint64_t vdso_start, vdso_end; /* 0: none */
    const char *refuse; /* why the whole process cannot have a snapshot, static; or NULL */
};

/* text: the whole file, NUL-terminated; it is changed.  -1 with errno: no memory, or not what smaps looks like. */
int snapshot_map_parse(char *text, struct snapshot_map *map);
void snapshot_map_free(struct snapshot_map *map); /* frees what it holds */

#endif
