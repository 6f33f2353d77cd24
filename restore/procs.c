/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/procs.h"

#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 50

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(void)
{
    const struct timespec t = {0, STEP_MS * 1000000L};

    nanosleep(&t, NULL);
}

static bool is_gone(int error)
{
    return error == ENOENT || error == ESRCH;
}

/* A small file of /proc: false when it cannot be read; errno ENOENT or ESRCH: it, or the process,
 * is gone. */
static bool read_proc(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    do {
        n = read(fd, buf + used, size - 1 - used);
        if (n > 0)
            used += (size_t)n;
    } while ((n > 0 && used < size - 1) || (n < 0 && errno == EINTR));
    io_close(&fd);
    buf[used] = '\0';
    if (n == 0 && used == 0)
        errno = ESRCH;
    return n >= 0 && used > 0;
}

bool procs_parse_stat(const char *line, struct procs_stat *s)
{
    const char *open = strchr(line, '('), *close = strrchr(line, ')');
    struct procs_stat got;
    size_t n;

    /* The name between them may itself hold spaces and parentheses. */
    if (!open || !close || close < open)
        return false;
    memset(&got, 0, sizeof got);
    n = (size_t)(close - open - 1);
    memcpy(got.comm, open + 1, n < sizeof got.comm ? n : sizeof got.comm - 1);
    if (sscanf(line, "%d", &got.pid) != 1 ||
        sscanf(close + 1, " %c %d %d %d", &got.state, &got.ppid, &got.pgid, &got.sid) != 4)
        return false;
    *s = got;
    return true;
}

static bool read_stat(pid_t pid, struct procs_stat *s)
{
    char path[64], line[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return read_proc(path, line, sizeof line) && procs_parse_stat(line, s);
}

typedef int each_fn(pid_t pid, void *arg);

/* fn for every number in a directory of /proc, until it returns other than 0.  -1 when the
 * directory cannot be read, but 0 when it is gone. */
static int each_number(const char *path, each_fn *fn, void *arg)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return is_gone(errno) ? 0 : -1;
    while (rc == 0 && (e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9')
            rc = fn((pid_t)strtol(e->d_name, NULL, 10), arg);
    closedir(d);
    return rc;
}

static bool ending(char state)
{
    return state == 'Z' || state == 'X';
}

/* ---- numbers that must be free ---- */

struct wanted {
    const uint32_t *ids;
    size_t n;
    uint32_t id; /* the first that is taken, 0: none */
    const char *as;
    struct procs_stat holder;
};

static int compare_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static bool is_wanted(const struct wanted *w, pid_t id)
{
    uint32_t key = (uint32_t)id;

    return id > 0 && w->n > 0 && bsearch(&key, w->ids, w->n, sizeof *w->ids, compare_id);
}

static int check_process(pid_t pid, void *arg)
{
    struct wanted *w = arg;
    struct procs_stat s;
    pid_t hit;

    if (!read_stat(pid, &s))
        return 0;
    if (is_wanted(w, s.pid)) {
        hit = s.pid;
        w->as = "process";
    } else if (is_wanted(w, s.pgid)) {
        hit = s.pgid;
        w->as = "group";
    } else if (is_wanted(w, s.sid)) {
        hit = s.sid;
        w->as = "session";
    } else {
        return 0;
    }
    w->id = (uint32_t)hit;
    w->holder = s;
    return 1;
}

/* Threads are not listed in /proc itself, but their numbers can be asked for: kill() with signal 0.
 */
static bool check_threads(struct wanted *w)
{
    for (size_t i = 0; i < w->n; i++) {
        pid_t id = (pid_t)w->ids[i];

        if (kill(id, 0) < 0 && errno == ESRCH && kill(-id, 0) < 0 && errno == ESRCH)
            continue;
        w->id = w->ids[i];
        w->as = "thread";
        if (!read_stat(id, &w->holder))
            memset(&w->holder, 0, sizeof w->holder);
        return true;
    }
    return false;
}

/* -1: not known, errno as read_proc. */
static uid_t owner(pid_t pid)
{
    char path[64], text[4096];
    const char *p;
    unsigned uid;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!read_proc(path, text, sizeof text))
        return (uid_t)-1;
    p = strstr(text, "\nUid:");
    errno = EIO;
    return p && sscanf(p + 5, "%u", &uid) == 1 ? uid : (uid_t)-1;
}

int procs_wait_free(const uint32_t *ids, size_t n, int ms, struct err *err)
{
    const int64_t end = now_ms() + ms;

    for (;;) {
        struct wanted w = {.ids = ids, .n = n};
        uid_t uid;

        if (each_number("/proc", check_process, &w) < 0)
            return err_sys(err, "/proc");
        if (!w.id && !check_threads(&w))
            return 0;
        uid = w.holder.pid > 0 ? owner(w.holder.pid) : (uid_t)-1;
        if (now_ms() < end && (uid == getuid() || uid == (uid_t)-1 || ending(w.holder.state))) {
            nap();
            continue;
        }
        errno = EBUSY;
        if (w.holder.pid <= 0)
            return err_set(err, "pid %u of the job is taken on this node", w.id);
        if (ending(w.holder.state))
            return err_set(err,
                           "pid %u of the job is taken on this node: %s %d (%s) has ended, but "
                           "its parent %d does not take notice",
                           w.id, w.as, (int)w.holder.pid, w.holder.comm, (int)w.holder.ppid);
        return err_set(err, "pid %u of the job is taken on this node: %s of %d (%s, uid %u)", w.id,
                       w.as, (int)w.holder.pid, w.holder.comm, (unsigned)uid);
    }
}

/* ---- ending an attempt ---- */

struct family {
    pid_t *pids;
    size_t n, room;
    bool grew, failed;
};

static bool in_family(const struct family *f, pid_t pid)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->pids[i] == pid)
            return true;
    return false;
}

