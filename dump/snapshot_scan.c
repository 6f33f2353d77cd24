/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_scan.h"

#include "dump/pagemap_scan.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct covered {
    pid_t pid;
    struct snapshot_area *areas;
    size_t n;
};

static struct covered *list;
static size_t nlist;

int snapshot_scan_add(pid_t pid, struct snapshot_map *map)
{
    struct covered *more = realloc(list, (nlist + 1) * sizeof *more);

    if (!more)
        return -1;
    list = more;
    list[nlist++] = (struct covered){.pid = pid, .areas = map->areas, .n = map->n};
    map->areas = NULL;
    map->n = 0;
    return 0;
}

/* The process whose pagemap file it is, if that has a snapshot. */
static const struct covered *whose(int fd)
{
    char link[40], path[64], *slash;
    ssize_t n;
    long pid;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || strcmp(slash, "/pagemap") != 0)
        return NULL;
    *slash = '\0';
    slash = strrchr(path, '/');
    pid = slash ? strtol(slash + 1, NULL, 10) : 0;
    for (size_t i = 0; i < nlist; i++)
        if (list[i].pid == pid)
            return &list[i];
    return NULL;
}

/* The first area that ends above `at`. */
static const struct snapshot_area *next_area(const struct covered *c, uint64_t at)
{
    size_t low = 0, high = c->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (c->areas[mid].end > at)
            high = mid;
        else
            low = mid + 1;
    }
    return low < c->n ? &c->areas[low] : NULL;
}

static long scan(int fd, struct scan_arg *arg)
{
    return syscall(SYS_ioctl, fd, SCAN_IOCTL, arg);
}

/* One stretch after the other: what lies between the areas is the kernel's. */
static long scan_around(int fd, struct scan_arg *arg, const struct covered *c)
{
    uint64_t at = arg->start;
    long found = 0;

    while (at < arg->end) {
        const struct snapshot_area *a = next_area(c, at);
        struct scan_arg part = *arg;
        long n;

        if (a && a->start <= at) {
            at = a->end;
            continue;
        }
        part.start = at;
        part.end = a && a->start < arg->end ? a->start : arg->end;
        part.vec += (uint64_t)found * sizeof(struct scan_region);
        part.vec_len -= (uint64_t)found;
        if (part.vec_len == 0)
            break;
        n = scan(fd, &part);
        if (n < 0)
            return n;
        found += n;
        at = part.walk_end;
        if (at < part.end)
            break;
    }
    arg->walk_end = at < arg->end ? at : arg->end;
    return found;
}

int snapshot_scan(int fd, void *arg)
{
    struct scan_arg *a = arg;
    const struct covered *c = NULL;

    /* CRIU asks for guard pages too, of which there is nothing to save but where they are. */
    if (nlist > 0 && a && a->size == sizeof *a && !(a->category_mask & SCAN_GUARD) &&
        (a->category_anyof_mask & (SCAN_PRESENT | SCAN_SWAPPED)))
        c = whose(fd);
    return (int)(c ? scan_around(fd, a, c) : scan(fd, a));
}
