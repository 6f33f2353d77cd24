/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/inject.h"

#include "dump/inject_arch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not in every C library's header yet. */
#define GETSIGMASK 0x420a
#define SETSIGMASK 0x420b
#define GET_RSEQ_CONFIGURATION 0x420f
#define GET_SYSCALL_INFO 0x420e
#define EVENT_STOP 128
#define O_EXITKILL (1u << 20)

#define OP_EXIT 2 /* PTRACE_SYSCALL_INFO_EXIT */

#define VDSO_MAX (1u << 16)
#define BELOW_STACK 512
#define TRIES 16
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

/* linux/ptrace.h and sys/ptrace.h do not go together. */
struct rseq_configuration {
    uint64_t pointer;
    uint32_t size, signature, flags, pad;
};
#define RSEQ_CS_OFFSET 8 /* struct rseq: cpu_id_start, cpu_id, rseq_cs */

/* glibc declares the request as an enum. */
static long trace(unsigned request, pid_t tid, uintptr_t addr, uintptr_t data)
{
    return ptrace((enum __ptrace_request)request, tid, (void *)addr, (void *)data);
}

static int get_regs(pid_t tid, struct user_regs_struct *r)
{
    struct iovec iov = {r, sizeof *r};

    return trace(PTRACE_GETREGSET, tid, NT_PRSTATUS, (uintptr_t)&iov) < 0 ? -1 : 0;
}

static int set_regs(pid_t tid, const struct user_regs_struct *r)
{
    struct iovec iov = {(void *)(uintptr_t)r, sizeof *r};

    return trace(PTRACE_SETREGSET, tid, NT_PRSTATUS, (uintptr_t)&iov) < 0 ? -1 : 0;
}

uint64_t inject_site(pid_t pid, uint64_t start, uint64_t end)
{
    char path[40];
    uint8_t *code;
    uint64_t found = 0;
    ssize_t n;
    int fd;

    if (end <= start || end - start > VDSO_MAX)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    code = malloc(end - start);
    n = code ? pread(fd, code, end - start, (off_t)start) : -1;
    close(fd);
    for (ssize_t i = 0; i + (ssize_t)sizeof inject_insn <= n && !found; i += INJECT_STEP)
        if (memcmp(code + i, inject_insn, sizeof inject_insn) == 0)
            found = start + (uint64_t)i;
    free(code);
    return found;
}

uint64_t inject_find_site(pid_t pid)
{
    char path[40], line[512];
    unsigned long long start, end;
    uint64_t site = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    while (!site && fgets(line, sizeof line, f)) {
        char *at = strstr(line, " [vdso]\n");

        if (!at)
            continue;
        start = strtoull(line, &at, 16);
        end = *at == '-' ? strtoull(at + 1, NULL, 16) : 0;
        site = inject_site(pid, start, end);
    }
    fclose(f);
    return site;
}

/* The kernel clears the pointer as soon as it sees the thread outside of the sequence. */
static void save_rseq(struct inject *in)
{
    struct rseq_configuration c = {0};
    long word;

    in->rseq_at = in->rseq_cs = 0;
    if (trace(GET_RSEQ_CONFIGURATION, in->tid, sizeof c, (uintptr_t)&c) < (long)sizeof c ||
        !c.pointer)
        return;
    errno = 0;
    word = trace(PTRACE_PEEKDATA, in->tid, c.pointer + RSEQ_CS_OFFSET, 0);
    if (errno || !word)
        return;
    in->rseq_at = c.pointer + RSEQ_CS_OFFSET;
    in->rseq_cs = (uint64_t)word;
}

int inject_begin(struct inject *in, pid_t tid, uint64_t site, unsigned options)
{
    uint64_t all = UINT64_MAX;

    memset(in, 0, sizeof *in);
    in->tid = tid;
    in->site = site;
    if (get_regs(tid, &in->saved) < 0)
        return -1;
    errno = ENOEXEC;
    if (!site || !arch_native(&in->saved))
        return -1;
    save_rseq(in);
    if (trace(GETSIGMASK, tid, sizeof in->mask, (uintptr_t)&in->mask) < 0 ||
        trace(PTRACE_SETOPTIONS, tid, 0, options | PTRACE_O_TRACESYSGOOD | O_EXITKILL) < 0)
        return -1;
    if (trace(SETSIGMASK, tid, sizeof all, (uintptr_t)&all) < 0) {
        (void)trace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACESYSGOOD);
        return -1;
    }
    return 0;
}

