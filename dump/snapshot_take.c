/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_take.h"

#include "dump/inject.h"
#include "dump/pagemap_scan.h"
#include "dump/snapshot_map.h"
#include "dump/snapshot_scan.h"
#include "dump/snapshot_tree.h"
#include "dump/snapshot_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMAPS_MAX (256u << 20)
#define SPARE_TASKS 64 /* threads that the user must be able to start beside a snapshot */

static int sock = -1;
static struct snapshot_word plan;

void snapshot_take_init(int fd)
{
    ssize_t n;

    if (fd < 0)
        return;
    n = recv(fd, &plan, sizeof plan, MSG_DONTWAIT);
    if (n == (ssize_t)sizeof plan && plan.magic == SNAPSHOT_MAGIC && plan.verb == SNAPSHOT_PLAN)
        sock = fd;
    else
        close(fd);
}

void snapshot_take_fini(void)
{
    if (sock >= 0)
        close(sock);
    sock = -1;
}

static void left(pid_t pid, const char *why, int error)
{
    struct snapshot_word w = {.magic = SNAPSHOT_MAGIC, .verb = SNAPSHOT_LEFT, .pid = pid};

    snprintf(w.why, sizeof w.why, "%s%s%s", why, error ? ": " : "", error ? strerror(error) : "");
    (void)send(sock, &w, sizeof w, MSG_NOSIGNAL);
}

static char *read_smaps(pid_t pid)
{
    size_t len = 0, room = 1u << 20;
    char path[40], *text = NULL;
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/smaps", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    text = malloc(room + 1);
    while (text && (n = read(fd, text + len, room - len)) > 0) {
        len += (size_t)n;
        if (len == room) {
            char *more = room < SMAPS_MAX ? realloc(text, 2 * room + 1) : NULL;

            if (!more)
                free(text);
            text = more;
            room *= 2;
        }
    }
    close(fd);
    if (text && n < 0) {
        free(text);
        text = NULL;
    }
    if (text)
        text[len] = '\0';
    return text;
}

/* What the copy would take, beside what there is already. */
static const char *refuse(pid_t pid, const struct snapshot_map *map)
{
    struct rlimit limit;

    if (map->refuse)
        return map->refuse;
    if (map->rest > plan.rest_max)
        return "too much of its memory is shared, locked to it or of a special kind";
    if (map->bytes > plan.room)
        return "no room in memory for copies of what the job changes meanwhile";
    if (prlimit(pid, RLIMIT_NPROC, NULL, &limit) < 0)
        return "its limits cannot be read";
    if (limit.rlim_cur != RLIM_INFINITY && plan.tasks + SPARE_TASKS > limit.rlim_cur)
        return "its limit on processes (RLIMIT_NPROC) is nearly reached";
    return NULL;
}

static long call(struct inject *in, pid_t *born, long nr, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t args[5] = {a, b, c, 0, 0};

    return inject_call(in, born, nr, args);
}

/* In A: fork B and end.  B's pid, or -errno. */
static long fork_in(pid_t a, uint64_t site, pid_t *b)
{
    const uint64_t status[5] = {0, 0, 0, 0, 0};
    struct inject in;
    long rc;

    if (inject_wait_born(a) < 0 || inject_begin(&in, a, site, PTRACE_O_TRACEFORK) < 0)
        return INJECT_LOST;
    /* CLONE_FILES: no descriptor is copied, so none need be closed (and flushed) before it can be let go.  Not
     * CLONE_FS: a setuid program would not be one any more when T execs it. */
    rc = call(&in, b, SYS_clone, CLONE_FILES | SIGCHLD, 0, 0);
    if (inject_leave_in(&in, SYS_exit, status) < 0)
        return INJECT_LOST;
    return rc;
}

static long with_process(pid_t pid, uint64_t site, long (*run)(struct inject *, void *), void *arg)
{
    struct inject in;
    long rc;

    if (inject_begin(&in, pid, site, PTRACE_O_TRACECLONE) < 0)
        return -errno;
    rc = run(&in, arg);
    if (rc == INJECT_LOST || inject_end(&in) < 0)
        return INJECT_LOST;
    return rc;
}

static long clone_a(struct inject *in, void *arg)
{
    return call(in, arg, SYS_clone, CLONE_VM | CLONE_FILES, 0, 0);
}

static long reap_a(struct inject *in, void *arg)
{
    const long *a = arg;

    return call(in, NULL, SYS_wait4, (uint64_t)*a, 0, __WALL);
}

