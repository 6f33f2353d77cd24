/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/shim-maps.h"

#include "dump/maps-line.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CHUNK (1UL << 20)

/* What is known of shared memory in the tree: filled as CRIU opens the smaps of one process after the other, all of
 * them stopped. */
struct mapping {
    pid_t pid;
    unsigned long start, end, pgoff;
    dev_t dev;            /* the real ones */
    unsigned long ino;    /* the same */
    bool own_file;        /* some process has the file open: see find_open() */
    unsigned long number; /* that CRIU sees when it is disguised: beyond those of the kernel */
    char open_as[48];
};

static struct mapping *table;
static size_t ntable, room;
static unsigned long next_number = 1UL << 62;
static dev_t shmem_dev;

static int real_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

/* ---- reading /proc ---- */

/* The pid whose directory, or `below` in it, dirfd is; -1: another directory. */
static pid_t pid_of(int dirfd, const char *below)
{
    static const char proc[] = "/proc/";
    char link[40], to[64], *end;
    ssize_t n;
    long pid;

    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    n = readlink(link, to, sizeof to - 1);
    if (n <= 0)
        return -1;
    to[n] = '\0';
    if (strncmp(to, proc, sizeof proc - 1) != 0)
        return -1;
    pid = strtol(to + sizeof proc - 1, &end, 10);
    return pid > 0 && !strcmp(end, below) ? (pid_t)pid : -1;
}

/* The whole of a file in /proc, NUL-terminated, to be freed.  NULL with errno. */
static char *read_all(int dirfd, const char *name, size_t *len)
{
    size_t size = 65536, used = 0;
    char *buf = malloc(size), *more;
    int fd = real_openat(dirfd, name, O_RDONLY | O_CLOEXEC, 0);
    ssize_t n = -1;

    while (fd >= 0 && buf && (n = read(fd, buf + used, size - used - 1)) > 0) {
        used += (size_t)n;
        if (size - used < 4096) {
            more = realloc(buf, size *= 2);
            if (!more)
                break;
            buf = more;
        }
    }
    if (fd >= 0)
        close(fd);
    if (n != 0) {
        free(buf);
        return NULL;
    }
    buf[used] = '\0';
    *len = used;
    return buf;
}

/* ---- who has a mapped file open ---- */

/* Some filesystems (btrfs, overlay) show other devices in maps than in stat(): there the name decides. */
static bool is_file(int dirfd, const char *name, const char *link, size_t len,
                    const struct maps_line *l)
{
    struct stat st;

    return fstatat(dirfd, name, &st, 0) == 0 && st.st_ino == l->ino &&
           (st.st_dev == l->dev || (len == l->path_len && !memcmp(link, l->path, len)));
}

/* In one process. */
static bool find_in(pid_t pid, const struct maps_line *l, char *as, size_t size)
{
    char path[32], to[PATH_MAX];
    struct dirent *e;
    bool found = false;
    ssize_t n;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    d = opendir(path);
    if (!d)
        return false;
    while (!found && (e = readdir(d))) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        n = readlinkat(dirfd(d), e->d_name, to, sizeof to);
        found = n > 0 && to[0] == '/' && is_file(dirfd(d), e->d_name, to, (size_t)n, l) &&
                (size_t)snprintf(as, size, "%s/%.10s", path, e->d_name) < size;
    }
    closedir(d);
    return found;
}

/* The process that has it mapped is the likeliest.  Under private isolation this /proc shows the job's only. */
static bool find_open(pid_t first, const struct maps_line *l, char *as, size_t size)
{
    struct dirent *e;
    bool found = find_in(first, l, as, size);
    DIR *d = found ? NULL : opendir("/proc");

    while (d && !found && (e = readdir(d))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

        found = pid > 0 && pid != first && pid != getpid() && find_in(pid, l, as, size);
    }
    if (d)
        closedir(d);
    return found;
}

/* ---- the table ---- */

static struct mapping *mapping_at(pid_t pid, unsigned long start)
{
    for (size_t i = 0; i < ntable; i++)
        if (table[i].pid == pid && table[i].start == start)
            return &table[i];
    return NULL;
}

static const struct mapping *mapping_like(dev_t dev, unsigned long ino)
{
    for (size_t i = 0; i < ntable; i++)
        if (table[i].dev == dev && table[i].ino == ino)
            return &table[i];
    return NULL;
}

