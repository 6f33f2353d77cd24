/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_tree.h"

#include "dump/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 100000

enum { UNKNOWN = -1 };

struct seen {
    pid_t pid, parent;
    bool seccomp;
    int subreaper; /* 0, 1, UNKNOWN */
};

static struct seen *seen;
static size_t nseen, room;

static uint64_t field(const char *status, const char *key)
{
    const char *at = strstr(status, key);

    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

int snapshot_tree_add(pid_t pid, uint64_t *memory)
{
    char path[40], status[8192];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, status, sizeof status - 1);
    close(fd);
    if (n <= 0)
        return -1;
    status[n] = '\0';
    if (nseen == room) {
        size_t more = room ? 2 * room : 64;
        struct seen *list = realloc(seen, more * sizeof *list);

        if (!list)
            return -1;
        seen = list;
        room = more;
    }
    seen[nseen++] = (struct seen){.pid = pid,
                                  .parent = (pid_t)field(status, "\nPPid:"),
                                  .seccomp = !strstr(status, "\nSeccomp:\t0\n"),
                                  .subreaper = UNKNOWN};
    *memory = (field(status, "\nRssAnon:") + field(status, "\nVmSwap:")) << 10;
    return 0;
}

static struct seen *find(pid_t pid)
{
    for (size_t i = 0; i < nseen; i++)
        if (seen[i].pid == pid)
            return &seen[i];
    return NULL;
}

pid_t snapshot_tree_parent(pid_t pid)
{
    const struct seen *s = find(pid);

    return s ? s->parent : 0;
}

/* Only the process itself can ask; the answer goes through a word below its stack, put back afterwards. */
static int ask(pid_t pid)
{
    uint64_t site = inject_find_site(pid), words[INJECT_WORDS], answer[INJECT_WORDS];
    struct inject in;
    long rc = -1;

    if (!site || inject_begin(&in, pid, site, 0) < 0)
        return UNKNOWN;
    if (inject_words_get(&in, words) == 0) {
        const uint64_t args[5] = {PR_GET_CHILD_SUBREAPER, inject_words_at(&in), 0, 0, 0};

        rc = inject_call(&in, NULL, SYS_prctl, args);
        if (rc == 0 && inject_words_get(&in, answer) < 0)
            rc = -1;
        if (rc != INJECT_LOST && inject_words_put(&in, words) < 0)
            rc = -1;
    }
    if (rc == INJECT_LOST || inject_end(&in) < 0)
        return UNKNOWN;
    /* It is an int. */
    return rc == 0 ? (answer[0] & 0xffffffff) != 0 : UNKNOWN;
}

static const char *check(struct seen *s, bool want, void (*touch)(pid_t))
{
    if (s->seccomp)
        return "there is a seccomp filter on it or above it";
    if (s->subreaper == UNKNOWN) {
        touch(s->pid);
        s->subreaper = ask(s->pid);
        touch(0);
    }
    if (s->subreaper == UNKNOWN)
        return "it cannot be asked whether it is a subreaper";
    if (s->subreaper != want)
        return want ? "the root of the tree is no subreaper"
                    : "it or a process above it is a subreaper";
    return NULL;
}

const char *snapshot_tree_refuse(pid_t pid, pid_t root, void (*touch)(pid_t))
{
    if (pid == root)
        return "it is the root of the tree itself";
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        struct seen *s = find(pid);
        const char *why;

        if (!s)
            return "a process above it is stopped";
        why = check(s, pid == root, touch);
        if (why || pid == root)
            return why;
        pid = s->parent;
    }
    return "the tree is too deep";
}
