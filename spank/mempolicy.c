/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/mempolicy.h"

#include "common/io.h"
#include "dump/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT_STOP 128
#define PAGE 4096u
#define WORDS (MEMPOLICY_NODES / 64)
#define PREFERRED_MANY 5 /* since Linux 5.15; not in every header */
#define WEIGHTED 6       /* since Linux 6.9 */

int mempolicy_mode(const char *word)
{
    static const struct {
        const char *word;
        int mode;
    } modes[] = {{"default", MPOL_DEFAULT},
                 {"bind", MPOL_BIND},
                 {"prefer", MPOL_PREFERRED},
                 {"prefer (many)", PREFERRED_MANY},
                 {"interleave", MPOL_INTERLEAVE},
                 {"weighted interleave", WEIGHTED},
                 {"local", MPOL_LOCAL}};
    size_t n = strcspn(word, "=");
    const char *flag = word + n + (word[n] == '=');

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strlen(modes[i].word) == n && strncmp(modes[i].word, word, n) == 0)
            return modes[i].mode | (strncmp(flag, "static", 6) == 0 ? MPOL_F_STATIC_NODES : 0);
    return -1;
}

void mempolicy_split(char *text, const char **nodes)
{
    char *colon = strrchr(text, ':');

    *nodes = "";
    if (colon) {
        *colon = '\0';
        *nodes = colon + 1;
    }
}

int mempolicy_of(pid_t pid, pid_t tid, char word[24], char nodes[128])
{
    char path[64], text[256], *policy, *end;
    const char *list;

    snprintf(path, sizeof path, "/proc/%d/task/%d/numa_maps", (int)pid, (int)tid);
    /* The first line is enough, and the kernel walks no more of the page tables than what is asked for. */
    if (io_read_start(path, text, sizeof text) < 0)
        return -1;
    policy = strchr(text, ' ');
    if (!policy)
        return -1;
    policy++;
    end = strstr(policy, " (many)");
    end = end == policy + 6 ? end + 7 : policy; /* "prefer (many)" */
    if (strncmp(policy, "weighted ", 9) == 0)
        end = policy + 9;
    end[strcspn(end, " \n")] = '\0';
    mempolicy_split(policy, &list);
    if (strlen(policy) >= 24 || strlen(list) >= 128)
        return -1;
    memcpy(word, policy, strlen(policy) + 1);
    memcpy(nodes, list, strlen(list) + 1);
    return 0;
}

/* ---- a thread that stands still ---- */

/* "\nState:\tT", "\nSeccomp:\t0" of /proc/PID/status */
static char status_of(pid_t tid, const char *key)
{
    char path[40], text[4096], *at;

    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    if (io_read_start(path, text, sizeof text) < 0)
        return '?';
    at = strstr(text, key);
    return at ? at[strlen(key)] : '?';
}

/* Up to the stop that we asked for; signals that come first are let through. */
static int stop(pid_t tid)
{
    int status;

    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
        return -1;
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
        return -1;
    for (;;) {
        while (waitpid(tid, &status, __WALL) < 0)
            if (errno != EINTR)
                return -1;
        errno = ESRCH;
        if (!WIFSTOPPED(status))
            return -1;
        if (status >> 16 == EVENT_STOP)
            break;
        if (ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)WSTOPSIG(status)) < 0)
            return -1;
    }
    if (WSTOPSIG(status) == SIGTRAP)
        return 0;
    (void)ptrace(PTRACE_DETACH, tid, NULL, NULL); /* it is stopped by job control */
    errno = EBUSY;
    return -1;
}

static bool find_vdso(pid_t pid, uint64_t *start, uint64_t *end)
{
    char path[40], *line = NULL;
    size_t size = 0;
    bool found = false;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    f = fopen(path, "re");
    while (f && !found && getline(&line, &size, f) > 0)
        found = strstr(line, " [vdso]") && sscanf(line, "%lx-%lx", start, end) == 2;
    free(line);
    if (f)
        fclose(f);
    return found;
}

struct call {
    long nr;
    uint64_t args[5];
    int nodes_at; /* which argument is the address of the set of nodes */
};