static int remember(pid_t pid, const struct maps_line *l)
{
    const struct mapping *known = mapping_like(l->dev, l->ino);
    struct mapping m = {.pid = pid,
                        .start = l->start,
                        .end = l->end,
                        .pgoff = l->pgoff,
                        .dev = l->dev,
                        .ino = l->ino};

    if (known) {
        m.own_file = known->own_file;
        m.number = known->number;
        memcpy(m.open_as, known->open_as, sizeof m.open_as);
    } else if (strncmp(l->path, "/SYSV", 5) != 0) {
        m.own_file = find_open(pid, l, m.open_as, sizeof m.open_as);
    }
    if (!known)
        m.number = next_number++;
    if (ntable == room) {
        struct mapping *more = realloc(table, (room ? 2 * room : 64) * sizeof *more);

        if (!more)
            return -1;
        table = more;
        room = room ? 2 * room : 64;
    }
    table[ntable++] = m;
    return 0;
}

static void forget(pid_t pid)
{
    size_t kept = 0;

    for (size_t i = 0; i < ntable; i++)
        if (table[i].pid != pid)
            table[kept++] = table[i];
    ntable = kept;
}

/* True when this mapping is to be shown as shared anonymous memory. */
static bool is_disguised(const struct maps_line *l, const struct mapping *m)
{
    return l->shared && l->deleted && l->dev != shmem_dev && !m->own_file;
}

/* ---- smaps ---- */

static bool is_refused(int dirfd, const struct maps_line *l)
{
    char name[64];
    int fd;

    snprintf(name, sizeof name, "map_files/%lx-%lx", l->start, l->end);
    fd = real_openat(dirfd, name, O_PATH | O_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd < 0 && errno == EPERM;
}

static bool next_line(const char **p, const char *end, const char **line, size_t *len)
{
    const char *nl;

    if (*p >= end)
        return false;
    nl = memchr(*p, '\n', (size_t)(end - *p));
    *line = *p;
    *p = nl ? nl + 1 : end;
    *len = (size_t)(*p - *line);
    return true;
}

/* Enters the process's mappings into the table.  1 when one of them is to be disguised, 0 when none is or map_files is
 * not closed, -1 with errno. */
static int look_at(int dirfd, pid_t pid)
{
    const char *p, *line;
    struct maps_line l;
    bool known = false, disguise = false;
    size_t len, n;
    char *maps = read_all(dirfd, "maps", &len);
    int rc = 0;

    if (!maps)
        return -1;
    forget(pid);
    p = maps;
    while (rc == 0 && next_line(&p, maps + len, &line, &n)) {
        if (!maps_parse_line(line, n, &l) || *l.path != '/')
            continue;
        if (!known && !is_refused(dirfd, &l))
            break;
        known = true;
        if (!(l.shared && l.dev == shmem_dev) && !l.deleted)
            continue;
        rc = remember(pid, &l);
        if (rc == 0 && is_disguised(&l, &table[ntable - 1]))
            disguise = true;
    }
    free(maps);
    return rc < 0 ? -1 : disguise;
}

static int put(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, buf, len);

        if (n < 0)
            return -1;
        buf += n;
        len -= (size_t)n;
    }
    return 0;
}

