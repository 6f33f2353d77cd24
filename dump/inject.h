/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * inject - make a thread that we trace and that stands still run system calls for us, and leave no trace of it.
 *
 * Nothing is written into its memory: the thread is sent to an instruction that is there already, the system
 * call in the vDSO, and is stopped by the kernel when the call returns (PTRACE_SYSCALL), before it runs
 * anything behind it.  All signals are blocked meanwhile.  inject_end() brings it back to the kind of stop in which
 * CRIU left it (PTRACE_EVENT_STOP) with registers and mask as they were, so that the kernel restarts an interrupted call
 * as if nothing had been; and the pointer to a restartable sequence, which the kernel clears in passing, is put back.
 *
 * PTRACE_O_EXITKILL is set in between: a tracer that is killed just then takes the thread with it.  Better
 * no job than one that goes on with the wrong registers.
 *
 * For x86-64 and 64-bit ARM.  Elsewhere inject_site() finds nothing.
 */
#ifndef DUMP_INJECT_H
#define DUMP_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct inject {
    pid_t tid;
    uint64_t site;
    struct user_regs_struct saved;
    uint64_t mask;
    uint64_t rseq_at, rseq_cs; /* where the pointer is and what it was; 0: none */
    bool stop_again;           /* a SIGSTOP came and was held back */
};

/* The address of a system call instruction in the vDSO of process pid, which lies at [start, end) there; 0: none
 * found, or this is no architecture that we know. */
uint64_t inject_site(pid_t pid, uint64_t start, uint64_t end);

/* The same, where nothing is known of process pid: its vDSO is looked for in /proc/PID/maps. */
uint64_t inject_find_site(pid_t pid);

/* The thread stands still, traced by the calling thread (PTRACE_SEIZE).  options: of ptrace, besides SYSGOOD and
 * EXITKILL.  -1 with errno: it was not touched (ENOEXEC: it runs code of another word size). */
int inject_begin(struct inject *in, pid_t tid, uint64_t site, unsigned options);

/* Run one call with up to five arguments.  Its result, or -errno; INJECT_LOST when the thread has ended or cannot be
 * controlled any more.  born (may be NULL): the pid of the child that it made, as we number it; the child is
 * traced as well and its first stop is waiting to be taken. */
long inject_call(struct inject *in, pid_t *born, long nr, const uint64_t args[5]);

/* As it was, traced with PTRACE_O_TRACESYSGOOD only, as CRIU needs it.  -1: lost. */
int inject_end(struct inject *in);

/* Leave it to itself in one last call, detached, with the signals in mask blocked.  -1: lost. */
int inject_leave_in(struct inject *in, uint64_t mask, long nr, const uint64_t args[5]);

/* Words just below its stack, out of any red zone, through which calls can be given structures: read them first, and put
 * them back at the end.  -1 with errno: there is no memory. */
#define INJECT_WORDS 4
uint64_t inject_words_at(const struct inject *in);
int inject_words_get(const struct inject *in, uint64_t words[INJECT_WORDS]);
int inject_words_put(const struct inject *in, const uint64_t words[INJECT_WORDS]);

/* Wait for the first stop of a child that was born under our eyes (0), or -1. */
int inject_wait_born(pid_t pid);

#define INJECT_LOST (-4096L)

#endif
