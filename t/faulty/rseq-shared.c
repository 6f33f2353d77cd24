/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * rseq-shared - a program whose rseq area lies in a shared file, where others can write it.  For tests only.
 *
 *   rseq-shared FILE
 *
 * Start with GLIBC_TUNABLES=glibc.pthread.rseq=0, so that the C library registers none.  A child rewrites the area all
 * the time.  Prints "step N pid P".
 */
#include <fcntl.h>
#include <linux/rseq.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIGNATURE 0x53053053u
#define AREA_BYTES 32u /* what every kernel takes */

static void say(const char *what, unsigned n)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s %u pid %d\n", what, n, (int)getpid());

    (void)!write(STDOUT_FILENO, line, (size_t)len);
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    struct rseq *area;

    if (fd < 0 || ftruncate(fd, 4096) < 0)
        return 2;
    area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED)
        return 2;
    close(fd);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, 9);
        for (unsigned n = 0;; n++) {
            /* Where a thread that is being restored would be made to jump; 0 most of the time, so that it does
             * not end us. */
            __atomic_store_n((uint32_t *)area + 7, n, __ATOMIC_RELAXED);
            usleep(1000);
        }
    }
    if (syscall(SYS_rseq, area, AREA_BYTES, 0, SIGNATURE) < 0) {
        say("no rseq", 0);
        return 3;
    }
    for (unsigned n = 1;; n++) {
        say("step", n);
        usleep(50000);
    }
}
