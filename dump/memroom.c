/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/memroom.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (1u << 16)
#define LEVELS_MAX 32
#define NO_LIMIT (UINT64_C(1) << 62) /* v1 writes "none" as the largest multiple of a page */

struct level {
    int dir;
};

struct memroom {
    bool v2;
    struct level level[LEVELS_MAX]; /* from our own upwards */
    size_t n;
};

/* The whole file, NUL-terminated; false: cannot be read. */
static bool read_at(int dir, const char *name, char *text, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;

    if (fd < 0)
        return false;
    while (len + 1 < size && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    io_close(&fd);
    text[len] = '\0';
    return n >= 0;
}

static bool read_number(int dir, const char *name, uint64_t *v)
{
    char text[64], *end;

    if (!read_at(dir, name, text, sizeof text))
        return false;
    if (!strncmp(text, "max", 3)) {
        *v = UINT64_MAX;
        return true;
    }
    *v = strtoull(text, &end, 10);
    return end != text;
}

/* The value behind a word at the beginning of a line; 0: not there. */
static uint64_t find(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, word, len))
            return strtoull(line + len, NULL, 10);
    }
    return 0;
}

/* "4:memory:/slurm/uid_1/job_7" or "0::/slurm": our path in the hierarchy that counts memory. */
static bool our_path(char path[PATH_MAX], bool *v2)
{
    char text[TEXT_MAX], *save = NULL;
    bool found = false;

    if (!read_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof text))
        return false;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *list = strchr(line, ':'), *at = list ? strchr(list + 1, ':') : NULL, *more = NULL;

        if (!at)
            continue;
        *at++ = '\0';
        if (!list[1] && !found) {
            snprintf(path, PATH_MAX, "%s", at);
            *v2 = found = true;
        }
        for (char *c = strtok_r(list + 1, ",", &more); c; c = strtok_r(NULL, ",", &more))
            if (!strcmp(c, "memory")) {
                snprintf(path, PATH_MAX, "%s", at);
                *v2 = false;
                return true;
            }
    }
    return found;
}

/* Where that hierarchy is mounted.  A line of mountinfo: ID PARENT DEV ROOT POINT OPTIONS ... - TYPE SOURCE SUPER */
static bool mount_point(bool v2, char root[PATH_MAX], char point[PATH_MAX])
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    while (f && !found && getline(&line, &room, f) > 0) {
        char *tail = strstr(line, " - "), *save = NULL, *word[5] = {NULL};

        if (!tail)
            continue;
        if (v2 ? strncmp(tail, " - cgroup2 ", 11) != 0
               : strncmp(tail, " - cgroup ", 10) != 0 || !strstr(tail, "memory"))
            continue;
        for (int i = 0; i < 5; i++)
            word[i] = strtok_r(i ? NULL : line, " ", &save);
        if (!word[4])
            continue;
        snprintf(root, PATH_MAX, "%s", word[3]);
        snprintf(point, PATH_MAX, "%s", word[4]);
        found = true;
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* All groups from path up to the mount's root. */
static void open_levels(struct memroom *h, const char *point, char *path)
{
    char full[2 * PATH_MAX];

    for (;;) {
        char *slash = strrchr(path, '/');
        int fd;

        snprintf(full, sizeof full, "%s%s", point, path);
        fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && h->n < LEVELS_MAX)
            h->level[h->n++].dir = fd;
        else
            io_close(&fd);
        if (!slash || !*path)
            return;
        *slash = '\0';
    }
}

struct memroom *memroom_create(struct err *err)
{
    struct memroom *h = calloc(1, sizeof *h);
    char path[PATH_MAX], root[PATH_MAX], point[PATH_MAX];
    size_t skip;

    if (!h) {
        err_sys(err, "room");
        return NULL;
    }
    if (!our_path(path, &h->v2) || !mount_point(h->v2, root, point))
        return h;
    /* In a container the mount shows a part of the hierarchy only. */
    skip = strcmp(root, "/") != 0 ? strlen(root) : 0;
    if (skip > 0 && strncmp(path, root, skip) != 0)
        skip = 0;
    if (!strcmp(path + skip, "/"))
        path[skip] = '\0';
    open_levels(h, point, path + skip);
    return h;
}

void memroom_destroy(struct memroom *h)
{
    int saved = errno;

    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        io_close(&h->level[i].dir);
    free(h);
    errno = saved;
}

static uint64_t level_room(const struct memroom *h, int dir)
{
    char stat[TEXT_MAX];
    uint64_t limit, use, cache = 0;

    if (!read_number(dir, h->v2 ? "memory.max" : "memory.limit_in_bytes", &limit) ||
        limit >= NO_LIMIT ||
        !read_number(dir, h->v2 ? "memory.current" : "memory.usage_in_bytes", &use))
        return UINT64_MAX;
    if (read_at(dir, "memory.stat", stat, sizeof stat))
        cache = find(stat, h->v2 ? "inactive_file " : "total_inactive_file ");
    use = use > cache ? use - cache : 0;
    return limit > use ? limit - use : 0;
}

static uint64_t node_room(void)
{
    char text[8192];
    uint64_t kib;

    if (!read_at(AT_FDCWD, "/proc/meminfo", text, sizeof text))
        return UINT64_MAX;
    kib = find(text, "MemAvailable:");
    return kib ? kib << 10 : UINT64_MAX;
}

uint64_t memroom_now(const struct memroom *h)
{
    uint64_t least = node_room();

    for (size_t i = 0; i < h->n; i++) {
        uint64_t room = level_room(h, h->level[i].dir);

        least = room < least ? room : least;
    }
    return least;
}

bool memroom_all_die(const struct memroom *h)
{
    for (size_t i = 0; h->v2 && i < h->n; i++) {
        uint64_t group;

        if (read_number(h->level[i].dir, "memory.oom.group", &group) && group == 1)
            return true;
    }
    return false;
}

uint64_t memroom_commit(void)
{
    char text[8192];
    uint64_t mode, limit, used;

    if (!read_number(AT_FDCWD, "/proc/sys/vm/overcommit_memory", &mode) || mode != 2 ||
        !read_at(AT_FDCWD, "/proc/meminfo", text, sizeof text))
        return UINT64_MAX;
    limit = find(text, "CommitLimit:");
    used = find(text, "Committed_AS:");
    return limit > used ? (limit - used) << 10 : 0;
}