/* Its own page for the set of nodes: nothing of the thread's memory is written to. */
static long in_page(struct inject *in, pid_t tid, const struct mempolicy *p, struct call *calls,
                    size_t n, size_t *done)
{
    const uint64_t get[5] = {0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                             UINT64_MAX};
    long page = inject_call(in, NULL, SYS_mmap, get), rc = 0;
    uint64_t put[5] = {(uint64_t)page, PAGE};

    if (page < 0)
        return page;
    for (size_t i = 0; i < WORDS && rc == 0; i++)
        if (p->nodes.bits[i] && ptrace(PTRACE_POKEDATA, tid, (void *)(put[0] + i * 8),
                                       (void *)(uintptr_t)p->nodes.bits[i]) < 0)
            rc = -errno;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (!place_set_is_empty(&p->nodes))
            calls[i].args[calls[i].nodes_at] = put[0];
        rc = inject_call(in, NULL, calls[i].nr, calls[i].args);
        *done += rc == 0;
    }
    if (rc != INJECT_LOST && inject_call(in, NULL, SYS_munmap, put) == INJECT_LOST)
        rc = INJECT_LOST;
    return rc;
}

static int run_calls(pid_t pid, pid_t tid, const struct mempolicy *p, struct call *calls, size_t n,
                     size_t *done, struct err *err)
{
    uint64_t start = 0, end = 0, site = 0;
    struct inject in;
    long rc;

    errno = EBUSY;
    if (status_of(tid, "\nState:\t") == 'T')
        return err_set(err, "thread %d is stopped", (int)tid);
    errno = EPERM;
    if (status_of(tid, "\nSeccomp:\t") > '0')
        return err_set(err, "thread %d has a seccomp filter", (int)tid);
    if (find_vdso(pid, &start, &end))
        site = inject_site(pid, start, end);
    if (stop(tid) < 0)
        return err_sys(err, "thread %d cannot be stopped for it", (int)tid);
    if (inject_begin(&in, tid, site, 0) < 0) {
        err_sys(err, "thread %d cannot be made to do it", (int)tid);
        (void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
        return -1;
    }
    rc = in_page(&in, tid, p, calls, n, done);
    if (rc == INJECT_LOST || inject_end(&in) < 0 || ptrace(PTRACE_DETACH, tid, NULL, NULL) < 0) {
        errno = ESRCH;
        return err_set(err, "thread %d has ended", (int)tid);
    }
    errno = rc < 0 ? (int)-rc : 0;
    return rc < 0 ? err_sys(err, "thread %d", (int)tid) : 0;
}

int mempolicy_set(pid_t pid, pid_t tid, const struct mempolicy *p, struct err *err)
{
    bool any = !place_set_is_empty(&p->nodes);
    struct call c = {
        SYS_set_mempolicy, {(uint64_t)(unsigned)p->mode, 0, any ? MEMPOLICY_NODES + 1 : 0}, 1};
    size_t done = 0;

    return run_calls(pid, tid, p, &c, 1, &done, err);
}

int mempolicy_set_areas(pid_t pid, const struct mempolicy *p, const uint64_t (*area)[2], size_t n,
                        struct err *err)
{
    bool any = !place_set_is_empty(&p->nodes);
    struct call *calls = calloc(n + 1, sizeof *calls);
    size_t done = 0;
    int rc;

    if (!calls)
        return err_sys(err, "no memory");
    for (size_t i = 0; i < n; i++)
        calls[i] = (struct call){
            SYS_mbind,
            {area[i][0], area[i][1], (uint64_t)(unsigned)p->mode, 0, any ? MEMPOLICY_NODES + 1 : 0},
            3};
    rc = run_calls(pid, pid, p, calls, n, &done, err);
    free(calls);
    return rc < 0 && done == 0 ? -1 : (int)done;
}

int mempolicy_move(pid_t pid, const struct place_set *nodes, struct err *err)
{
    struct place_set from = {{0}};
    char text[1024] = "";
    int fd = open("/sys/devices/system/node/has_memory", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    io_close(&fd);
    if (n > 0)
        text[strcspn(text, "\n")] = '\0';
    if (n <= 0 || !place_set_parse(text, MEMPOLICY_NODES, &from))
        return err_sys(err, "the machine's NUMA nodes");
    if (syscall(SYS_migrate_pages, (long)pid, (unsigned long)MEMPOLICY_NODES + 1, from.bits,
                nodes->bits) < 0)
        return err_sys(err, "migrate_pages");
    return 0;
}
