/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/target.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROC_MAX (1u << 20)
#define DEPTH_MAX 10000 /* a chain of parents is no longer; it may change while it is walked */
#define TREE_MAX 100000
#define KILL_ROUNDS 1000 /* of 2 ms */

struct proc {
    pid_t pid, ppid, session, tgid;
    char state;
    uint64_t start;
    unsigned uid[4], gid[4];
    uint64_t kib; /* RssAnon, RssShmem, VmSwap */
};

/* /proc/PID/NAME as text; the caller frees it.  pid 0: our own. */
static char *slurp(pid_t pid, const char *name, struct err *err)
{
    char path[64], *text;
    size_t len;
    int fd;

    if (pid)
        snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    else
        snprintf(path, sizeof path, "/proc/self/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        err_sys(err, "%s", path);
        return NULL;
    }
    text = io_slurp(fd, PROC_MAX, &len, err);
    io_close(&fd);
    return text;
}

/* pid (comm) state ppid pgrp session ...; comm may hold anything, so go by the last parenthesis. Field
 * 22 is the start time. */
static int parse_stat(char *text, struct proc *p)
{
    char *rest = strrchr(text, ')');
    unsigned long long start;
    int ppid, session;

    if (!rest || sscanf(rest + 1,
                        " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                        "%llu",
                        &p->state, &ppid, &session, &start) != 4)
        return -1;
    p->ppid = ppid;
    p->session = session;
    p->start = start;
    return 0;
}

static const char *field(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (!strncmp(p, name, n))
            return p + n;
    }
    return NULL;
}

static int ids(const char *text, const char *name, unsigned id[4])
{
    const char *p = field(text, name);

    return p && sscanf(p, "%u %u %u %u", &id[0], &id[1], &id[2], &id[3]) == 4 ? 0 : -1;
}

static uint64_t kib(const char *text, const char *name)
{
    const char *p = field(text, name);

    return p ? strtoull(p, NULL, 10) : 0;
}

static int parse_status(const char *text, struct proc *p)
{
    const char *tgid = field(text, "Tgid:");

    if (!tgid || ids(text, "Uid:", p->uid) < 0 || ids(text, "Gid:", p->gid) < 0)
        return -1;
    p->tgid = (pid_t)strtol(tgid, NULL, 10);
    p->kib = kib(text, "RssAnon:") + kib(text, "RssShmem:") + kib(text, "VmSwap:");
    return 0;
}

static int read_proc(pid_t pid, struct proc *p, struct err *err)
{
    char *stat = slurp(pid, "stat", err);
    char *status = stat ? slurp(pid, "status", err) : NULL;
    int rc = -1;

    memset(p, 0, sizeof *p);
    p->pid = pid;
    if (stat && status) {
        rc = parse_stat(stat, p) < 0 || parse_status(status, p) < 0 ? -1 : 0;
        if (rc < 0) {
            errno = EBADMSG;
            err_set(err, "/proc/%d cannot be understood", pid);
        }
    }
    free(stat);
    free(status);
    return rc;
}

/* The kernel tells a pidfd's pid only in fdinfo: "Pid:" -1 when reaped, 0 when it has none here. */
static int pid_of(int pidfd, pid_t *pid, struct err *err)
{
    char name[32], *text;
    const char *at;
    long v;

    snprintf(name, sizeof name, "fdinfo/%d", pidfd);
    text = slurp(0, name, err);
    if (!text)
        return -1;
    at = field(text, "Pid:");
    v = at ? strtol(at, NULL, 10) : -2;
    free(text);
    errno = EBADF;
    if (v == -2)
        return err_set(err, "what was passed is not a pidfd");
    errno = ESRCH;
    if (v == -1)
        return err_set(err, "the process has ended");
    errno = EPERM;
    if (v == 0)
        return err_set(err, "the process is in another pid namespace");
    *pid = (pid_t)v;
    return 0;
}

bool target_alive(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 0 && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
}

char target_state(pid_t pid)
{
    struct proc p;

    return read_proc(pid, &p, NULL) == 0 ? p.state : '\0';
}

