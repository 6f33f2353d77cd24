/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_scan - what CRIU gets to know of memory that a snapshot process holds: that there is none.
 */
#ifndef DUMP_SNAPSHOT_SCAN_H
#define DUMP_SNAPSHOT_SCAN_H

#include "dump/snapshot_map.h"

#include <sys/types.h>

/* From now on CRIU leaves map's areas of process pid out; takes them over (map->areas is NULL then). */
int snapshot_scan_add(pid_t pid, struct snapshot_map *map);

/* A PAGEMAP_SCAN of CRIU's on a file /proc/PID/pagemap: as the kernel answers it, but without those areas.  What
 * ioctl() returns, with errno. */
int snapshot_scan(int fd, void *arg);

#endif
