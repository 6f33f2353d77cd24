/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * proc.h - what the attack programs that look for processes share.
 */
#ifndef T_ATTACK_PROC_H
#define T_ATTACK_PROC_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

/* /proc/PID/WHAT in one read, with a NUL behind it.  < 0: it cannot be read. */
static inline ssize_t slurp(int pid, const char *what, char *buf, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, buf, size - 1);
    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

#endif
