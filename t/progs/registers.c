/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * registers - what a copy-on-write snapshot must leave alone in the process that it is made of, beside memory.
 *
 *   registers STOP MIB
 *
 * The main thread, which has to make the snapshot, has all its vector registers full whenever it may be stopped, in its own
 * code as well as in a system call.  At each step all code that is mapped is summed up, and some memory is checked and
 * changed.  When the file STOP.close is there, it closes the only writer of a pipe of its own, whose end
 * must be seen at once ("eof"), whoever was copied meanwhile.
 */
#include "pages.h"
#include "prog.h"

#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STEP_PAGES 256
#define SPIN 4000000ul /* turns with full registers in our own code: some milliseconds */
#define HOLD_MS 15     /* and in the kernel */
#define EOF_MS 60000

/* N: a register of 16; each has a place of 32 bytes. */
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define PLACES 16

#if defined __x86_64__
#define LOAD_AVX(n) "vmovdqu 32*" #n "(%[in]), %%ymm" #n "\n\t"
#define SAVE_AVX(n) "vmovdqu %%ymm" #n ", 32*" #n "(%[out])\n\t"
#define LOAD_SSE(n) "movdqu 32*" #n "(%[in]), %%xmm" #n "\n\t"
#define SAVE_SSE(n) "movdqu %%xmm" #n ", 32*" #n "(%[out])\n\t"
#define CLOBBERED                                                                                  \
    "rcx", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",  \
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define HOLD(LOAD, SAVE)                                                                           \
    __asm__ volatile(ALL(LOAD) "1: dec %[spin]\n\tjnz 1b\n\tsyscall\n\t" ALL(SAVE)                 \
                     : "+a"(rc), [spin] "+&r"(spin)                                                \
                     : [in] "r"(in), [out] "r"(out), "D"(t), "S"(NULL)                             \
                     : CLOBBERED)

static size_t width(void)
{
    return __builtin_cpu_supports("avx") ? 32 : 16;
}

static long hold(const void *in, void *out, const struct timespec *t)
{
    unsigned long spin = SPIN;
    long rc = SYS_nanosleep;

    if (width() == 32)
        HOLD(LOAD_AVX, SAVE_AVX);
    else
        HOLD(LOAD_SSE, SAVE_SSE);
    return rc;
}
#elif defined __aarch64__
#define LOAD(n) "ldr q" #n ", [%[in], #(32 * " #n ")]\n\t"
#define SAVE(n) "str q" #n ", [%[out], #(32 * " #n ")]\n\t"

static size_t width(void)
{
    return 16;
}

static long hold(const void *in, void *out, const struct timespec *t)
{
    register long number __asm__("x8") = SYS_nanosleep;
    register uintptr_t first __asm__("x0") = (uintptr_t)t;
    register uintptr_t second __asm__("x1") = 0;
    unsigned long spin = SPIN;

    __asm__ volatile(ALL(LOAD) "1: subs %[spin], %[spin], #1\n\tb.ne 1b\n\tsvc #0\n\t" ALL(SAVE)
                     : "+r"(first), [spin] "+&r"(spin)
                     : [in] "r"(in), [out] "r"(out), "r"(second), "r"(number)
                     : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",
                       "v10", "v11", "v12", "v13", "v14", "v15");
    return (long)first;
}
#else
#error "how the vector registers of this processor are filled is not known"
#endif

static void check_registers(unsigned step)
{
    const struct timespec t = {0, HOLD_MS * 1000000};
    static unsigned char in[PLACES][32], out[PLACES][32];
    long rc;

    for (size_t i = 0; i < PLACES; i++)
        for (size_t j = 0; j < sizeof in[i]; j++)
            in[i][j] = (unsigned char)(step * 31 + i * 7 + j + 1);
    memset(out, 0, sizeof out);
    rc = hold(in, out, &t);
    if (rc != 0)
        prog_broken("nanosleep: %s", strerror((int)-rc));
    for (size_t i = 0; i < PLACES; i++)
        if (memcmp(in[i], out[i], width()) != 0)
            prog_broken("vector register %zu", i);
}

/* Of all that is mapped to be run and read, and of where it lies. */
static uint64_t sum_code(void)
{
    uint64_t sum = 0xcbf29ce484222325u;
    char line[PATH_MAX + 128];
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned areas = 0;

    while (f && fgets(line, sizeof line, f)) {
        unsigned long start, end;
        char perms[8];

        if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 || perms[0] != 'r' ||
            perms[2] != 'x')
            continue;
        areas++;
        for (const uint64_t *p = (const uint64_t *)start; p < (const uint64_t *)end; p++)
            sum = (sum ^ *p ^ (uintptr_t)p) * 0x100000001b3u;
    }
    if (f)
        fclose(f);
    if (areas < 2)
        prog_broken("only %u areas of code", areas);
    return sum;
}

static void must_end(int ends[2])
{
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    char c;

    close(ends[1]);
    ends[1] = -1;
    if (poll(&p, 1, EOF_MS) != 1)
        prog_broken("the pipe has another writer");
    if (read(ends[0], &c, 1) != 0)
        prog_broken("the pipe has not ended");
    prog_print("eof\n");
}

int main(int argc, char **argv)
{
    uint64_t pages, *mem, code;
    char closing[PATH_MAX];
    int ends[2];

    prog_need(argc, 2, "registers STOP MIB");
    pages = strtoull(argv[2], NULL, 10) * 256;
    snprintf(closing, sizeof closing, "%s.close", argv[1]);
    mem = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED || pipe(ends) < 0)
        prog_broken("mmap or pipe: %s", strerror(errno));
    for (uint64_t i = 0; i < pages; i++)
        fill(mem + i * WORDS, i, 0);
    code = sum_code();
    prog_print("start with %zu bytes a register\n", width());
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        check_registers(n);
        for (uint64_t i = 0; i < STEP_PAGES; i++) {
            const uint64_t page = ((uint64_t)n * STEP_PAGES + i) % pages;
            uint64_t *p = mem + page * WORDS;

            check_page(p, page);
            fill(p, page, p[0] + 1);
        }
        if (sum_code() != code)
            prog_broken("the code has changed");
        if (ends[1] >= 0 && prog_stop(closing))
            must_end(ends);
        prog_step(n);
    }
    for (uint64_t i = 0; i < pages; i++)
        check_page(mem + i * WORDS, i);
    prog_print("result ok\n");
    return 0;
}
