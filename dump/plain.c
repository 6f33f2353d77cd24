/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HUGE (2u << 20)

uint8_t *plain_buffer(size_t len)
{
    const size_t align = len % HUGE == 0 ? HUGE : PLAIN_ALIGN;
    uint8_t *buf = aligned_alloc(align, (len + align - 1) / align * align);

    if (!buf)
        return NULL;
    (void)madvise(buf, len, MADV_HUGEPAGE);
    return buf;
}

void plain_touch(uint8_t *buf, size_t len)
{
    memset(buf, 0, len);
}

bool plain_past_cache(const struct plain *p)
{
    return p->direct >= 0 && !p->slow;
}

bool plain_is_zero(const uint8_t *data, size_t len)
{
    /* Compared with itself, shifted by what is known to be zero. */
    static const size_t first = 64;
    size_t i;

    for (i = 0; i < len && i < first; i++)
        if (data[i])
            return false;
    return i == len || memcmp(data, data + first, len - first) == 0;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* 1: written; 0: not this way.  A short write ends at whatever the device's blocks are: it is no longer
 * aligned, and EINVAL may come for any reason of a filesystem's own. */
static int write_direct(struct plain *p, const uint8_t *data, size_t len, uint64_t at)
{
    const int64_t begin = now_ns();
    ssize_t n;

    if (((uintptr_t)data | len | at) % PLAIN_ALIGN != 0)
        return 0;
    do
        n = pwrite(p->direct, data, len, (off_t)at);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EINVAL)
        return -1;
    if (n < 0 || (now_ns() - begin) / (int64_t)((len >> 20) + 1) > PLAIN_SLOW_NS)
        p->slow = true;
    return n == (ssize_t)len;
}

static int write_piece(struct plain *p, const uint8_t *data, size_t len, uint64_t at)
{
    int rc = plain_past_cache(p) ? write_direct(p, data, len, at) : 0;

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (write_at(p->fd, data, len, at) < 0)
        return -1;
    (void)sync_file_range(p->fd, (off_t)at, (off_t)len, SYNC_FILE_RANGE_WRITE);
    return 0;
}

void plain_allocate(struct plain *p, uint64_t bytes)
{
    if (p->direct < 0 || bytes == 0 || bytes > INT64_MAX)
        return;
    p->allocated = true; /* also when it failed half way */
    (void)fallocate(p->direct, 0, 0, (off_t)bytes);
}

int plain_write(struct plain *p, const uint8_t *data, size_t len, uint64_t at)
{
    size_t begin = 0, end = 0;
    bool written = false;

    /* [begin, end) is to be written: what follows is looked at one possible hole at a time. */
    for (size_t n; end < len; end += n) {
        n = len - end < PLAIN_HOLE ? len - end : PLAIN_HOLE;
        if (!plain_is_zero(data + end, n)) {
            written = true;
            continue;
        }
        if (end > begin && write_piece(p, data + begin, end - begin, at + begin) < 0)
            return -1;
        begin = end + n;
    }
    if (end > begin && write_piece(p, data + begin, end - begin, at + begin) < 0)
        return -1;
    return written ? 0 : 1;
}

int plain_hole(struct plain *p, uint64_t at, uint64_t len)
{
    struct plain_run *last = p->nzeros ? &p->zeros[p->nzeros - 1] : NULL;

    if (!p->allocated)
        return 0; /* it is a hole already */
    if (last && last->at + last->len == at) {
        last->len += len;
        return 0;
    }
    if (!p->zeros || p->nzeros == p->room) {
        const size_t room = p->room ? 2 * p->room : 64;
        struct plain_run *more = realloc(p->zeros, room * sizeof *more);

        if (!more)
            return -1;
        p->zeros = more;
        p->room = room;
    }
    p->zeros[p->nzeros++] = (struct plain_run){at, len};
    return 0;
}

int plain_end(struct plain *p, uint64_t size)
{
    struct stat st;

    /* Only room is at stake: what was reserved and not written reads as zeros. */
    for (size_t i = 0; i < p->nzeros; i++)
        (void)fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->zeros[i].at,
                        (off_t)p->zeros[i].len);
    p->nzeros = 0;
    if (fstat(p->fd, &st) < 0)
        return -1;
    return (uint64_t)st.st_size == size ? 0 : ftruncate(p->fd, (off_t)size);
}

void plain_free(struct plain *p)
{
    free(p->zeros);
    p->zeros = NULL;
    p->nzeros = p->room = 0;
}
