/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * maps-line - one line of /proc/PID/maps, or the first one of a mapping in smaps (proc_pid_maps(5)).
 */
#ifndef DUMP_MAPS_LINE_H
#define DUMP_MAPS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What the kernel puts behind the name of a file that has none any more. */
#define MAPS_DELETED " (deleted)"

/* path points into the text that was parsed, and ends where the line does, without the newline. */
struct maps_line {
    unsigned long start, end, pgoff, ino;
    dev_t dev;
    bool shared, deleted;
    const char *path;
    size_t path_len;
};

/* False: not such a line.  text need not end in a NUL: it ends at a newline or after len bytes. */
bool maps_parse_line(const char *text, size_t len, struct maps_line *out);

#endif
