/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_tree.h"

#include "dump/inject.h"
#include "dump/inject_arch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BELOW_STACK 512 /* out of any red zone */
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

/* Of [vdso] in /proc/PID/maps. */
static uint64_t find_site(pid_t pid)
{
    char path[40], line[512];
    unsigned long long start, end;
    uint64_t site = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    while (!site && fgets(line, sizeof line, f)) {
        char *at = strstr(line, " [vdso]\n");

        if (!at)
            continue;
        start = strtoull(line, &at, 16);
        end = *at == '-' ? strtoull(at + 1, NULL, 16) : 0;
        site = inject_site(pid, start, end);
    }
    fclose(f);
    return site;
}

/* Only the process itself can ask; the answer goes through a word below its stack, put back afterwards. */
static int ask(pid_t pid)
{
    uint64_t site = find_site(pid), at;
    struct inject in;
    long word, rc = -1, answer = 0;

    if (!site || inject_begin(&in, pid, site, 0) < 0)
        return UNKNOWN;
    at = (arch_stack(&in.saved) - BELOW_STACK) & ~UINT64_C(15);
    errno = 0;
    word = ptrace(PTRACE_PEEKDATA, pid, (void *)at, NULL);
    if (!errno) {
        const uint64_t args[5] = {PR_GET_CHILD_SUBREAPER, at, 0, 0, 0};

        rc = inject_call(&in, NULL, SYS_prctl, args);
        if (rc == 0) {
            errno = 0;
            answer = ptrace(PTRACE_PEEKDATA, pid, (void *)at, NULL);
            if (errno)
                rc = -1;
        }
        if (rc != INJECT_LOST && ptrace(PTRACE_POKEDATA, pid, (void *)at, (void *)word) < 0)
            rc = -1;
    }
    if (rc == INJECT_LOST || inject_end(&in) < 0)
        return UNKNOWN;
    /* It is an int. */
    return rc == 0 ? (answer & 0xffffffff) != 0 : UNKNOWN;
}

static const char *check(struct seen *s, bool want)
{
    if (s->seccomp)
        return "there is a seccomp filter on it or above it";
    if (s->subreaper == UNKNOWN)
        s->subreaper = ask(s->pid);
    if (s->subreaper == UNKNOWN)
        return "it cannot be asked whether it is a subreaper";
    if (s->subreaper != want)
        return want ? "the root of the tree is no subreaper"
                    : "it or a process above it is a subreaper";
    return NULL;
}

const char *snapshot_tree_refuse(pid_t pid, pid_t root)
{
    if (pid == root)
        return "it is the root of the tree itself";
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        struct seen *s = find(pid);
        const char *why;

        if (!s)
            return "a process above it is stopped";
        why = check(s, pid == root);
        if (why || pid == root)
            return why;
        pid = s->parent;
    }
    return "the tree is too deep";
}
