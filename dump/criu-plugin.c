/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ckpt-criu.so - CRIU plugin: a job that runs on after a checkpoint must not notice it.
 *
 * A thread that CRIU stops inside nanosleep, poll, sem_timedwait and the like has -ERESTART_RESTARTBLOCK as
 * its result: the kernel would go on with restart_syscall().  CRIU 4.2 runs its own code in the thread, which
 * loses the kernel's restart data, and so makes it return EINTR without any signal.  Programs do not
 * expect that.  The hook CHECKPOINT_DEVICES runs when every thread is stopped and before anything is
 * injected; there the result becomes -ERESTARTNOINTR, and the call is made again with its own arguments
 * (a relative sleep starts over).  Should the dump fail before CRIU touches the thread, the kernel does
 * the same with that value.
 *
 * A thread that has been stopped and continued (scontrol suspend) sleeps in restart_syscall() itself, and no register
 * tells any more which call that goes on with; its arguments are still there.  The number is then read from the
 * instruction in front of the call, where compilers and the C library load it (mov $NR, %eax; syscall).  Where
 * it is not found there, the call returns EINTR, as CRIU has it.
 *
 * On 64-bit ARM the kernel has put program counter and x0 back by the time a tracer looks, so the call is
 * repeated without our help.
 *
 * And a checkpoint must not notice that the job runs on.  CRIU hands memory to our pipes by reference
 * (vmsplice, splice): what still lies in a pipe when the job goes on changes with the job's memory, and
 * the image is torn (measured: 7 of 36).  The plugin's exit function is the last thing that CRIU calls before
 * it lets the tree go; there we tell the helper so and wait until it has emptied all pipes.  A helper
 * that is gone reads no pipe and commits no checkpoint, so its silence is no reason to wait.
 *
 * Where a job could not go on as it was, there is no checkpoint: vectors.h.
 *
 * Behind that, each process gets a copy-on-write snapshot where it can have one: snapshot_take.h.
 */
#include "common/criu_plugin.h"
#include "dump/snapshot_scan.h"
#include "dump/snapshot_take.h"
#include "dump/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__x86_64__)

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#define ERESTARTNOINTR 513
#define ERESTART_RESTARTBLOCK 516
#define USER_CS64 0x33

static long peek(int tid, size_t offset)
{
    return ptrace(PTRACE_PEEKUSER, tid, offset, NULL);
}

/* The number of the call that restart_syscall() goes on with, or -1 */
static long interrupted_call(int tid)
{
    static const long restartable[] = {SYS_poll, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex};
    const long rip = peek(tid, offsetof(struct user_regs_struct, rip));
    unsigned char code[sizeof(long)]; /* the last seven: b8 NR NR NR NR, 0f 05 */
    long word;
    int32_t nr;

    errno = 0;
    word = ptrace(PTRACE_PEEKTEXT, tid, rip - (long)sizeof word, NULL);
    if (errno != 0)
        return -1;
    memcpy(code, &word, sizeof word);
    if (code[1] != 0xb8 || code[6] != 0x0f || code[7] != 0x05)
        return -1;
    memcpy(&nr, code + 2, sizeof nr);
    for (size_t i = 0; i < sizeof restartable / sizeof restartable[0]; i++)
        if (nr == restartable[i])
            return nr;
    return -1;
}

static void mend_thread(int tid)
{
    long nr;

    if (peek(tid, offsetof(struct user_regs_struct, cs)) != USER_CS64 ||
        peek(tid, offsetof(struct user_regs_struct, orig_rax)) < 0 ||
        peek(tid, offsetof(struct user_regs_struct, rax)) != -ERESTART_RESTARTBLOCK)
        return;
    if (peek(tid, offsetof(struct user_regs_struct, orig_rax)) == SYS_restart_syscall) {
        nr = interrupted_call(tid);
        if (nr < 0 || ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, orig_rax),
                             (void *)(intptr_t)nr) < 0)
            return;
    }
    /* Failing leaves the thread with CRIU's EINTR: no reason to give up the checkpoint. */
    (void)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax),
                 (void *)(intptr_t)-ERESTARTNOINTR);
}

static void mend(int pid)
{
    char path[40];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    d = opendir(path);
    if (!d)
        return;
    while ((e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9')
            mend_thread((int)strtol(e->d_name, NULL, 10));
    closedir(d);
}

#else

static void mend(int pid)
{
    (void)pid;
}

#endif

static int checkpoint_devices(int pid)
{
    mend(pid);
    if (vectors_check(pid) < 0 || snapshot_take(pid) < 0)
        return -1;
    return -ENOTSUP; /* "nothing of mine": CRIU then notes no plugin in the inventory */
}

/* criu-shim.so's, when that is loaded. */
extern int (*ckpt_pagemap_scan)(int fd, void *arg) __attribute__((weak));
extern int (*ckpt_smaps)(pid_t pid) __attribute__((weak));

static int drain_fd = -1;

/* A descriptor by the name of an environment variable, or -1. */
static int inherited(const char *name)
{
    const char *number = getenv(name);
    int fd = number && *number >= '4' && *number <= '9' && !number[1] ? *number - '0' : -1;

    return fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

/* Before CRIU has stopped anything: is all ready for it?  Where it never will be, the socket ends. */
static bool wanted(void)
{
    ssize_t n;
    char c;

    do
        n = recv(drain_fd, &c, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static int plugin_init(int stage)
{
    int fd;

    if (stage != CRIU_STAGE_DUMP)
        return 0;
    drain_fd = inherited("CKPT_DRAIN_FD");
    /* Without it the image may be torn: better none. */
    if (drain_fd < 0 || !wanted())
        return -1;
    fd = inherited("CKPT_SNAPSHOT_FD");
    if (&ckpt_pagemap_scan && &ckpt_smaps) {
        ckpt_pagemap_scan = snapshot_scan;
        ckpt_smaps = snapshot_take_smaps;
        snapshot_take_init(fd);
    }
    return 0;
}

static void plugin_exit(int stage, int ret)
{
    char c = 'd';

    if (stage == CRIU_STAGE_DUMP)
        snapshot_take_fini();
    if (stage != CRIU_STAGE_DUMP || ret != 0 || drain_fd < 0)
        return;
    if (send(drain_fd, &c, 1, MSG_NOSIGNAL) == 1)
        while (recv(drain_fd, &c, 1, 0) < 0 && errno == EINTR)
            ;
    close(drain_fd);
    drain_fd = -1;
}

struct plugin_desc CR_PLUGIN_DESC = {
    .name = "ckpt-criu",
    .init = plugin_init,
    .exit = plugin_exit,
    .version = CRIU_PLUGIN_VERSION,
    .max_hooks = CRIU_HOOK_CHECKPOINT_DEVICES + 1,
    .hooks = {[CRIU_HOOK_CHECKPOINT_DEVICES] = (void *)(uintptr_t)checkpoint_devices},
};
