/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * special - what snapped.c has not: processes in states in which a snapshot, or anything else that makes them run
 * calls, could be noticed.
 *
 *   special STOP KIND
 *
 * hugetlb  private huge pages of hugetlbfs beside ordinary memory
 * hugeshm  shared ones
 * vfork    in the middle of vfork(), over and over
 * signals  with signals blocked, pending for the thread and for the process, queued with values
 * rseq     threads within restartable sequences all the time: no update of a processor's counter may be lost
 * stepped  a child that its parent lets run one instruction after the other: nobody else can stop it
 */
#include "pages.h"
#include "prog.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGES (16u << 8) /* 16 MiB */
#define HUGE_BYTES (4u << 20)

static void work(uint64_t *mem, uint64_t pages)
{
    for (uint64_t page = 0; page < pages; page++) {
        uint64_t *p = mem + page * WORDS;

        check_page(p, page);
        fill(p, page, p[0] + 1);
    }
}

static uint64_t *make(uint64_t pages, int flags)
{
    uint64_t *mem = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED) {
        if (!(flags & MAP_HUGETLB))
            prog_broken("mmap: %s", strerror(errno));
        prog_print("cannot have huge pages: %s\n", strerror(errno));
        exit(0);
    }
    for (uint64_t i = 0; i < pages; i++)
        fill(mem + i * WORDS, i, 0);
    return mem;
}

static void need(int rc, const char *what)
{
    if (rc < 0)
        prog_broken("%s: %s", what, strerror(errno));
}

/* ---- vfork */

static void do_vforks(void)
{
    for (int i = 0; i < 4; i++) {
        int status;
        pid_t pid = vfork();

        need(pid, "vfork");
        if (pid == 0) {
            struct timespec t = {0, 15000000};

            /* Interrupted or not: it is not this call that is tested. */
            syscall(SYS_nanosleep, &t, NULL);
            _exit(7);
        }
        while (waitpid(pid, &status, 0) < 0)
            if (errno != EINTR)
                prog_broken("waitpid: %s", strerror(errno));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
            prog_broken("a child of vfork: status %x", (unsigned)status);
    }
}

/* ---- signals */

static sigset_t blocked, pending;

static void set_signals(void)
{
    const union sigval v = {.sival_int = 4711};

    sigemptyset(&blocked);
    for (int sig = 1; sig <= 64; sig += 3)
        sigaddset(&blocked, sig);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGRTMIN + 2);
    need(sigprocmask(SIG_SETMASK, &blocked, NULL), "sigprocmask");
    need((int)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), SIGUSR1), "tgkill");
    need(kill(getpid(), SIGUSR2), "kill");
    for (int i = 0; i < 3; i++)
        need(sigqueue(getpid(), SIGRTMIN + 2, v), "sigqueue");
    /* As the kernel has them, without those that cannot be blocked. */
    need(sigprocmask(SIG_SETMASK, NULL, &blocked), "sigprocmask");
    need(sigpending(&pending), "sigpending");
}

static void check_signals(void)
{
    sigset_t now;

    need(sigprocmask(SIG_SETMASK, NULL, &now), "sigprocmask");
    for (int sig = 1; sig <= 64; sig++)
        if (sigismember(&now, sig) != sigismember(&blocked, sig))
            prog_broken("signal %d is %s", sig, sigismember(&now, sig) ? "blocked" : "not blocked");
    need(sigpending(&now), "sigpending");
    for (int sig = 1; sig <= 64; sig++)
        if (sigismember(&now, sig) != sigismember(&pending, sig))
            prog_broken("signal %d is %s", sig, sigismember(&now, sig) ? "pending" : "not pending");
}

static void take_signals(void)
{
    const struct timespec now = {0, 0};
    siginfo_t info;

    for (int i = 0; i < 3; i++) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 2);
        if (sigtimedwait(&set, &info, &now) != SIGRTMIN + 2 || info.si_value.sival_int != 4711)
            prog_broken("queued signal %d: value %d", i, info.si_value.sival_int);
    }
}

/* ---- restartable sequences */

#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

#define CPUS 256
#define SEQUENCES 4

static volatile int ended;
static struct {
    volatile uint64_t n;
    uint64_t pad[7];
} counter[CPUS];
static uint64_t committed[SEQUENCES];

