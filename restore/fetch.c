/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/fetch.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE ((size_t)2 << 20)
#define VEC_MAX 2048u /* pages that mincore is asked about at a time */

static uint64_t round_down(uint64_t n)
{
    return n & ~(uint64_t)(FETCH_ALIGN - 1);
}

static uint64_t round_up(uint64_t n)
{
    return round_down(n + FETCH_ALIGN - 1);
}

int fetch_open_direct(int fd)
{
    struct stat st;
    char name[40];

    if (fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    /* By its descriptor: the name could have become another file's. */
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return open(name, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static size_t room_size(size_t len)
{
    return (size_t)round_up(len) + FETCH_ALIGN;
}

uint8_t *fetch_room(size_t len)
{
    const size_t size = room_size(len), all = size < HUGE ? size : size + HUGE;
    uint8_t *map = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            *room;

    if (map == MAP_FAILED)
        return NULL;
    room = size < HUGE ? map : map + (HUGE - (uintptr_t)map % HUGE) % HUGE;
    if (room > map)
        munmap(map, (size_t)(room - map));
    if (map + all > room + size)
        munmap(room + size, (size_t)(map + all - (room + size)));
    if (size >= HUGE)
        (void)madvise(room, size, MADV_HUGEPAGE); /* what is not a whole one stays small */
    (void)madvise(
        room, size,
        MADV_DONTFORK); /* before 5.19 a fork meanwhile would part the disk's page from ours */
    return room;
}

void fetch_room_free(uint8_t *room, size_t len)
{
    if (room)
        munmap(room, room_size(len));
}

/* Most of it?  mincore answers the file's owner only, and does not touch what it is asked about: a file that shrinks
 * meanwhile raises no SIGBUS. */
static bool is_cached(int fd, uint64_t at, size_t len)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uint64_t from = at / page * page;
    const size_t all = (size_t)(at - from) + len, n = (all + page - 1) / page;
    unsigned char vec[VEC_MAX];
    size_t present = 0;
    void *map;

    if (n > VEC_MAX)
        return false;
    map = mmap(NULL, all, PROT_READ, MAP_SHARED, fd, (off_t)from);
    if (map == MAP_FAILED)
        return false;
    if (mincore(map, all, vec) == 0)
        for (size_t i = 0; i < n; i++)
            present += vec[i] & 1;
    munmap(map, all);
    return present > n / 2;
}

/* Bytes from the beginning of room; fewer than asked for where the file ends, or the filesystem will not go on so. */
static size_t read_direct(int direct, uint8_t *room, size_t len, uint64_t at)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = pread(direct, room + have, len - have, (off_t)(at + have));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
        if (have % FETCH_ALIGN != 0)
            break;
    }
    return have;
}

uint8_t *fetch_read(int fd, int direct, uint8_t *room, size_t len, uint64_t at)
{
    const uint64_t from = round_down(at);
    const size_t skip = (size_t)(at - from), all = skip + len;
    size_t have = 0;

    if (direct >= 0 && !is_cached(fd, at, len))
        have = read_direct(direct, room, (size_t)round_up(all), from);
    /* What is still missing; an error of the disk is met once more, and reported. */
    if (have < skip)
        have = skip;
    if (have < all && io_pread_full(fd, room + have, all - have, (off_t)(from + have)) < 0)
        return NULL;
    return room + skip;
}
