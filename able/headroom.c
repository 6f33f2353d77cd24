/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/headroom.h"

#include "able/impl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* v1 says "no limit" with the largest multiple of a page. */
#define UNLIMITED (1ULL << 60)

/* Measured in jobs of 400 MiB, 94 % full, with the small buffers of pack.h: dump 3.5 MiB and criu 1.2 MiB of anonymous
 * memory, of which the buffers are counted apart; the rest is for the kernel (pipes, page tables), criu's parasite and
 * what the job itself may want meanwhile. */
#define NEED_BASE (9u << 20)
#define NEED_PROCESS (256u << 10)

struct names {
    const char *controller;
    const char *limit, *usage, *prefix; /* prefix: of the names in memory.stat */
    bool two;
};

/* Version 1, version 2 */
static const struct names memory_names[] = {
    {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", false},
    {"memory", "memory.max", "memory.current", "", true}};
static const struct names pids_names[] = {{"pids", "pids.max", "pids.current", NULL, false},
                                          {"pids", "pids.max", "pids.current", NULL, true}};

static char *slurp(const char *dir, const char *name)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return NULL;
    return able_slurp(AT_FDCWD, path);
}

static uint64_t number(const char *dir, const char *name, uint64_t otherwise)
{
    char *text = slurp(dir, name), *end;
    uint64_t v;

    if (!text)
        return otherwise;
    v = strtoull(text, &end, 10);
    if (end == text) /* "max" */
        v = otherwise;
    free(text);
    return v;
}

static uint64_t stat_of(const char *text, const char *prefix, const char *name)
{
    char key[64];
    size_t n = (size_t)snprintf(key, sizeof key, "%s%s ", prefix, name);

    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, key, n) == 0)
            return strtoull(p + n, NULL, 10);
    }
    return 0;
}

/* Clean page cache: what is dirty has to be written first, and a slow filesystem may take too long for that. */
static uint64_t reclaimable(const char *dir, const struct names *names, uint64_t *slow)
{
    char *text = names->prefix ? slurp(dir, "memory.stat") : NULL;
    bool two = names->two;
    uint64_t cache, dirty;

    *slow = 0;
    if (!text)
        return 0;
    cache =
        stat_of(text, names->prefix, "inactive_file") + stat_of(text, names->prefix, "active_file");
    dirty = stat_of(text, names->prefix, two ? "file_dirty" : "dirty") +
            stat_of(text, names->prefix, two ? "file_writeback" : "writeback");
    free(text);
    *slow = cache > dirty ? dirty : cache;
    return cache - *slow;
}

static void look_group(const char *dir, const struct names *names, struct headroom *h)
{
    uint64_t limit = number(dir, names->limit, UINT64_MAX), usage, free_bytes, slow;

    if (names == &memory_names[1] && number(dir, "memory.oom.group", 0) == 1)
        h->all_die = true;
    if (limit >= UNLIMITED)
        return;
    usage = number(dir, names->usage, 0);
    free_bytes = limit > usage ? limit - usage : 0;
    free_bytes += reclaimable(dir, names, &slow);
    if (free_bytes > limit)
        free_bytes = limit;
    if (free_bytes < h->room) {
        h->room = free_bytes;
        h->limit = limit;
        h->slow = slow;
    }
}

/* From the group at mount + path up to the mount point itself. */
static void look_groups(const char *mount, const char *path, const struct names *names,
                        struct headroom *h)
{
    char dir[PATH_MAX];
    size_t least = strlen(mount);

    if ((size_t)snprintf(dir, sizeof dir, "%s%s", mount, path) >= sizeof dir)
        return;
    for (;;) {
        char *slash;

        look_group(dir, names, h);
        slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < least)
            return;
        *slash = '\0';
    }
}

/* Is the controller one of "cpu,cpuacct"? */
static bool has_name(const char *list, size_t len, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i + n <= len; i++)
        if ((i == 0 || list[i - 1] == ',') && strncmp(list + i, name, n) == 0 &&
            (i + n == len || list[i + n] == ','))
            return true;
    return false;
}

