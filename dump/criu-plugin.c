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
 * On 64-bit ARM the kernel has put program counter and x0 back by the time a tracer looks, so the call is
 * repeated without our help.
 *
 * The descriptor's layout is that of CRIU's plugin interface 0.2.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/* CRIU refuses a plugin with more hooks than it knows itself: no more than needed. */
enum { HOOK_CHECKPOINT_DEVICES = 11, HOOK_COUNT };

struct plugin_desc {
    const char *name;
    int (*init)(int stage);
    void (*exit)(int stage, int ret);
    unsigned version;
    unsigned max_hooks;
    void *hooks[HOOK_COUNT];
};

extern struct plugin_desc CR_PLUGIN_DESC;

#if defined(__x86_64__)

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define ERESTARTNOINTR 513
#define ERESTART_RESTARTBLOCK 516
#define USER_CS64 0x33

static long peek(int tid, size_t offset)
{
    return ptrace(PTRACE_PEEKUSER, tid, offset, NULL);
}

static void mend_thread(int tid)
{
    if (peek(tid, offsetof(struct user_regs_struct, cs)) != USER_CS64 ||
        peek(tid, offsetof(struct user_regs_struct, orig_rax)) < 0 ||
        peek(tid, offsetof(struct user_regs_struct, rax)) != -ERESTART_RESTARTBLOCK)
        return;
    /* Failing leaves the thread with CRIU's EINTR: no reason to give up the checkpoint. */
    (void)ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rax),
                 (void *)(intptr_t)-ERESTARTNOINTR);
}

static int checkpoint_devices(int pid)
{
    char path[40];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    d = opendir(path);
    if (!d)
        return -ENOTSUP;
    while ((e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9')
            mend_thread((int)strtol(e->d_name, NULL, 10));
    closedir(d);
    return -ENOTSUP; /* "nothing of mine": CRIU then notes no plugin in the inventory */
}

#else

static int checkpoint_devices(int pid)
{
    (void)pid;
    return -ENOTSUP;
}

#endif

static int plugin_init(int stage)
{
    (void)stage;
    return 0;
}

static void plugin_exit(int stage, int ret)
{
    (void)stage;
    (void)ret;
}

struct plugin_desc CR_PLUGIN_DESC = {
    .name = "ckpt-criu",
    .init = plugin_init,
    .exit = plugin_exit,
    .version = 2u << 8, /* 0.2.0 */
    .max_hooks = HOOK_COUNT,
    .hooks = {[HOOK_CHECKPOINT_DEVICES] = (void *)(uintptr_t)checkpoint_devices},
};