static int add_child(pid_t pid, void *arg)
{
    struct family *f = arg;
    struct procs_stat s;

    if (!read_stat(pid, &s) || in_family(f, pid) || !in_family(f, s.ppid))
        return 0;
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        pid_t *more = realloc(f->pids, room * sizeof *more);

        if (!more) {
            f->failed = true;
            return 1;
        }
        f->pids = more;
        f->room = room;
    }
    f->pids[f->n++] = pid;
    f->grew = true;
    return 0;
}

/* One round.  What it misses because it forks meanwhile becomes our child when its parent is gone,
 * and is caught by the next round. */
static int kill_round(struct err *err)
{
    struct family f = {0};
    pid_t self = getpid();

    f.pids = malloc(64 * sizeof *f.pids);
    if (!f.pids)
        return err_sys(err, "processes");
    f.room = 64;
    f.pids[f.n++] = self;
    do {
        f.grew = false;
        each_number("/proc", add_child, &f);
    } while (f.grew && !f.failed);
    for (size_t i = 1; i < f.n; i++)
        kill(f.pids[i], SIGKILL);
    free(f.pids);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return 0;
}

int procs_kill_descendants(int ms, struct err *err)
{
    const int64_t end = now_ms() + ms;

    for (;;) {
        siginfo_t info;

        if (kill_round(err) < 0)
            return -1;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) < 0 && errno == ECHILD)
            return 0;
        if (now_ms() >= end) {
            errno = ETIMEDOUT;
            return err_set(err, "some processes of the failed attempt cannot be ended");
        }
        nap();
    }
}

/* ---- proof ---- */

struct proof {
    uid_t uid;
    const pid_t *skip;
    size_t nskip;
    const char *cgroup; /* text of /proc/self/cgroup */
    pid_t pid;          /* of the threads that are being looked at */
    unsigned n;
    pid_t bad_pid, bad_tid;
    char bad[128];
};

static int check_status(pid_t tid, void *arg)
{
    static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
    struct proof *p = arg;
    char path[80], text[8192];
    const char *state;

    snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)p->pid, (int)tid);
    if (!read_proc(path, text, sizeof text))
        return is_gone(errno) ? 0 : -1;
    state = strstr(text, "\nState:\t");
    if (state && ending(state[8]))
        return 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *line = strstr(text, sets[i]);

        if (line && strtoull(line + strlen(sets[i]), NULL, 16) == 0)
            continue;
        p->bad_pid = p->pid;
        p->bad_tid = tid;
        snprintf(p->bad, sizeof p->bad, "%.*s", line ? (int)strcspn(line, "\n") : 0,
                 line ? line : "");
        return 1;
    }
    return 0;
}

static int check_harmless(pid_t pid, void *arg)
{
    struct proof *p = arg;
    char path[64], cgroup[8192];
    uid_t uid;

    for (size_t i = 0; i < p->nskip; i++)
        if (pid == p->skip[i])
            return 0;
    uid = owner(pid);
    if (uid == (uid_t)-1)
        return is_gone(errno) ? 0 : -1;
    if (uid != p->uid)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (!read_proc(path, cgroup, sizeof cgroup))
        return is_gone(errno) ? 0 : -1;
    if (strcmp(cgroup, p->cgroup) != 0)
        return 0;
    p->n++;
    p->pid = pid;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return each_number(path, check_status, p);
}

int procs_prove_harmless(uid_t uid, const pid_t *skip, size_t nskip, unsigned *n, struct err *err)
{
    char cgroup[8192];
    struct proof p = {.uid = uid, .skip = skip, .nskip = nskip, .cgroup = cgroup};

    if (!read_proc("/proc/self/cgroup", cgroup, sizeof cgroup))
        return err_sys(err, "/proc/self/cgroup");
    switch (each_number("/proc", check_harmless, &p)) {
    case 0:
        break;
    case -1:
        return err_sys(err, "cannot see which capabilities the processes have");
    default:
        errno = EPERM;
        return err_set(err, "thread %d of process %d holds a capability after the restore (%s)",
                       (int)p.bad_tid, (int)p.bad_pid, p.bad);
    }
    *n = p.n;
    return 0;
}
