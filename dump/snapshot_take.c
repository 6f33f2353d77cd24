/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot_take.h"

#include "dump/inject.h"
#include "dump/pagemap_scan.h"
#include "dump/smaps.h"
#include "dump/snapshot_early.h"
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
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX 256   /* descriptors */
#define ALONE_S 10     /* seconds within which dump must trace a snapshot process */
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
    if (sock >= 0)
        snapshot_early_read(plan.pid, plan.bytes);
}

void snapshot_take_fini(void)
{
    if (sock >= 0)
        close(sock);
    sock = -1;
    snapshot_early_free();
}

static void left(pid_t pid, const char *why, int error)
{
    struct snapshot_word w = {.magic = SNAPSHOT_MAGIC, .verb = SNAPSHOT_LEFT, .pid = pid};

    snprintf(w.why, sizeof w.why, "%s%s%s", why, error ? ": " : "", error ? strerror(error) : "");
    (void)send(sock, &w, sizeof w, MSG_NOSIGNAL);
}

/* For CRIU, which reads the same next: see shim-maps.h. */
static struct kept {
    pid_t pid;
    int fd;
} * kept;
static size_t nkept;

/* Its descriptor, or -1. */
static int keep(pid_t pid, const char *text)
{
    const size_t len = strlen(text);
    struct kept *more = nkept < KEPT_MAX ? realloc(kept, (nkept + 1) * sizeof *more) : NULL;
    int fd = more ? memfd_create("smaps", MFD_CLOEXEC) : -1;

    if (more)
        kept = more;
    if (fd < 0)
        return -1;
    if (write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0) {
        kept[nkept++] = (struct kept){pid, fd};
        return fd;
    }
    close(fd);
    return -1;
}