/* The group's path in "N:memory:PATH" or "0::PATH" of /proc/self/cgroup. */
static bool find_path(const char *text, const struct names *names, char path[PATH_MAX])
{
    for (const char *p = text; p && *p; p = strchr(p, '\n')) {
        const char *controllers, *at;
        size_t len;

        p += *p == '\n';
        controllers = strchr(p, ':');
        at = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!at)
            return false;
        controllers++;
        len = (size_t)(at - controllers);
        if (names->two ? len > 0 : !has_name(controllers, len, names->controller))
            continue;
        len = strcspn(++at, "\n");
        if (len >= PATH_MAX)
            return false;
        memcpy(path, at, len);
        path[len == 1 ? 0 : len] = '\0'; /* "/" is the mount point itself */
        return true;
    }
    return false;
}

/* "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS ... - TYPE SOURCE SUPEROPTIONS".  Where only a part of the hierarchy is
 * mounted (a container), ROOT is what the group's path begins with. */
static bool find_mount(const char *text, const struct names *names, char root[PATH_MAX],
                       char mount[PATH_MAX])
{
    for (const char *p = text; p && *p; p = strchr(p, '\n')) {
        char line[3 * PATH_MAX / 2], type[32], options[1024];
        const char *dash;
        size_t len;

        p += *p == '\n';
        len = strcspn(p, "\n");
        if (len == 0 || len >= sizeof line)
            continue;
        memcpy(line, p, len);
        line[len] = '\0';
        dash = strstr(line, " - ");
        if (!dash || sscanf(dash, " - %31s %*s %1023s", type, options) != 2 ||
            strcmp(type, names->two ? "cgroup2" : "cgroup") != 0)
            continue;
        if (!names->two && !has_name(options, strlen(options), names->controller))
            continue;
        if (sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) == 2)
            return true;
    }
    return false;
}

static void look_hierarchy(const char *prefix, const struct names *names, const char *cgroup,
                           const char *mountinfo, struct headroom *h)
{
    char path[PATH_MAX], root[PATH_MAX], mount[PATH_MAX], whole[PATH_MAX];
    size_t skip;

    if (!find_path(cgroup, names, path) || !find_mount(mountinfo, names, root, mount))
        return;
    skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, skip) != 0)
        return;
    if ((size_t)snprintf(whole, sizeof whole, "%s%s", prefix, mount) < sizeof whole)
        look_groups(whole, path + skip, names, h);
}

static void look_machine(const char *prefix, struct headroom *h)
{
    char *text = slurp(prefix, "proc/meminfo");
    uint64_t kib = text ? stat_of(text, "", "MemAvailable:") : 0;

    if (kib > 0 && kib * 1024 < h->room) {
        h->room = kib * 1024;
        h->limit = UINT64_MAX;
        h->slow = 0;
    }
    free(text);
}

static void look(const char *root, const struct names names[2], struct headroom *h)
{
    char *cgroup = slurp(root, "proc/self/cgroup"), *mountinfo = slurp(root, "proc/self/mountinfo");

    h->room = h->limit = UINT64_MAX;
    h->slow = 0;
    h->all_die = false;
    for (size_t i = 0; cgroup && mountinfo && i < 2; i++)
        look_hierarchy(root, &names[i], cgroup, mountinfo, h);
    free(cgroup);
    free(mountinfo);
}

void headroom_read(const char *root, struct headroom *h)
{
    look(root, memory_names, h);
    look_machine(root, h);
}

void headroom_pids(const char *root, struct headroom *h)
{
    look(root, pids_names, h);
}

uint64_t headroom_commit(const char *root)
{
    char *text;
    uint64_t limit, used;

    if (number(root, "proc/sys/vm/overcommit_memory", 0) != 2)
        return UINT64_MAX;
    text = slurp(root, "proc/meminfo");
    if (!text)
        return UINT64_MAX;
    limit = stat_of(text, "", "CommitLimit:");
    used = stat_of(text, "", "Committed_AS:");
    free(text);
    return limit > used ? (limit - used) * 1024 : 0;
}

uint64_t headroom_need(unsigned processes)
{
    return NEED_BASE + (uint64_t)processes * NEED_PROCESS;
}
