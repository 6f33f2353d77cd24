/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int io_read_full(int fd, void *buf, size_t len)
{
    char *p = buf;

    while (len > 0) {
        ssize_t n = read(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int io_write_full(int fd, const void *buf, size_t len)
{
    const char *p = buf;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int io_pread_full(int fd, void *buf, size_t len, off_t off)
{
    char *p = buf;

    while (len > 0) {
        ssize_t n = pread(fd, p, len, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return -1;
        }
        p += n;
        off += n;
        len -= (size_t)n;
    }
    return 0;
}

char *io_slurp(int fd, size_t max, size_t *len, struct err *err)
{
    size_t size = 4096, used = 0;
    char *buf = malloc(size + 1);

    if (!buf)
        goto fail;
    for (;;) {
        ssize_t n;

        if (used == size) {
            char *bigger;

            if (size > max) {
                errno = EFBIG;
                goto fail;
            }
            bigger = realloc(buf, 2 * size + 1);
            if (!bigger)
                goto fail;
            buf = bigger;
            size *= 2;
        }
        n = read(fd, buf + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto fail;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    if (used > max) {
        errno = EFBIG;
        goto fail;
    }
    buf[used] = '\0';
    *len = used;
    return buf;
fail:
    err_sys(err, "read");
    free(buf);
    return NULL;
}

ssize_t io_read_start(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    io_close(&fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return n;
}

void io_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}