/* B's last call: it sleeps for good, all signals blocked.  Should ckpt-init end, so does B. */
static int park(pid_t b, uint64_t site)
{
    const uint64_t for_ever[5] = {0, 0, 0, 0, 0};
    struct inject in;

    if (inject_wait_born(b) < 0 || inject_begin(&in, b, site, 0) < 0 ||
        call(&in, NULL, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0) != 0)
        return -1;
    return inject_leave_in(&in, SYS_ppoll, for_ever);
}

/* 0 and *b; or -errno; or INJECT_LOST: the process is not what it was. */
static long make(pid_t pid, uint64_t site, pid_t *b)
{
    pid_t a = 0;
    long child, rc, reaped;

    child = with_process(pid, site, clone_a, &a);
    if (child < 0)
        return child;
    if (a <= 0)
        return INJECT_LOST;
    *b = 0;
    rc = fork_in(a, site, b);
    if (rc == INJECT_LOST)
        kill(a, SIGKILL);
    reaped = with_process(pid, site, reap_a, &child);
    if (rc == INJECT_LOST || reaped != child)
        rc = INJECT_LOST;
    if (rc > 0 && (*b <= 0 || park(*b, site) < 0))
        rc = INJECT_LOST;
    if (rc < 0 && *b > 0)
        kill(*b, SIGKILL);
    return rc < 0 ? rc : 0;
}

/* The areas in a file that goes with the word. */
static int areas_file(const struct snapshot_map *map)
{
    size_t len = map->n * sizeof *map->areas;
    int fd = memfd_create("areas", MFD_CLOEXEC);

    if (fd >= 0 && write(fd, map->areas, len) != (ssize_t)len) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool send_word(const struct snapshot_word *w, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)w, sizeof *w};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *w;
}

/* Does dump hold it now? */
static bool hand_over(pid_t pid, pid_t b, uint64_t site, const struct snapshot_map *map)
{
    struct snapshot_word w = {.magic = SNAPSHOT_MAGIC,
                              .verb = SNAPSHOT_TAKEN,
                              .pid = pid,
                              .child = b,
                              .site = site,
                              .bytes = map->bytes,
                              .vdso_start = map->vdso_start,
                              .vdso_end = map->vdso_end};
    struct snapshot_word answer = {0};
    int fd = areas_file(map);
    bool held = false;
    ssize_t n;

    if (fd >= 0 && send_word(&w, fd)) {
        do
            n = recv(sock, &answer, sizeof answer, 0);
        while (n < 0 && errno == EINTR);
        held = n == (ssize_t)sizeof answer && answer.magic == SNAPSHOT_MAGIC &&
               answer.verb == SNAPSHOT_HELD && answer.child == b;
    }
    if (fd >= 0)
        close(fd);
    return held;
}

static int take(pid_t pid, struct snapshot_map *map)
{
    uint64_t site = inject_site(pid, map->vdso_start, map->vdso_end);
    const char *why = refuse(pid, map);
    pid_t b = 0;
    long rc;

    if (!why && !site)
        why = "it has no vDSO that we know how to use";
    if (!why)
        why = snapshot_tree_refuse(pid, plan.pid);
    if (why) {
        left(pid, why, 0);
        return 0;
    }
    rc = make(pid, site, &b);
    if (rc == INJECT_LOST)
        return -1;
    if (rc < 0) {
        left(pid, "it cannot be forked", (int)-rc);
        return 0;
    }
    if (!hand_over(pid, b, site, map)) {
        /* Its parent, ckpt-init, reaps it when it runs again. */
        kill(b, SIGKILL);
        return 0;
    }
    if (snapshot_scan_add(pid, map) < 0)
        return -1;
    plan.room -= map->bytes;
    plan.tasks++;
    return 0;
}

int snapshot_take(int pid)
{
    struct snapshot_map map;
    uint64_t memory;
    char *smaps;
    int rc = 0;

    if (sock < 0)
        return 0;
    if (snapshot_tree_add(pid, &memory) < 0 || memory < plan.bytes)
        return 0;
    smaps = read_smaps(pid);
    if (!smaps || snapshot_map_parse(smaps, &map) < 0) {
        left(pid, "its memory map cannot be read", errno);
        free(smaps);
        return 0;
    }
    free(smaps);
    if (map.bytes >= plan.bytes)
        rc = take(pid, &map);
    else
        left(pid, "hardly any of its memory is private", 0);
    snapshot_map_free(&map);
    return rc;
}