int snapshot_take_smaps(pid_t pid)
{
    for (size_t i = 0; i < nkept; i++)
        if (kept[i].pid == pid) {
            const int fd = kept[i].fd;

            kept[i] = kept[--nkept];
            return fd;
        }
    return -1;
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

/* One more that stands still, and must not die of it. */
static void seen(pid_t pid)
{
    const struct snapshot_word w = {.magic = SNAPSHOT_MAGIC, .verb = SNAPSHOT_SEEN, .pid = pid};

    (void)send(sock, &w, sizeof w, MSG_NOSIGNAL);
}

static void touch_with(pid_t pid, pid_t child)
{
    struct snapshot_word w = {
        .magic = SNAPSHOT_MAGIC, .verb = SNAPSHOT_TOUCH, .pid = pid, .child = child};

    (void)send(sock, &w, sizeof w, MSG_NOSIGNAL);
}

static void touch(pid_t pid)
{
    touch_with(pid, 0);
}

static long call(struct inject *in, pid_t *born, long nr, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t args[5] = {a, b, c, 0, 0};

    return inject_call(in, born, nr, args);
}

/* In A: fork B and end.  B's pid, or -errno. */
static long fork_in(pid_t a, uint64_t site, bool root_reaps, pid_t *b)
{
    const uint64_t status[5] = {0, 0, 0, 0, 0};
    struct inject in;
    long rc;

    if (inject_wait_born(a) < 0 || inject_begin(&in, a, site, PTRACE_O_TRACEFORK) < 0)
        return INJECT_LOST;
    /* CLONE_FILES: no descriptor is copied, so none need be closed (and flushed) before it can be let go.  Not
     * CLONE_FS: a setuid program would not be one any more when T execs it.  CLONE_PARENT: B has its last parent at once,
     * else the end of A, which nobody waits for then, would be the end of a parent (PR_SET_PDEATHSIG). */
    rc = call(&in, b, SYS_clone, CLONE_FILES | (root_reaps ? CLONE_PARENT : 0) | SIGCHLD, 0, 0);
    if (inject_leave_in(&in, UINT64_MAX, SYS_exit, status) < 0)
        return INJECT_LOST;
    return rc;
}

/* Have pid make A.  A process whose parent is the root of the tree leaves A to that, too: it takes no notice. */
static long clone_a(pid_t pid, uint64_t site, bool root_reaps, pid_t *a)
{
    const unsigned flags = CLONE_VM | CLONE_FILES | (root_reaps ? CLONE_PARENT : 0);
    struct inject in;
    long rc;

    if (inject_begin(&in, pid, site, PTRACE_O_TRACECLONE) < 0)
        return -errno;
    rc = call(&in, a, SYS_clone, flags, 0, 0);
    /* While it still is certain that T does not survive us. */
    if (rc > 0 && !root_reaps)
        touch_with(pid, *a);
    return rc == INJECT_LOST || inject_end(&in) < 0 ? INJECT_LOST : rc;
}

/* Have pid take the end of its child A: 0. */
static long reap_a(pid_t pid, uint64_t site, long a)
{
    struct inject in;
    long rc;

    if (inject_begin(&in, pid, site, 0) < 0)
        return INJECT_LOST;
    rc = call(&in, NULL, SYS_wait4, (uint64_t)a, 0, __WALL);
    return rc != a || inject_end(&in) < 0 ? INJECT_LOST : 0;
}

/* Should dump and criu both be killed before dump traces it, nobody would know of B: then SIGALRM ends it. */
static int set_alarm(struct inject *in)
{
    const uint64_t dies[INJECT_WORDS] = {0}; /* struct sigaction of the kernel: SIG_DFL */
    const uint64_t after[INJECT_WORDS] = {0, 0, ALONE_S, 0}; /* struct itimerval */
    const uint64_t at = inject_words_at(in);
    uint64_t words[INJECT_WORDS];
    const uint64_t action[5] = {SIGALRM, at, 0, 8, 0};

    if (inject_words_get(in, words) < 0 || inject_words_put(in, dies) < 0 ||
        inject_call(in, NULL, SYS_rt_sigaction, action) != 0 || inject_words_put(in, after) < 0 ||
        call(in, NULL, SYS_setitimer, ITIMER_REAL, at, 0) != 0)
        return -1;
    return inject_words_put(in, words);
}

/* B's last call: it sleeps for good, all other signals blocked.  Should ckpt-init end, so does B. */
static int park(pid_t b, uint64_t site)
{
    const uint64_t for_ever[5] = {0, 0, 0, 0, 0};
    struct inject in;

    if (inject_wait_born(b) < 0 || inject_begin(&in, b, site, 0) < 0 ||
        call(&in, NULL, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0) != 0 || set_alarm(&in) < 0)
        return -1;
    return inject_leave_in(&in, ~(UINT64_C(1) << (SIGALRM - 1)), SYS_ppoll, for_ever);
}

/* 0 and *b; or -errno; or INJECT_LOST: the process is not what it was. */
static long make(pid_t pid, uint64_t site, pid_t *b)
{
    const bool root_reaps = snapshot_tree_parent(pid) == plan.pid;
    pid_t a = 0;
    long child, rc;

    touch(pid);
    child = clone_a(pid, site, root_reaps, &a);
    if (child == INJECT_LOST || (child >= 0 && a <= 0))
        return INJECT_LOST;
    if (child < 0 || root_reaps)
        touch(0);
    if (child < 0)
        return child;
    *b = 0;
    rc = fork_in(a, site, root_reaps, b);
    if (rc == INJECT_LOST)
        kill(a, SIGKILL);
    if (!root_reaps) {
        if (reap_a(pid, site, child) < 0)
            rc = INJECT_LOST;
        else
            touch(0);
    }
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

/* early: -1: there is none */
static bool send_word(const struct snapshot_word *w, int areas, int early)
{
    const int fds[2] = {areas, early};
    const size_t size = early < 0 ? sizeof(int) : sizeof fds;
    char control[CMSG_SPACE(sizeof fds)] = {0};
    struct iovec iov = {(void *)(uintptr_t)w, sizeof *w};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
    return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *w;
}

/* Does dump hold it now? */
static bool hand_over(pid_t pid, pid_t b, uint64_t site, const struct snapshot_map *map, int early)
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

    if (fd >= 0 && send_word(&w, fd, early)) {
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

/* early: what the map was read from, when that was before the tree was stopped, or -1.  1: it has one, 0: it has none, -1. */
static int take(pid_t pid, struct snapshot_map *map, int early)
{
    uint64_t site = inject_site(pid, map->vdso_start, map->vdso_end);
    const char *why = refuse(pid, map);
    pid_t b = 0;
    long rc;

    if (!why && !site)
        why = "it has no vDSO that we know how to use";
    if (!why)
        why = snapshot_tree_refuse(pid, plan.pid, touch);
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
    if (!hand_over(pid, b, site, map, early)) {
        /* Its parent, ckpt-init, reaps it when it runs again. */
        kill(b, SIGKILL);
        return 0;
    }
    if (snapshot_scan_add(pid, map) < 0)
        return -1;
    plan.room -= map->bytes;
    plan.tasks++;
    return 1;
}

/* Whose smaps, which are changed, say so much. */
static int look(pid_t pid, char *smaps, int early)
{
    struct snapshot_map map;
    int rc = 0;

    if (!smaps || snapshot_map_parse(smaps, &map) < 0) {
        left(pid, "its memory map cannot be read", errno);
        return 0;
    }
    if (map.bytes >= plan.bytes)
        rc = take(pid, &map, early);
    else
        left(pid, "hardly any of its memory is private", 0);
    snapshot_map_free(&map);
    return rc;
}

/* Read now, for us and for CRIU. */
static int look_now(pid_t pid)
{
    char *smaps = smaps_read_of(pid, "smaps");
    int rc;

    if (smaps)
        (void)keep(pid, smaps);
    rc = look(pid, smaps, -1);
    free(smaps);
    return rc;
}

/* What was read before: CRIU gets it only where a snapshot will tell whether it was right. */
static int look_early(pid_t pid, char *smaps)
{
    const int fd = keep(pid, smaps);
    int rc = fd < 0 ? look_now(pid) : look(pid, smaps, fd);

    if (rc == 0 && fd >= 0 && snapshot_take_smaps(pid) == fd)
        close(fd);
    return rc;
}

int snapshot_take(int pid)
{
    uint64_t memory;
    char *smaps;
    int rc;

    if (sock < 0)
        return 0;
    if (snapshot_tree_add(pid, &memory) < 0)
        return 0;
    seen(pid);
    if (memory < plan.bytes)
        return 0;
    smaps = snapshot_early_take(pid);
    rc = smaps ? look_early(pid, smaps) : look_now(pid);
    free(smaps);
    return rc < 0 ? -1 : 0;
}
