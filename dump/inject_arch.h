/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * inject_arch - what differs between the architectures in inject.c.
 *
 * Sources: the kernel's arch/x86/include/asm/syscall.h and arch/arm64/kernel/signal.c.
 */
#ifndef DUMP_INJECT_ARCH_H
#define DUMP_INJECT_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/user.h>

#if defined(__x86_64__)

#define INJECT_STEP 1
#define USER_CS64 0x33
#define ARCH_TOP (UINT64_C(1) << 47) /* of what a process has mapped by default */
#define FLAG_TRAP 0x100u
static const uint8_t inject_insn[] = {0x0f, 0x05}; /* syscall */

static inline bool arch_native(const struct user_regs_struct *r)
{
    return r->cs == USER_CS64;
}

/* orig_rax -1: the kernel must not take it for an interrupted call that it should restart. */
static inline void arch_call(struct user_regs_struct *r, uint64_t site, long nr,
                             const uint64_t a[5])
{
    r->rip = site;
    r->rax = (unsigned long long)nr;
    r->orig_rax = UINT64_MAX;
    r->eflags &= ~(unsigned long long)FLAG_TRAP;
    r->rdi = a[0];
    r->rsi = a[1];
    r->rdx = a[2];
    r->r10 = a[3];
    r->r8 = a[4];
    r->r9 = 0;
}

static inline long arch_result(const struct user_regs_struct *r)
{
    return (long)r->rax;
}

static inline uint64_t arch_stack(const struct user_regs_struct *r)
{
    return r->rsp;
}

#elif defined(__aarch64__)

#define INJECT_STEP 4
#define ARCH_TOP (UINT64_C(1) << 48)
#define PSTATE_BTYPE 0xc00u
static const uint8_t inject_insn[] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */

static inline bool arch_native(const struct user_regs_struct *r)
{
    return !(r->pstate & 0x10); /* AArch32 state */
}

static inline void arch_call(struct user_regs_struct *r, uint64_t site, long nr,
                             const uint64_t a[5])
{
    r->pc = site;
    /* Stopped between an indirect branch and its target, the thread may go on only with a landing pad (BTI). */
    r->pstate &= ~(uint64_t)PSTATE_BTYPE;
    r->regs[8] = (unsigned long long)nr;
    for (int i = 0; i < 5; i++)
        r->regs[i] = a[i];
    r->regs[5] = 0;
}

static inline long arch_result(const struct user_regs_struct *r)
{
    return (long)r->regs[0];
}

static inline uint64_t arch_stack(const struct user_regs_struct *r)
{
    return r->sp;
}

#else
#error "inject: this architecture is not known yet"
#endif

#endif
