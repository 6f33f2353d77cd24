/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * spin - a process of the job's user that attacks the keeper, dump, restore and criu from the moment that they
 * are born, in a loop without a pause, until FILE exists.
 *
 *   spin GROUP FILE REPORT [MODE]
 *
 * GROUP: only processes whose /proc/PID/cgroup holds this text are touched (other jobs may run on the machine);
 *        pid=N: only this one.
 * MODE take (default): ptrace, /proc/PID/mem, process_vm_readv, pidfd_getfd.  What counts as a breach is success
 *      on a process that held a capability before and after.
 * MODE limits: prlimit of FSIZE, NOFILE, AS and CPU to zero on dump and restore.
 * MODE stop, kill: SIGSTOP (and SIGCONT after 50 ms, 20 times), SIGKILL to dump and restore.
 *
 * REPORT: "started"; "met NAME" when that was first tried while it held a capability; a line for every breach, at once;
 * at the end, which those in a job that is requeued don't live to see, one line each: "NAME tried N held N" (held: tries
 * while it held a capability) and "breaches N".
 */
#include "t/attack/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PID 4194304

static const char *const names[] = {"keeper", "dump", "restore", "criu", "slurmstepd"};
#define NNAMES (sizeof names / sizeof names[0])
static struct {
    unsigned long tried, held;
} count[NNAMES];
static unsigned long breaches;
static FILE *report;

/* 0: not looked at yet; 1: of our job; 2: not */
static unsigned char known[MAX_PID + 1];

/* Has the process anything in one of its sets but the bounding one? The task about to exec the keeper has the
 * inheritable bit only, and that counts. */
static bool holds(int pid)
{
    static const char *const sets[] = {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"};
    char text[4096];

    if (slurp(pid, "status", text, sizeof text) <= 0)
        return false;
    for (size_t i = 0; i < 4; i++) {
        const char *at = strstr(text, sets[i]);

        if (at && strtoull(at + 8, NULL, 16) != 0)
            return true;
    }
    return false;
}

static int name_of(int pid)
{
    char comm[32];

    if (slurp(pid, "comm", comm, sizeof comm) <= 0)
        return -1;
    comm[strcspn(comm, "\n")] = '\0';
    for (size_t i = 0; i < NNAMES; i++)
        if (strcmp(comm, names[i]) == 0)
            return (int)i;
    return -1;
}

static void judge(int pid, int name, const char *how, bool before, bool success)
{
    if (success && before && holds(pid)) {
        breaches++;
        fprintf(report, "BREACH: %s of %s (pid %d)\n", how, names[name], pid);
        fflush(report);
    }
}

static void attack(int pid, int name)
{
    char path[64], byte;
    struct iovec mine = {&byte, 1}, theirs = {(void *)(uintptr_t)0x400000, 1};
    bool before = holds(pid), first = false;
    int fd, pidfd;
    ssize_t n;

    count[name].tried++;
    count[name].held += before;
    if (before && count[name].held == 1)
        first = true;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    fd = open(path, O_RDWR | O_CLOEXEC);
    judge(pid, name, "/proc/PID/mem", before, fd >= 0);
    if (fd >= 0)
        close(fd);
    n = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
    /* EFAULT: it was allowed, and there is nothing at that address. */
    judge(pid, name, "process_vm_readv", before, n == 1 || (n < 0 && errno == EFAULT));
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int i = 0; pidfd >= 0 && i < 6; i++) {
        fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
        judge(pid, name, "pidfd_getfd", before, fd >= 0);
        if (fd >= 0)
            close(fd);
    }
    if (pidfd >= 0)
        close(pidfd);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
        judge(pid, name, "ptrace", before, true);
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    if (first) { /* all of it has been tried by now */
        fprintf(report, "met %s\n", names[name]);
        fflush(report);
    }
}

static void limit(int pid, int name)
{
    static const int which[] = {RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_CPU};
    struct rlimit none = {0, 0};

    if (strcmp(names[name], "dump") != 0 && strcmp(names[name], "restore") != 0)
        return;
    count[name].tried++;
    count[name].held += holds(pid);
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++)
        prlimit(pid, (__rlimit_resource_t)which[i], &none, NULL);
}

static void disturb(int pid, int name, bool end)
{
    const struct timespec while_stopped = {0, 50000000}, between = {0, 5000000};
    static int last, times;

    times = pid == last ? times + 1 : 0;
    last = pid;
    if (times >= 20)
        return;
    if (strcmp(names[name], "dump") != 0 && strcmp(names[name], "restore") != 0)
        return;
    count[name].tried++;
    count[name].held += holds(pid);
    if (kill(pid, end ? SIGKILL : SIGSTOP) < 0 || end)
        return;
    nanosleep(&while_stopped, NULL);
    kill(pid, SIGCONT);
    nanosleep(&between, NULL);
}

static bool ours(int pid, const char *group)
{
    char text[4096];

    if (pid > MAX_PID || pid == getpid())
        return false;
    if (strncmp(group, "pid=", 4) == 0)
        return pid == (int)strtol(group + 4, NULL, 10);
    if (!known[pid]) {
        if (slurp(pid, "cgroup", text, sizeof text) <= 0)
            return false;
        known[pid] = strstr(text, group) ? 1 : 2;
    }
    return known[pid] == 1;
}

static void round_of(DIR *proc, const char *group, char mode)
{
    struct dirent *e;

    rewinddir(proc);
    while ((e = readdir(proc))) {
        int pid, name;

        if (!isdigit((unsigned char)*e->d_name))
            continue;
        pid = (int)strtol(e->d_name, NULL, 10);
        if (!ours(pid, group) || (name = name_of(pid)) < 0)
            continue;
        if (mode == 't')
            attack(pid, name);
        else if (mode == 'l')
            limit(pid, name);
        else
            disturb(pid, name, mode == 'k');
    }
}

int main(int argc, char **argv)
{
    DIR *proc = opendir("/proc");
    unsigned long rounds = 0;

    if (argc < 4 || !proc || !(report = fopen(argv[3], "ae"))) {
        fprintf(stderr, "usage: spin GROUP FILE REPORT [take|limits|stop|kill]\n");
        return 2;
    }
    alarm(300); /* nobody is left who could make FILE */
    fprintf(report, "started\n");
    fflush(report);
    while (access(argv[2], F_OK) < 0) {
        round_of(proc, argv[1], argc > 4 ? *argv[4] : 't');
        /* A number may be another process's by now. */
        if (++rounds % 32 == 0)
            memset(known, 0, sizeof known);
    }
    for (size_t i = 0; i < NNAMES; i++)
        fprintf(report, "%s tried %lu held %lu\n", names[i], count[i].tried, count[i].held);
    fprintf(report, "breaches %lu\n", breaches);
    return fclose(report) == 0 ? 0 : 1;
}
