/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOBODY UINT32_MAX

struct record {
    uint32_t uid, zero;
    int64_t since_ns; /* CLOCK_BOOTTIME; 0: not told yet */
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Of this open file description, not of the process. */
static int set(int fd, short type, off_t at, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = len};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

static bool taken(int fd, uint32_t i)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)i, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static off_t place(uint32_t i)
{
    return (off_t)(SLOTS_FILE_MAX + i * sizeof(struct record));
}

static bool put(int fd, uint32_t i, uint32_t uid, int64_t since)
{
    const struct record r = {uid, 0, since};

    return pwrite(fd, &r, sizeof r, place(i)) == (ssize_t)sizeof r;
}

/* Of a slot that somebody has.  One who was stopped before he could tell since when has it since we see it. */
static struct record get(int fd, uint32_t i, int64_t now)
{
    struct record r = {0, 0, 0};

    if (pread(fd, &r, sizeof r, place(i)) != (ssize_t)sizeof r || r.since_ns <= 0 ||
        r.since_ns > now) {
        r = (struct record){NOBODY, 0, now};
        (void)put(fd, i, r.uid, r.since_ns);
    }
    return r;
}

static uint32_t records(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size <= (off_t)SLOTS_FILE_MAX)
        return 0;
    return (uint32_t)((size_t)(st.st_size - (off_t)SLOTS_FILE_MAX) / sizeof(struct record));
}

/* Of two who come at the same time one sees the other as the earlier one. */
static bool may_keep(int fd, uint32_t mine, int64_t since, const struct slots_claim *c)
{
    const int64_t oldest = since - (int64_t)(c->seconds * 1000000000);
    uint32_t n = records(fd), all = 0, own = 0;

    for (uint32_t i = 0; i < n && i < SLOTS_FILE_MAX; i++) {
        struct record r;

        if (i == mine || !taken(fd, i))
            continue;
        r = get(fd, i, since);
        if (r.since_ns < oldest || r.since_ns > since || (r.since_ns == since && i > mine))
            continue;
        all++;
        own += r.uid == c->uid;
    }
    return all < c->most && own < slots_share(c->most);
}

uint32_t slots_share(uint32_t most)
{
    return most > 1 ? most - 1 : 1;
}

bool slots_take(int fd, const struct slots_claim *c)
{
    int64_t since = now_ns();
    uint32_t i;

    if (c->most == 0)
        return true;
    for (i = 0; i < SLOTS_FILE_MAX && set(fd, F_WRLCK, (off_t)i, 1) < 0; i++)
        if (errno != EAGAIN && errno != EACCES)
            return true;
    if (i < SLOTS_FILE_MAX && put(fd, i, c->uid, since) && may_keep(fd, i, since, c))
        return true;
    slots_give_back(fd);
    return false;
}

void slots_give_back(int fd)
{
    (void)set(fd, F_UNLCK, 0, 0);
}
