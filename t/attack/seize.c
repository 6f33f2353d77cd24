/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * seize - a process of a user that waits for another one of his uid, stops it and tries to get hold of it: whoever gets
 * hold of a process runs what he likes in it, also where he could start none himself (outside of his jobs).
 *
 *   seize WORD FILE REPORT
 *
 * WORD: an argument of the process.  FILE: ends when it exists.
 * REPORT: "started"; for each process "met PID" when all has been tried on it, and a line "BREACH: HOW" for each success.
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *report;

static bool has_argument(int pid, const char *word)
{
    char text[4096];
    ssize_t n = slurp(pid, "cmdline", text, sizeof text);

    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(text + i) + 1)
        if (strcmp(text + i, word) == 0)
            return true;
    return false;
}

static bool is_mine(int pid)
{
    char text[4096], *uid;

    return slurp(pid, "status", text, sizeof text) > 0 && (uid = strstr(text, "\nUid:\t")) &&
           strtoul(uid + 6, NULL, 10) == getuid();
}

static void tell(const char *how, bool success)
{
    if (success)
        fprintf(report, "BREACH: %s\n", how);
}

static void attack(int pid)
{
    static const char *const files[] = {"mem", "environ", "maps", "fd/0", "syscall"};
    char path[64], byte;
    struct iovec mine = {&byte, 1}, theirs = {(void *)(uintptr_t)0x1000, 1};
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd;
    ssize_t n;

    kill(pid, SIGSTOP);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        /* Some are checked when they are read. */
        n = fd < 0 ? -1 : read(fd, &byte, 1);
        tell(path, n > 0 || (fd >= 0 && (i == 0 || i == 3)));
        if (fd >= 0)
            close(fd);
    }
    n = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
    tell("process_vm_readv", n == 1 || errno == EFAULT);
    fd = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);
    tell("pidfd_getfd", fd >= 0);
    if (fd >= 0)
        close(fd);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
        tell("ptrace", true);
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    kill(pid, SIGCONT);
    if (pidfd >= 0)
        close(pidfd);
    fprintf(report, "met %d\n", pid);
    fflush(report);
}

int main(int argc, char **argv)
{
    DIR *proc = opendir("/proc");
    int last = 0;

    if (argc != 4 || !proc || !(report = fopen(argv[3], "ae"))) {
        fprintf(stderr, "usage: seize WORD FILE REPORT\n");
        return 2;
    }
    alarm(300); /* nobody is left who could make FILE */
    fprintf(report, "started\n");
    fflush(report);
    while (access(argv[2], F_OK) < 0) {
        struct dirent *e;

        rewinddir(proc);
        while ((e = readdir(proc))) {
            int pid = (int)strtol(e->d_name, NULL, 10);

            if (!isdigit((unsigned char)*e->d_name) || pid == getpid() || pid == last ||
                !has_argument(pid, argv[1]) || !is_mine(pid))
                continue;
            attack(pid);
            last = pid;
        }
    }
    return fclose(report) == 0 ? 0 : 1;
}
