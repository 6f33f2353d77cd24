/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_early.h"

#include "dump/smaps.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_MAX 65536u
#define KEPT_MAX 256u

static struct early {
    pid_t pid;
    char *text;
} early[KEPT_MAX];
static size_t nearly;

/* The processes below a root, breadth first. */
struct below {
    pid_t *pids;
    size_t n, room;
};

static void add(struct below *b, pid_t pid)
{
    if (b->n == b->room) {
        const size_t room = b->room ? 2 * b->room : 64;
        pid_t *more = room <= PROCESSES_MAX ? realloc(b->pids, room * sizeof *more) : NULL;

        if (!more)
            return;
        b->pids = more;
        b->room = room;
    }
    b->pids[b->n++] = pid;
}

static void add_children(struct below *b, pid_t pid, const char *thread)
{
    char name[80], *text, *save = NULL;

    snprintf(name, sizeof name, "task/%.20s/children", thread);
    text = smaps_read_of(pid, name);
    for (char *w = text ? strtok_r(text, " ", &save) : NULL; w; w = strtok_r(NULL, " ", &save))
        add(b, (pid_t)strtol(w, NULL, 10));
    free(text);
}

static void add_below(struct below *b, pid_t pid)
{
    char path[40];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9')
            add_children(b, pid, e->d_name);
    if (d)
        closedir(d);
}

static uint64_t memory_of(pid_t pid)
{
    char *status = smaps_read_of(pid, "status");
    uint64_t kib = 0;

    for (unsigned i = 0; status && i < 2; i++) {
        const char *key = i ? "\nVmSwap:" : "\nRssAnon:", *at = strstr(status, key);

        kib += at ? strtoull(at + strlen(key), NULL, 10) : 0;
    }
    free(status);
    return kib << 10;
}

void snapshot_early_read(pid_t root, uint64_t bytes)
{
    struct below b = {NULL, 0, 0};

    if (bytes == UINT64_MAX)
        return;
    add_below(&b, root);
    for (size_t i = 0; i < b.n && nearly < KEPT_MAX; i++) {
        add_below(&b, b.pids[i]);
        if (memory_of(b.pids[i]) < bytes)
            continue;
        early[nearly] = (struct early){b.pids[i], smaps_read_of(b.pids[i], "smaps")};
        nearly += early[nearly].text != NULL;
    }
    free(b.pids);
}

/* Of process pid, which is no longer in the list then. */
static char *remove_of(pid_t pid)
{
    for (size_t i = 0; i < nearly; i++)
        if (early[i].pid == pid) {
            char *text = early[i].text;

            early[i] = early[--nearly];
            return text;
        }
    return NULL;
}

char *snapshot_early_take(pid_t pid)
{
    char *text = remove_of(pid), *maps, *status;
    bool same;

    if (!text)
        return NULL;
    maps = smaps_read_of(pid, "maps");
    status = smaps_read_of(pid, "status");
    same = maps && status && smaps_same_areas(text, maps, status);
    free(maps);
    free(status);
    if (same)
        return text;
    free(text);
    return NULL;
}

void snapshot_early_free(void)
{
    while (nearly > 0)
        free(early[--nearly].text);
}