/* counter[cpu]++ with a long way between reading and writing.  1: done; 0: begin anew. */
static int count_once(struct rseq *r, uint64_t cpu)
{
    volatile uint64_t *p = &counter[cpu].n;

    __asm__ goto(".pushsection __rseq_cs, \"aw\"\n\t"
                 ".balign 32\n\t"
                 "3: .long 0, 0\n\t"
                 ".quad 1f, 2f - 1f, 4f\n\t"
                 ".popsection\n\t"
                 "leaq 3b(%%rip), %%rax\n\t"
                 "movq %%rax, %c[cs](%[r])\n\t"
                 "1:\n\t"
                 "cmpl %k[cpu], %c[id](%[r])\n\t"
                 "jne 4f\n\t"
                 "movq (%[p]), %%rax\n\t"
                 "movl $3000, %%ecx\n\t"
                 "5: pause\n\t"
                 "decl %%ecx\n\t"
                 "jnz 5b\n\t"
                 "incq %%rax\n\t"
                 "movq %%rax, (%[p])\n\t"
                 "2:\n\t"
                 ".pushsection __rseq_failure, \"ax\"\n\t"
                 ".byte 0x0f, 0xb9, 0x3d\n\t"
                 ".long 0x53053053\n\t"
                 "4: jmp %l[aborted]\n\t"
                 ".popsection\n\t"
                 :
                 : [r] "r"(r), [cpu] "r"((uint32_t)cpu), [p] "r"(p),
                   [cs] "i"(offsetof(struct rseq, rseq_cs)), [id] "i"(offsetof(struct rseq, cpu_id))
                 : "rax", "rcx", "memory", "cc"
                 : aborted);
    return 1;
aborted:
    return 0;
}

static void *count(void *arg)
{
    uint64_t *mine = arg;
    struct rseq *r = (struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);

    while (!ended) {
        uint32_t cpu = *(volatile uint32_t *)&r->cpu_id;

        if (cpu >= CPUS)
            prog_broken("restartable sequences: processor %u", cpu);
        *mine += (uint64_t)count_once(r, cpu);
    }
    return NULL;
}

static pthread_t sequences[SEQUENCES];

static void start_sequences(void)
{
    if (!__rseq_size) {
        prog_print("cannot have restartable sequences\n");
        exit(0);
    }
    for (int i = 0; i < SEQUENCES; i++)
        need(pthread_create(&sequences[i], NULL, count, &committed[i]) ? -1 : 0, "pthread_create");
}

static void end_sequences(void)
{
    uint64_t done = 0, counted = 0;

    ended = 1;
    for (int i = 0; i < SEQUENCES; i++) {
        pthread_join(sequences[i], NULL);
        done += committed[i];
    }
    for (int i = 0; i < CPUS; i++)
        counted += counter[i].n;
    if (done != counted || done == 0)
        prog_broken("%llu sequences, but %llu counted", (unsigned long long)done,
                    (unsigned long long)counted);
}

#else

static void start_sequences(void)
{
    prog_print("cannot have restartable sequences\n");
    exit(0);
}

static void end_sequences(void)
{
}

#endif

/* ---- single steps */

static pid_t stepped;

static void start_stepped(void)
{
    stepped = fork();
    need(stepped, "fork");
    if (stepped == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        for (volatile unsigned long n = 0;; n++)
            ;
    }
    need(waitpid(stepped, NULL, 0), "waitpid");
}

static void step(void)
{
    for (int i = 0; i < 100; i++) {
        int status;

        need((int)ptrace(PTRACE_SINGLESTEP, stepped, NULL, NULL), "PTRACE_SINGLESTEP");
        need(waitpid(stepped, &status, 0), "waitpid");
        if (!WIFSTOPPED(status) || status >> 8 != SIGTRAP)
            prog_broken("after a step: status %x", (unsigned)status);
    }
}

int main(int argc, char **argv)
{
    uint64_t *mem, *more = NULL;
    const char *kind = argc > 2 ? argv[2] : "";

    prog_need(argc, 2, "special STOP KIND");
    mem = make(PAGES, MAP_PRIVATE);
    if (!strcmp(kind, "hugetlb"))
        more = make(HUGE_BYTES / 4096, MAP_PRIVATE | MAP_HUGETLB);
    else if (!strcmp(kind, "hugeshm"))
        more = make(HUGE_BYTES / 4096, MAP_SHARED | MAP_HUGETLB);
    else if (!strcmp(kind, "signals"))
        set_signals();
    else if (!strcmp(kind, "rseq"))
        start_sequences();
    else if (!strcmp(kind, "stepped"))
        start_stepped();
    else if (strcmp(kind, "vfork") != 0)
        prog_broken("no kind %s", kind);
    prog_print("start %s\n", kind);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        work(mem, PAGES);
        if (more)
            work(more, HUGE_BYTES / 4096);
        if (!strcmp(kind, "vfork"))
            do_vforks();
        else if (!strcmp(kind, "signals"))
            check_signals();
        else if (stepped)
            step();
        prog_step(n);
        prog_sleep_ms(5);
    }
    if (!strcmp(kind, "signals"))
        take_signals();
    else if (!strcmp(kind, "rseq"))
        end_sequences();
    if (stepped)
        kill(stepped, SIGKILL);
    work(mem, PAGES);
    prog_print("result ok\n");
    return 0;
}
