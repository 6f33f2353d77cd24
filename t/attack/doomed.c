/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * doomed - a criu that gets SIGKILL in the middle of its work: at the Nth ptrace() call that it makes in a dump.
 *
 * To be put in criu's place, with a file NAME.conf beside it that says "N CRIU FIRED": the real one, and a file that is
 * made when it has fired.  N 0: no harm is done.  Linked statically: what is preloaded is for criu.  It may be written anew between two dumps.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)

static long count_calls(pid_t pid, long wanted)
{
    int status, entering = 1;
    long n = 0;

    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        int sig = WSTOPSIG(status);

        if (sig == SYSCALL_STOP) {
            struct __ptrace_syscall_info info;

            entering = ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0 &&
                       info.op == PTRACE_SYSCALL_INFO_ENTRY;
            if (entering && info.entry.nr == SYS_ptrace && ++n == wanted) {
                kill(pid, SIGKILL);
                return n;
            }
            sig = 0;
        } else if (status >> 16) {
            sig = 0;
        }
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)sig) < 0)
            break;
    }
    return n;
}

static void doom(const char *fired, long wanted)
{
    pid_t pid = getpid(), child;
    int ready[2];
    char c;

    if (pipe2(ready, O_CLOEXEC) < 0 || (child = fork()) < 0)
        _exit(120);
    if (child == 0) {
        if (fork() > 0)
            _exit(0);
        close(ready[0]);
        for (int fd = 0; fd < 20; fd++) /* what criu holds must end with criu */
            if (fd != ready[1])
                close(fd);
        if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD) < 0 ||
            ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
            _exit(1);
        close(ready[1]);
        if (count_calls(pid, wanted) == wanted)
            close(open(fired, O_WRONLY | O_CREAT, 0644));
        _exit(0);
    }
    close(ready[1]);
    waitpid(child, NULL, 0);
    if (read(ready[0], &c, 1) < 0) /* interrupted, which is what is waited for */
        errno = 0;
    close(ready[0]);
}

int main(int argc, char **argv)
{
    char path[4096], criu[4096], fired[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 6);
    long wanted = 0;
    FILE *f;

    if (n <= 0)
        return 120;
    memcpy(path + n, ".conf", 6);
    f = fopen(path, "re");
    if (!f || fscanf(f, "%ld %4095s %4095s", &wanted, criu, fired) != 3)
        return 120;
    fclose(f);
    if (wanted > 0 && argc > 1 && !strcmp(argv[1], "dump"))
        doom(fired, wanted);
    argv[0] = criu;
    execv(criu, argv);
    return 121;
}