/* The status of its next stop, or -1 when it has none any more. */
static int next_stop(pid_t tid)
{
    int status;

    while (waitpid(tid, &status, __WALL) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSTOPPED(status) ? status : -1;
}

static bool at_exit(pid_t tid)
{
    uint8_t op[128];

    return trace(GET_SYSCALL_INFO, tid, sizeof op, (uintptr_t)op) > 0 && op[0] == OP_EXIT;
}

/* On to the end of the call that the registers ask for. */
static int run_call(struct inject *in, pid_t *born)
{
    for (;;) {
        int status, event;

        if (trace(PTRACE_SYSCALL, in->tid, 0, 0) < 0)
            return -1;
        status = next_stop(in->tid);
        if (status < 0)
            return -1;
        event = status >> 16;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (at_exit(in->tid))
                return 0;
        } else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK) {
            unsigned long pid = 0;

            if (born && trace(PTRACE_GETEVENTMSG, in->tid, 0, (uintptr_t)&pid) == 0)
                *born = (pid_t)pid;
        } else if (event == 0) {
            /* Only SIGSTOP gets through; sent again at the end. */
            in->stop_again = true;
        }
    }
}

long inject_call(struct inject *in, pid_t *born, long nr, const uint64_t args[5])
{
    for (int i = 0; i < TRIES; i++) {
        struct user_regs_struct r = in->saved;
        long result;

        arch_call(&r, in->site, nr, args);
        if (set_regs(in->tid, &r) < 0 || run_call(in, born) < 0 || get_regs(in->tid, &r) < 0)
            return INJECT_LOST;
        result = arch_result(&r);
        if (result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK)
            return result;
    }
    return -EINTR;
}

/* From the stop at the end of a call into the kind of stop in which CRIU had it: there the kernel looks at an
 * interrupted call again. */
static int back_to_event_stop(struct inject *in)
{
    int status;

    if (trace(PTRACE_INTERRUPT, in->tid, 0, 0) < 0)
        return -1;
    do {
        if (trace(PTRACE_CONT, in->tid, 0, 0) < 0)
            return -1;
        status = next_stop(in->tid);
        if (status < 0)
            return -1;
        if (status >> 16 == 0)
            in->stop_again = true;
    } while (status >> 16 != EVENT_STOP);
    return 0;
}

int inject_end(struct inject *in)
{
    if (back_to_event_stop(in) < 0 || set_regs(in->tid, &in->saved) < 0 ||
        trace(SETSIGMASK, in->tid, sizeof in->mask, (uintptr_t)&in->mask) < 0)
        return -1;
    if (in->rseq_at && trace(PTRACE_POKEDATA, in->tid, in->rseq_at, in->rseq_cs) < 0)
        return -1;
    if (trace(PTRACE_SETOPTIONS, in->tid, 0, PTRACE_O_TRACESYSGOOD) < 0)
        return -1;
    if (in->stop_again)
        kill(in->tid, SIGSTOP);
    return 0;
}

int inject_leave_in(struct inject *in, uint64_t mask, long nr, const uint64_t args[5])
{
    struct user_regs_struct r = in->saved;

    arch_call(&r, in->site, nr, args);
    if (set_regs(in->tid, &r) < 0 ||
        trace(SETSIGMASK, in->tid, sizeof mask, (uintptr_t)&mask) < 0 ||
        trace(PTRACE_DETACH, in->tid, 0, 0) < 0)
        return -1;
    return 0;
}

uint64_t inject_words_at(const struct inject *in)
{
    return (arch_stack(&in->saved) - BELOW_STACK) & ~UINT64_C(15);
}

int inject_words_get(const struct inject *in, uint64_t words[INJECT_WORDS])
{
    for (unsigned i = 0; i < INJECT_WORDS; i++) {
        errno = 0;
        words[i] = (uint64_t)trace(PTRACE_PEEKDATA, in->tid, inject_words_at(in) + 8 * i, 0);
        if (errno)
            return -1;
    }
    return 0;
}

int inject_words_put(const struct inject *in, const uint64_t words[INJECT_WORDS])
{
    for (unsigned i = 0; i < INJECT_WORDS; i++)
        if (trace(PTRACE_POKEDATA, in->tid, inject_words_at(in) + 8 * i, words[i]) < 0)
            return -1;
    return 0;
}

int inject_wait_born(pid_t pid)
{
    return next_stop(pid) < 0 ? -1 : 0;
}
