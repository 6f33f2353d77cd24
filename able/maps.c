/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* "7f00-7f10 rw-s 00000000 00:05 1027      /dev/x" */
struct line {
    char range[40], access[5];
    unsigned long inode;
    char *path;
};

static bool parse_line(char *text, struct line *l)
{
    int at = 0;

    if (sscanf(text, "%39s %4s %*x %*x:%*x %lu %n", l->range, l->access, &l->inode, &at) != 3 ||
        at == 0)
        return false;
    l->path = text + at;
    return *l->path != '\0';
}

static void add_once(struct able_walk *w, struct able_process *p, enum able_kind kind,
                     const struct line *l, const char *what)
{
    char where[64];

    /* A descriptor, or another piece of the same, has said it already. */
    if (p->seen & (1u << kind))
        return;
    p->seen |= 1u << kind;
    snprintf(where, sizeof where, "mapping %s", l->range);
    able_add(w, p, kind, where, what);
}

static void look_sysv(struct able_walk *w, struct able_process *p, const struct line *l)
{
    char what[128];

    snprintf(what, sizeof what,
             "System V shared memory (shmget), key 0x%.8s, id %lu, which belongs to no job",
             l->path + 5, l->inode);
    add_once(w, p, ABLE_SYSV, l, what);
}

static bool is_device(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) &&
           st.st_rdev != makedev(1, 5); /* /dev/zero is shared anonymous memory */
}

static void look_device(struct able_walk *w, struct able_process *p, const struct line *l)
{
    enum able_kind kind = able_device_kind(l->path);
    char what[200];

    if (kind == ABLE_KINDS && is_device(l->path))
        kind = ABLE_DEVICE;
    if (kind == ABLE_KINDS)
        return;
    snprintf(what, sizeof what, "memory of the device %.150s", l->path);
    add_once(w, p, kind, l, what);
}

static void look_line(struct able_walk *w, struct able_process *p, struct line *l)
{
    err_clean(l->path);
    if (strncmp(l->path, "/SYSV", 5) == 0)
        look_sysv(w, p, l);
    else if (strncmp(l->path, "/anon_hugepage", 14) == 0 && l->access[3] == 'p')
        /* CRIU 4.2 saves them, but reads them back only from files (pie/restorer.c), not from a stream. */
        add_once(w, p, ABLE_HUGE, l, "huge pages of hugetlbfs (MAP_HUGETLB)");
    else if (strncmp(l->path, "/dev/", 5) == 0 && strncmp(l->path, "/dev/shm/", 9) != 0)
        look_device(w, p, l);
    else if (strcmp(l->path, "anon_inode:[io_uring]") == 0)
        add_once(w, p, ABLE_IO_URING, l, "an io_uring");
    else if (strcmp(l->path, "anon_inode:[perf_event]") == 0)
        add_once(w, p, ABLE_PERF, l, "a performance counter (perf_event)");
}

void able_look_maps(struct able_walk *w, struct able_process *p)
{
    char *text = able_slurp(p->fd, "maps"), *next;
    struct line l;

    for (char *at = text; at && *at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        if (parse_line(at, &l))
            look_line(w, p, &l);
    }
    free(text);
}