/* smaps with the disguised mappings as the kernel would show shared anonymous memory. */
static int disguised_smaps(int dirfd, pid_t pid)
{
    const char *p, *line;
    struct maps_line l;
    size_t len, n;
    char *smaps = read_all(dirfd, "smaps", &len), head[160];
    int fd = smaps ? (int)syscall(SYS_memfd_create, "smaps", MFD_CLOEXEC) : -1,
        rc = fd < 0 ? -1 : 0;
    const struct mapping *m;

    p = smaps;
    while (rc == 0 && next_line(&p, smaps + len, &line, &n)) {
        if (!maps_parse_line(line, n, &l) || !(m = mapping_at(pid, l.start)) ||
            !is_disguised(&l, m)) {
            rc = put(fd, line, n);
            continue;
        }
        rc =
            snprintf(head, sizeof head,
                     "%lx-%lx %.4s %08lx %02x:%02x %lu /dev/zero" MAPS_DELETED "\n", l.start, l.end,
                     strchr(line, ' ') + 1, l.pgoff, major(shmem_dev), minor(shmem_dev), m->number);
        rc = put(fd, head, (size_t)rc);
    }
    free(smaps);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int (*ckpt_smaps)(pid_t pid);

static int open_smaps(int dirfd, pid_t pid, int flags)
{
    int fd;

    if (shmem_dev == 0) {
        struct stat st;

        fd = (int)syscall(SYS_memfd_create, "device", MFD_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
            if (fd >= 0)
                close(fd);
            return -1;
        }
        close(fd);
        shmem_dev = st.st_dev;
    }
    switch (look_at(dirfd, pid)) {
    case 0:
        fd = ckpt_smaps ? ckpt_smaps(pid) : -1;
        return fd >= 0 ? fd : real_openat(dirfd, "smaps", flags, 0);
    case 1:
        return disguised_smaps(dirfd, pid);
    default:
        return -1;
    }
}

/* ---- contents of shared memory ---- */

static bool is_zero(const char *page, size_t size)
{
    return page[0] == 0 && !memcmp(page, page + 1, size - 1);
}

/* Copies [from, to) of the process into fd at offset `at`, holes as holes.  A page beyond the end of a file that has
 * been cut cannot be read by anybody: it stays a hole. */
static int copy_range(int mem, int fd, unsigned long from, unsigned long to, unsigned long at,
                      char *buf, size_t page)
{
    while (from < to) {
        size_t want = to - from < CHUNK ? to - from : CHUNK;
        ssize_t n = pread(mem, buf, want, (off_t)from);

        if (n < (ssize_t)page) {
            if (n < 0 && errno != EIO)
                return -1;
            n = 0;
        }
        for (ssize_t o = 0; o + (ssize_t)page <= n; o += (ssize_t)page)
            if (!is_zero(buf + o, page) &&
                pwrite(fd, buf + o, page, (off_t)at + o) != (ssize_t)page)
                return -1;
        n = n > 0 ? n / (ssize_t)page * (ssize_t)page : (ssize_t)page;
        from += (unsigned long)n;
        at += (unsigned long)n;
    }
    return 0;
}

/* The parts of mapping m that no mapping of the same memory before it in the table has, one after the other. */
static int copy_mapping(const struct mapping *m, int fd, char *buf, size_t page)
{
    unsigned long at = m->pgoff, end = m->pgoff + (m->end - m->start);
    char path[32];
    int mem, rc = 0;

    snprintf(path, sizeof path, "/proc/%d/mem", (int)m->pid);
    mem = real_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (mem < 0)
        return -1;
    while (rc == 0 && at < end) {
        unsigned long to = end, skip = 0;

        for (const struct mapping *o = table; o < m; o++) {
            unsigned long o_end = o->pgoff + (o->end - o->start);

            if (o->dev != m->dev || o->ino != m->ino || o_end <= at)
                continue;
            if (o->pgoff <= at && o_end > skip)
                skip = o_end;
            else if (o->pgoff > at && o->pgoff < to)
                to = o->pgoff;
        }
        if (skip > at) {
            at = skip;
            continue;
        }
        rc = copy_range(mem, fd, m->start + (at - m->pgoff), m->start + (to - m->pgoff), at, buf,
                        page);
        at = to;
    }
    close(mem);
    return rc;
}

/* As much of it as CRIU has counted: up to the end of the mapping that reaches farthest. */
static int open_contents(const struct mapping *of)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *buf = malloc(CHUNK);
    unsigned long size = 0;
    int fd = (int)syscall(SYS_memfd_create, "shared", MFD_CLOEXEC), rc = fd < 0 || !buf ? -1 : 0;

    for (size_t i = 0; i < ntable; i++) {
        const struct mapping *m = &table[i];

        if (m->dev == of->dev && m->ino == of->ino && m->pgoff + (m->end - m->start) > size)
            size = m->pgoff + (m->end - m->start);
    }
    if (rc == 0)
        rc = ftruncate(fd, (off_t)size);
    for (size_t i = 0; rc == 0 && i < ntable; i++)
        if (table[i].dev == of->dev && table[i].ino == of->ino)
            rc = copy_mapping(&table[i], fd, buf, page);
    free(buf);
    if (rc < 0 && fd >= 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* ---- */

/* The start of a mapping by the name of its link in map_files; 0: not one. */
static unsigned long link_start(const char *name)
{
    unsigned long start, end;
    int used = -1;

    if (!isxdigit((unsigned char)*name) || sscanf(name, "%lx-%lx%n", &start, &end, &used) != 2 ||
        used < 0 || name[used])
        return 0;
    return start;
}

int maps_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    static const char map_files[] = "map_files/";
    const struct mapping *m = NULL;
    unsigned long start;
    bool contents;
    pid_t pid;
    int fd;

    if (!strcmp(path, "smaps") && (pid = pid_of(dirfd, "")) > 0)
        return open_smaps(dirfd, pid, flags);
    fd = real_openat(dirfd, path, flags, mode);
    if (fd >= 0 || errno != EPERM || ntable == 0)
        return fd;
    contents = !strncmp(path, map_files, sizeof map_files - 1);
    start = link_start(contents ? path + sizeof map_files - 1 : path);
    pid = start ? pid_of(dirfd, contents ? "" : "/map_files") : -1;
    if (pid > 0)
        m = mapping_at(pid, start);
    if (m && m->own_file)
        return real_openat(AT_FDCWD, m->open_as, flags, 0);
    if (m && contents)
        return open_contents(m);
    errno = EPERM;
    return -1;
}