static int check_ids(const struct proc *p, const struct facts *f, struct err *err)
{
    errno = EPERM;
    for (int i = 0; i < 4; i++) {
        if (p->uid[i] != f->uid)
            return err_set(err, "process %d has uid %u, this job's is %u", p->pid, p->uid[i],
                           f->uid);
        if (p->gid[i] != f->gid)
            return err_set(err, "process %d has gid %u, this job's is %u", p->pid, p->gid[i],
                           f->gid);
    }
    if (p->pid == 1)
        return err_set(err, "process 1 is not dumped");
    if (p->tgid != p->pid)
        return err_set(err, "%d is a thread, not a process", p->pid);
    if (p->session != p->pid)
        return err_set(err, "process %d does not lead its session", p->pid);
    if (p->state == 'Z' || p->state == 'X') {
        errno = ESRCH;
        return err_set(err, "process %d has ended", p->pid);
    }
    return 0;
}

static int check_cgroup(pid_t pid, struct err *err)
{
    char *theirs = slurp(pid, "cgroup", err);
    char *ours = theirs ? slurp(0, "cgroup", err) : NULL;
    int rc = -1;

    if (theirs && ours) {
        rc = strcmp(theirs, ours) == 0 ? 0 : -1;
        if (rc < 0) {
            errno = EPERM;
            err_set(err, "process %d is not in this task's control group", pid);
        }
    }
    free(theirs);
    free(ours);
    return rc;
}

/* From pid upwards: is `wanted` above it? */
static int is_above(pid_t pid, pid_t wanted, struct err *err)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        struct proc p;

        if (read_proc(pid, &p, err) < 0)
            return -1;
        if (p.ppid == wanted)
            return 1;
        if (p.ppid == 0)
            return 0;
        pid = p.ppid;
    }
    errno = ELOOP;
    return err_set(err, "the chain of parents has no end");
}

/* Under private isolation everything in the pid namespace is this task's; the tree's root may have been
 * forked into it from outside and then shows no parent.  Is this such a namespace?  Its init is the keeper. */
static int check_private(const struct facts *f, struct err *err)
{
    struct proc init;

    if (read_proc(1, &init, err) < 0)
        return -1;
    for (int i = 0; i < 4; i++)
        if (init.uid[i] != f->uid) {
            errno = EPERM;
            return err_set(err, "this is not the job's own pid namespace");
        }
    return 0;
}

static int check_below_task(pid_t pid, const struct facts *f, struct err *err)
{
    struct proc task;
    int rc;

    if (read_proc(f->task_pid, &task, err) < 0)
        return err_prefix(err, "the Slurm task is gone");
    if (task.start != f->task_start) {
        errno = ESRCH;
        return err_set(err, "the Slurm task is gone: its pid %d is another process's", f->task_pid);
    }
    rc = is_above(pid, f->task_pid, err);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        errno = EPERM;
        return err_set(err, "process %d does not descend from this task", pid);
    }
    return 0;
}

static int check_not_ours(pid_t pid, struct err *err)
{
    int rc = pid == getpid() ? 1 : is_above(getpid(), pid, err);

    if (rc < 0)
        return -1;
    if (rc == 1) {
        errno = EPERM;
        return err_set(err, "process %d is the checkpoint helper or above it", pid);
    }
    return 0;
}

int target_check(int pidfd, const struct facts *f, pid_t *pid, struct err *err)
{
    struct proc p;
    pid_t got = -1;

    if (pid_of(pidfd, &got, err) < 0)
        return -1;
    if (read_proc(got, &p, err) < 0 || check_ids(&p, f, err) < 0 || check_cgroup(got, err) < 0 ||
        check_not_ours(got, err) < 0 ||
        (f->isolation == ISOLATION_PRIVATE ? check_private(f, err)
                                           : check_below_task(got, f, err)) < 0)
        return -1;
    if (!target_alive(pidfd)) {
        errno = ESRCH;
        return err_set(err, "process %d has ended meanwhile", got);
    }
    *pid = got;
    return 0;
}

