/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_loss.h"

#include "dump/inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000
#define CODE_NAME "memfd:CRIUMFD" /* MEMFD_FNAME of compel */
#define TRAP_MS 200               /* until a process that is going to run into a trap has done so */
#define EVENT_STOP 128            /* PTRACE_EVENT_STOP */

/* Of /proc/PID/stat: proc(5); PF_EXITING and PF_SIGNALED of the kernel's include/linux/sched.h */
enum { STAT_STATE = 3, STAT_PARENT = 4, STAT_FLAGS = 9, STAT_PENDING = 31 };
#define FLAG_EXITING 0x4u
#define FLAG_SIGNALED 0x400u

struct look {
    char state; /* NUL: gone */
    bool doomed;
    pid_t parent;
};

static void look(pid_t pid, struct look *l)
{
    char path[40], text[2048], *at, *save = NULL;
    ssize_t n;
    int fd;

    memset(l, 0, sizeof *l);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    at = strrchr(text, ')'); /* the name may hold anything */
    at = at ? strtok_r(at + 1, " ", &save) : NULL;
    for (int field = STAT_STATE; at; at = strtok_r(NULL, " ", &save), field++) {
        const unsigned long long v = strtoull(at, NULL, 10);

        if (field == STAT_STATE)
            l->state = *at;
        else if (field == STAT_PARENT)
            l->parent = (pid_t)v;
        else if (field == STAT_FLAGS)
            l->doomed = v & (FLAG_EXITING | FLAG_SIGNALED);
        else if (field == STAT_PENDING)
            l->doomed |= v >> (SIGKILL - 1) & 1;
    }
}

static bool stop(pid_t pid)
{
    int status;

    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        return false;
    for (;;) {
        if (waitpid(pid, &status, __WALL) < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        if (!WIFSTOPPED(status))
            return false;
        if (status >> 16 == EVENT_STOP)
            return true;
        /* A signal of its own comes first. */
        if (ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)WSTOPSIG(status)) < 0)
            return false;
    }
}

/* Have pid make one call.  False: that went wrong in the middle. */
static bool call(pid_t pid, long nr, const uint64_t args[5])
{
    struct inject in;
    uint64_t site = inject_find_site(pid);
    bool whole = true;

    if (!site || !stop(pid))
        return true;
    if (inject_begin(&in, pid, site, 0) == 0)
        whole = inject_call(&in, NULL, nr, args) != INJECT_LOST && inject_end(&in) == 0;
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return whole;
}

/* CRIU's code in pid: where it lies, one stretch after the other; false: none. */
static bool find_code(pid_t pid, uint64_t *start, uint64_t *end)
{
    char path[40], line[512];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *at;

        if (!strstr(line, CODE_NAME))
            continue;
        *start = strtoull(line, &at, 16);
        *end = *at == '-' ? strtoull(at + 1, NULL, 16) : 0;
        found = *end > *start;
    }
    if (f)
        fclose(f);
    return found;
}

/* Is that socket like CRIU's to its code: of the kind SEQPACKET (5), and without a name? */
static bool nameless(pid_t pid, unsigned long long inode)
{
    char path[40], line[512];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/net/unix", (int)pid);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned long long number;
        unsigned type;
        int used = 0;

        if (sscanf(line, "%*s %*s %*s %*s %x %*s %llu%n", &type, &number, &used) == 2)
            found = number == inode && type == 5 && (line[used] == '\n' || line[used] == '\0');
    }
    if (f)
        fclose(f);
    return found;
}

/* Does pid hold a descriptor that CRIU's code left open, or from which it was to be mapped?  Where it is mapped (code), one of its own kind may be taken for it: then the job goes back
 * to its last checkpoint without need. */
static bool holds_more(pid_t pid, bool code)
{
    char path[40], to[128];
    unsigned long long inode;
    struct dirent *e;
    bool found = false;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    d = opendir(path);
    while (d && !found && (e = readdir(d))) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, to, sizeof to - 1);

        to[n > 0 ? n : 0] = '\0';
        found = strstr(to, CODE_NAME) != NULL ||
                (code && sscanf(to, "socket:[%llu]", &inode) == 1 && nameless(pid, inode));
    }
    if (d)
        closedir(d);
    return found;
}

/* False: it is not what it was any more. */
static bool clean(pid_t pid)
{
    uint64_t start = 0, end = 0;
    const bool code = find_code(pid, &start, &end);

    if (holds_more(pid, code))
        return false;
    for (bool more = code; more; more = find_code(pid, &start, &end)) {
        const uint64_t args[5] = {start, end - start, 0, 0, 0};

        if (!call(pid, SYS_munmap, args))
            return false;
    }
    return true;
}

static bool is_dead(const struct look *l)
{
    return l->state == '\0' || l->state == 'Z' || l->state == 'X';
}

static bool any_dead(const pid_t *pids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct look l;

        look(pids[i], &l);
        if (l.doomed || is_dead(&l))
            return true;
    }
    return false;
}

bool snapshot_loss_any(const pid_t *pids, size_t n)
{
    /* What has died is seen soon: the rest should not go on without it for long. */
    for (int ms = 2, waited = 0; waited < TRAP_MS; waited += ms, ms *= 2) {
        poll(NULL, 0, ms);
        if (any_dead(pids, n))
            return true;
    }
    for (size_t i = 0; i < n; i++)
        if (!clean(pids[i]))
            return true;
    return any_dead(pids, n);
}

bool snapshot_loss_reap(pid_t pid, pid_t child)
{
    const uint64_t args[5] = {(uint64_t)child, 0, __WALL | WNOHANG, 0, 0};
    struct look l;

    for (int ms = 0; ms < WAIT_MS; ms++) {
        look(child, &l);
        if (l.state == '\0' || l.parent != pid)
            break;
        if (l.state == 'Z')
            return call(pid, SYS_wait4, args);
        poll(NULL, 0, 1);
    }
    return true;
}
