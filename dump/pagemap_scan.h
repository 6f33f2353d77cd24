/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * pagemap_scan - the ioctl PAGEMAP_SCAN of /proc/PID/pagemap (Linux 6.7), for headers that do not have it.
 * Source: include/uapi/linux/fs.h.
 */
#ifndef DUMP_PAGEMAP_SCAN_H
#define DUMP_PAGEMAP_SCAN_H

#include <stdint.h>
#include <sys/ioctl.h>

struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
    uint64_t start, end, categories;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE (1u << 2)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)
#define SCAN_PFNZERO (1u << 5)
#define SCAN_GUARD (1u << 8) /* Linux 6.15 */

#endif
