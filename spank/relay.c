/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/relay.h"

#include "common/runclock.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { IN, OUT, ERR };
static const char *const names[] = {RELAY_STDIN, RELAY_STDOUT, RELAY_STDERR};

int relay_make(int taskfd, struct err *err)
{
    for (size_t i = 0; i < 3; i++) {
        struct stat st;

        if (mkfifoat(taskfd, names[i], 0600) < 0 && errno != EEXIST)
            return err_sys(err, "the filesystem of the checkpoints takes no FIFO");
        if (fstatat(taskfd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISFIFO(st.st_mode) ||
            st.st_uid != geteuid()) {
            errno = EPERM;
            return err_set(err, "%s in the checkpoint directory is not a FIFO of ours", names[i]);
        }
    }
    return 0;
}

static bool is_open_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool is_null(const struct stat *st)
{
    struct stat null;

    return S_ISCHR(st->st_mode) && stat("/dev/null", &null) == 0 && null.st_rdev == st->st_rdev;
}

static bool same_file(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* For reading and writing, so that neither end ever waits for the other or sees its end by accident. */
static int open_fifo(const char *dir, const char *name, int flags, struct err *err)
{
    char path[PATH_MAX + 16];
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, "%s", path);
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
        io_close(&fd);
        errno = EPERM;
        return err_set(err, "%s is not a FIFO", path);
    }
    return fd;
}

static int non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Left over by a tree that was killed: its writer is gone, and with it nobody waits for these bytes. */
static void empty(int fd)
{
    char buf[4096];

    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static int open_output(struct relay *r, int which, const char *dir, struct err *err)
{
    struct relay_flow *f = &r->flow[which];
    struct stat st;

    if (fstat(which, &st) < 0 || is_null(&st))
        return 0;
    f->from = open_fifo(dir, names[which], O_RDWR | O_NONBLOCK, err);
    if (f->from < 0)
        return -1;
    empty(f->from);
    f->to = which;
    non_blocking(which);
    return 0;
}

int relay_open(struct relay *r, const char *dir, struct err *err)
{
    for (int i = 0; i < 3; i++)
        r->flow[i].from = r->flow[i].to = -1;
    if (isatty(STDIN_FILENO)) {
        errno = ENOTTY;
        return err_set(err, "srun --pty cannot be checkpointed: its terminal belongs to srun");
    }
    if (is_open_pipe(STDIN_FILENO)) {
        r->flow[IN].to = open_fifo(dir, names[IN], O_RDWR | O_NONBLOCK, err);
        if (r->flow[IN].to < 0)
            return -1;
        empty(r->flow[IN].to);
        r->flow[IN].from = STDIN_FILENO;
        non_blocking(STDIN_FILENO);
    }
    r->merged = same_file(STDOUT_FILENO, STDERR_FILENO);
    if (open_output(r, OUT, dir, err) < 0 || (!r->merged && open_output(r, ERR, dir, err) < 0)) {
        for (int i = 0; i < 3; i++)
            if (i == IN)
                io_close(&r->flow[i].to);
            else
                io_close(&r->flow[i].from);
        return -1;
    }
    r->used = true;
    return 0;
}

int relay_attach(const struct relay *r, const char *dir, struct err *err)
{
    for (int i = 0; i < 3; i++) {
        int fd;

        if ((i == IN ? r->flow[i].to : r->flow[i].from) < 0)
            continue;
        fd = open_fifo(dir, names[i], i == IN ? O_RDONLY : O_WRONLY, err);
        if (fd < 0)
            return -1;
        if (dup2(fd, i) < 0)
            return err_sys(err, "dup2");
        io_close(&fd);
    }
    if (r->merged && r->flow[OUT].from >= 0 && dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        return err_sys(err, "dup2");
    return 0;
}

void relay_empty(struct relay *r)
{
    if (r->used && r->flow[IN].to >= 0)
        empty(r->flow[IN].to);
}

void relay_skip(struct relay *r, uint64_t bytes)
{
    r->input = bytes;
    r->skip = bytes;
}

void relay_pause(struct relay *r)
{
    r->paused = true;
}

void relay_resume(struct relay *r)
{
    r->paused = false;
}

static bool stands_still(const struct relay *r, int which)
{
    return r->flow[which].from < 0 || (which == IN && r->paused);
}

void relay_pollfds(const struct relay *r, struct pollfd fds[RELAY_NFDS])
{
    for (int i = 0; i < RELAY_NFDS; i++) {
        const struct relay_flow *f = &r->flow[i];

        fds[i] = (struct pollfd){.fd = -1};
        if (!r->used || stands_still(r, i))
            continue;
        fds[i].fd = f->len > 0 ? f->to : f->from;
        fds[i].events = f->len > 0 ? POLLOUT : POLLIN;
    }
}

/* Nobody reads at the other end any more, or nobody writes: the tree shall see it as it would without us. Our own
 * descriptors 0 to 2 stay: messages go there. */
static void end_flow(struct relay *r, int which)
{
    struct relay_flow *f = &r->flow[which];

    f->len = 0;
    if (which == IN) {
        io_close(&f->to);
        f->from = -1;
    } else {
        io_close(&f->from);
        f->to = -1;
    }
}

static void throw_away(struct relay *r)
{
    struct relay_flow *f = &r->flow[IN];
    size_t n = r->skip < f->len ? (size_t)r->skip : f->len;

    f->start += n;
    f->len -= n;
    r->skip -= n;
}

/* One write or read: true when something was done. */
static bool step(struct relay *r, int which)
{
    struct relay_flow *f = &r->flow[which];
    ssize_t n;

    if (stands_still(r, which))
        return false;
    if (f->len > 0) {
        n = write(f->to, f->buf + f->start, f->len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n < 0) {
            end_flow(r, which);
            return false;
        }
        f->start += (size_t)n;
        f->len -= (size_t)n;
        if (which == IN)
            r->input += (uint64_t)n;
        return true;
    }
    n = read(f->from, f->buf, sizeof f->buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        end_flow(r, which);
        return false;
    }
    f->start = 0;
    f->len = (size_t)n;
    if (which == IN)
        throw_away(r);
    return true;
}

void relay_pump(struct relay *r)
{
    if (!r->used)
        return;
    /* A few at a time: a program that writes without end must not keep us from everything else. */
    for (int i = 0; i < 3; i++)
        for (int n = 0; n < 8 && step(r, i); n++)
            ;
}

static int64_t now_ms(void)
{
    return runclock_ms();
}

bool relay_drain(struct relay *r, int ms)
{
    int64_t end = now_ms() + ms;

    if (!r->used)
        return true;
    for (;;) {
        struct pollfd fds[2] = {{.fd = -1}, {.fd = -1}};
        int64_t left = end - now_ms();

        for (int i = OUT; i <= ERR; i++) {
            while (step(r, i))
                ;
            if (r->flow[i].from >= 0 && r->flow[i].len > 0)
                fds[i - 1] = (struct pollfd){.fd = r->flow[i].to, .events = POLLOUT};
        }
        if (fds[0].fd < 0 && fds[1].fd < 0)
            return true;
        if (left <= 0)
            return false;
        if (poll(fds, 2, runclock_wait(end)) < 0 && errno != EINTR)
            return false;
    }
}