/* Children of a process's leading thread appended to the list; those of its other threads are rare, and
 * this is for an estimate. */
static size_t add_children(pid_t pid, pid_t *list, size_t n)
{
    char *text, *p, *end, name[48];

    snprintf(name, sizeof name, "task/%d/children", pid);
    text = slurp(pid, name, NULL);
    for (p = text; p && n < TREE_MAX; p = end) {
        long child = strtol(p, &end, 10);

        if (end == p || child <= 0)
            break;
        list[n++] = (pid_t)child;
    }
    free(text);
    return n;
}

/* The tree below pid, parents first, malloc'ed. */
static pid_t *list_tree(pid_t pid, size_t *n)
{
    pid_t *list = malloc(TREE_MAX * sizeof *list);

    if (!list)
        return NULL;
    list[0] = pid;
    *n = 1;
    for (size_t i = 0; i < *n; i++)
        *n = add_children(list[i], list, *n);
    return list;
}

uint64_t target_memory(pid_t pid)
{
    size_t n = 0;
    pid_t *list = list_tree(pid, &n);
    uint64_t sum = 0;

    for (size_t i = 0; list && i < n; i++) {
        struct proc p;

        if (read_proc(list[i], &p, NULL) == 0)
            sum += p.kib * 1024;
    }
    free(list);
    return sum;
}

/* After pidfd_open what is read in /proc is about the process that the pidfd holds, if that is still
 * there when the signal is sent. ppid 0: any. */
static bool continue_one(pid_t pid, pid_t ppid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct proc p;
    bool done = false;

    if (pidfd < 0)
        return false;
    if (read_proc(pid, &p, NULL) == 0 && p.state == 'T' && (ppid == 0 || p.ppid == ppid))
        done = syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0) == 0;
    io_close(&pidfd);
    return done;
}

/* From the end: children come after their parents, and a parent that wakes up first might act on children
 * that are still stopped. */
int target_continue(const struct target_process *list, size_t n)
{
    int done = 0;

    for (size_t i = n; i-- > 0;)
        if (!list[i].skip)
            done += continue_one(list[i].pid, i == 0 ? 0 : list[i].ppid);
    return done;
}

int target_continue_tree(pid_t pid)
{
    size_t n = 0;
    pid_t *list = list_tree(pid, &n);
    int done = 0;

    for (size_t i = list ? n : 0; i-- > 0;)
        done += continue_one(list[i], 0);
    free(list);
    return done;
}

size_t target_note_tree(pid_t pid, struct target_note **noted)
{
    size_t n = 0, kept = 0;
    pid_t *list = list_tree(pid, &n);
    struct target_note *note = list ? malloc(n * sizeof *note) : NULL;
    struct proc p;

    for (size_t i = 0; note && i < n; i++)
        if (read_proc(list[i], &p, NULL) == 0)
            note[kept++] = (struct target_note){.pid = list[i], .start = p.start};
    free(list);
    *noted = note;
    return kept;
}

/* Stopped first, so that no parent acts on the end of a child, and no child is born unseen for long. */
static bool kill_below(pid_t pid)
{
    size_t n = 0;
    pid_t *list = list_tree(pid, &n);
    bool lives = !list;

    for (size_t k = 0; list && k < n; k++)
        (void)kill(list[k], SIGSTOP);
    for (size_t k = list ? n : 0; k-- > 0;) {
        const char state = target_state(list[k]);

        if (state && state != 'Z' && state != 'X') {
            lives = true;
            (void)kill(list[k], SIGKILL);
        }
    }
    free(list);
    return lives;
}

bool target_kill_noted(const struct target_note *noted, size_t n)
{
    for (int i = 0; i < KILL_ROUNDS; i++) {
        bool lives = false;

        for (size_t k = 0; k < n; k++) {
            struct proc p;

            if (read_proc(noted[k].pid, &p, NULL) == 0 && p.start == noted[k].start &&
                kill_below(noted[k].pid))
                lives = true;
        }
        if (!lives)
            return true;
        poll(NULL, 0, 2);
    }
    return false;
}
