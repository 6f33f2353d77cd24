/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/vectors.h"

#if defined(__aarch64__)

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* linux/elf.h and linux/ptrace.h, which do not go together with the C library's */
#define NT_ARM_SVE 0x405
#define NT_ARM_SSVE 0x40b
#define NT_ARM_ZA 0x40c
#define REGS_SVE 1u /* flags: there is more than what NEON has */

struct vector_header { /* of each of the three */
    uint32_t size, max_size;
    uint16_t vl, max_vl, flags, reserved;
};

/* False: the processor or the kernel has no such registers. */
static int header_of(int tid, unsigned long kind, struct vector_header *h)
{
    struct iovec iov = {h, sizeof *h};

    return ptrace(PTRACE_GETREGSET, tid, (void *)kind, &iov) == 0 && iov.iov_len == sizeof *h;
}

static const char *lost(int tid)
{
    struct vector_header h;

    if (header_of(tid, NT_ARM_SVE, &h) && h.flags & REGS_SVE)
        return "SVE";
    if (header_of(tid, NT_ARM_SSVE, &h) && h.flags & REGS_SVE)
        return "streaming SVE";
    /* ZA is there behind the header while it is switched on. */
    if (header_of(tid, NT_ARM_ZA, &h) && h.size > sizeof h)
        return "SME";
    return NULL;
}

int vectors_check(int pid)
{
    char path[40];
    struct dirent *e;
    DIR *d;
    int rc = 0;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    d = opendir(path);
    if (!d && errno == ENOENT)
        return 0; /* CRIU finds out what became of it */
    if (!d) {
        fprintf(stderr, "Error (ckpt-criu): %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (rc == 0 && (e = readdir(d))) {
        const int tid = (int)strtol(e->d_name, NULL, 10);
        const char *what = tid > 0 ? lost(tid) : NULL;

        if (what) {
            fprintf(stderr,
                    "Error (ckpt-criu): thread %d of process %d computes with %s registers\n", tid,
                    pid, what);
            rc = -1;
        }
    }
    closedir(d);
    return rc;
}

#else

int vectors_check(int pid)
{
    (void)pid;
    return 0;
}

#endif
