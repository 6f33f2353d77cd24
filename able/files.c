/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/impl.h"

#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LINK_MAX_BYTES 512
#define GHOST_MAX (1024ULL << 20) /* --ghost-limit */

/* Of anonymous inodes: what CRIU can save ("" kind), and what we know by name. */
static const struct {
    const char *link;
    enum able_kind kind;
    const char *what;
} anonymous[] = {
    {"anon_inode:[eventfd]", ABLE_KINDS, ""},
    {"anon_inode:[eventpoll]", ABLE_KINDS, ""},
    {"anon_inode:[signalfd]", ABLE_KINDS, ""},
    {"anon_inode:[timerfd]", ABLE_KINDS, ""},
    {"anon_inode:[pidfd]", ABLE_KINDS, ""},
    {"anon_inode:inotify", ABLE_NOTIFY, "a watch over files (inotify)"},
    {"anon_inode:[fanotify]", ABLE_NOTIFY, "a watch over files (fanotify)"},
    {"anon_inode:[io_uring]", ABLE_IO_URING, "an io_uring"},
    {"anon_inode:[perf_event]", ABLE_PERF, "a performance counter (perf_event)"},
    {"anon_inode:[userfaultfd]", ABLE_USERFAULTFD, "a userfaultfd"},
    {"anon_inode:[infinibandevent]", ABLE_RDMA, "a queue of RDMA events"},
    {"anon_inode:[infinibandcomp]", ABLE_RDMA, "a queue of RDMA completions"},
    {"anon_inode:[uverbs-event]", ABLE_RDMA, "a queue of RDMA events"},
};

/* inotify with nothing to watch is saved; each watch needs a file found by its handle. */
static bool watches_nothing(const struct able_process *p, const char *number)
{
    char name[64], *info;
    bool none;

    snprintf(name, sizeof name, "fdinfo/%s", number);
    info = able_slurp(p->fd, name);
    none = info && !strstr(info, "inotify wd:") && !strstr(info, "fanotify ino:") &&
           !strstr(info, "fanotify mnt_id:");
    free(info);
    return none;
}

static void look_anonymous(struct able_walk *w, struct able_process *p, const char *number,
                           const char *where, const char *link)
{
    char what[160];

    for (size_t i = 0; i < sizeof anonymous / sizeof anonymous[0]; i++) {
        if (strcmp(link, anonymous[i].link) != 0)
            continue;
        if (anonymous[i].kind == ABLE_KINDS ||
            (anonymous[i].kind == ABLE_NOTIFY && watches_nothing(p, number)))
            return;
        able_add(w, p, anonymous[i].kind, where, anonymous[i].what);
        p->seen |= 1u << anonymous[i].kind;
        return;
    }
    snprintf(what, sizeof what, "an object of the kernel, %.100s", link + strlen("anon_inode:"));
    able_add(w, p, ABLE_ANON, where, what);
    p->seen |= 1u << ABLE_ANON;
}

/* Terminals are left to CRIU: which of them it can save hangs on sessions and on who has the master. */
static bool is_terminal(dev_t device)
{
    unsigned n = major(device);

    return n == 4 || n == 5 || (n >= 128 && n <= 143) || n == 188 || n == 204;
}

static void look_device(struct able_walk *w, struct able_process *p, const char *where,
                        const char *link, const struct stat *st)
{
    enum able_kind kind = able_device_kind(link);
    char what[200];

    /* Memory devices (null, zero, random ...) and, of the miscellaneous ones, tun and autofs. */
    if (kind == ABLE_KINDS && st && S_ISCHR(st->st_mode) &&
        (major(st->st_rdev) == 1 || is_terminal(st->st_rdev) || st->st_rdev == makedev(10, 200) ||
         st->st_rdev == makedev(10, 235)))
        return;
    if (kind == ABLE_KINDS && (!st || (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))))
        return;
    if (kind == ABLE_KINDS)
        kind = ABLE_DEVICE;
    snprintf(what, sizeof what, "%s %.150s",
             kind == ABLE_GPU    ? "a GPU,"
             : kind == ABLE_RDMA ? "an RDMA device,"
                                 : "the device",
             link);
    able_add(w, p, kind, where, what);
    p->seen |= 1u << kind;
}

/* CRIU saves the contents of a file without any name; one that has lost only this name (or that NFS has given
 * a name in its place) it would have to link anew, for which it lacks the privilege. */
static void look_deleted(struct able_walk *w, struct able_process *p, const char *where,
                         const char *link, const struct stat *st)
{
    unsigned long long bytes = (unsigned long long)st->st_blocks * 512;
    char what[256];

    if (st->st_nlink > 0) {
        snprintf(what, sizeof what, "%.150s was deleted, but the file has other names", link);
        able_add(w, p, ABLE_RENAMED, where, what);
    } else if (bytes > GHOST_MAX) {
        snprintf(what, sizeof what,
                 "%.150s is deleted but open and has %llu MiB; 1024 MiB are saved", link,
                 bytes >> 20);
        able_add(w, p, ABLE_GHOST, where, what);
    }
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

static bool is_ours(const struct able_walk *w, uint32_t inode)
{
    size_t from = 0, to = w->ninodes;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (w->inodes[middle] == inode)
            return true;
        if (w->inodes[middle] < inode)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

/* Services that a C library or a command calls for a moment. */
static bool is_short(const char *name)
{
    static const char *const parts[] = {"munge",  "/sss/",   "nscd",     "nslcd",    "dbus",
                                        "userdb", "resolve", "winbindd", "/systemd/"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void look_unix(struct able_walk *w, struct able_process *p, const char *where,
                      const struct able_socket *s)
{
    const struct able_socket *peer = able_sockets_find(w->sockets, s->peer);
    const char *name = peer ? peer->name : "";
    char clean[sizeof peer->name], what[256];

    if (s->peer == 0 || is_ours(w, s->peer))
        return;
    snprintf(clean, sizeof clean, "%s", name);
    err_clean(clean);
    if (!*clean)
        able_add(w, p, ABLE_UNIX, where,
                 "a Unix socket whose other end, without a name, is outside the job");
    else {
        snprintf(what, sizeof what,
                 "a connection to the Unix socket %s of a service outside the job", clean);
        able_add(w, p, is_short(clean) ? ABLE_UNIX_SHORT : ABLE_UNIX, where, what);
    }
}

static void look_tcp(struct able_walk *w, struct able_process *p, const char *where,
                     const struct able_socket *s)
{
    char what[256];

    if (s->state == TCP_CLOSE)
        return;
    if (s->state == TCP_LISTEN) {
        if (s->waiting == 0)
            return;
        snprintf(what, sizeof what,
                 "a new TCP connection to its port %.80s has not been accepted yet", s->name);
        able_add(w, p, ABLE_TCP_WAITING, where, what);
        return;
    }
    snprintf(what, sizeof what, "a TCP connection to %s (from %.80s)", s->other, s->name);
    able_add(w, p, ABLE_TCP, where, what);
}

static void look_socket(struct able_walk *w, struct able_process *p, const char *where,
                        const char *link)
{
    const struct able_socket *s;

    if (!w->sockets)
        return;
    s = able_sockets_find(w->sockets, (uint32_t)strtoul(link + strlen("socket:["), NULL, 10));
    if (!s)
        return; /* neither bound nor connected, or of a family that CRIU judges */
    if (s->family == AF_UNIX)
        look_unix(w, p, where, s);
    else
        look_tcp(w, p, where, s);
}

static void look_file(struct able_walk *w, struct able_process *p, const char *number)
{
    char name[64], link[LINK_MAX_BYTES], where[64];
    struct stat st;
    bool known;

    snprintf(name, sizeof name, "fd/%s", number);
    snprintf(where, sizeof where, "descriptor %s", number);
    if (able_link(p->fd, name, link, sizeof link) < 0)
        return;
    if (strncmp(link, "anon_inode:", 11) == 0) {
        look_anonymous(w, p, number, where, link);
        return;
    }
    if (strncmp(link, "socket:[", 8) == 0) {
        look_socket(w, p, where, link);
        return;
    }
    if (*link != '/')
        return;
    known =
        fstatat(p->fd, name, &st, 0) == 0; /* follows to the open file, whatever its name is now */
    err_clean(link);
    if (able_device_kind(link) != ABLE_KINDS ||
        (known && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))))
        look_device(w, p, where, link, known ? &st : NULL);
    else if (known && S_ISREG(st.st_mode) && strncmp(link, "/memfd:", 7) != 0 &&
             (ends_with(link, " (deleted)") || strstr(link, "/.nfs")))
        look_deleted(w, p, where, link, &st);
}

static void each_file(const struct able_process *p, void (*fn)(const char *number, void *arg),
                      void *arg)
{
    int fd = openat(p->fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d) {
        io_close(&fd);
        return;
    }
    while ((e = readdir(d)))
        if (*e->d_name >= '0' && *e->d_name <= '9' && strlen(e->d_name) < 20)
            fn(e->d_name, arg);
    closedir(d);
}

struct look {
    struct able_walk *walk;
    struct able_process *process;
};

static void look_each(const char *number, void *arg)
{
    struct look *l = arg;

    look_file(l->walk, l->process, number);
}

void able_look_files(struct able_walk *w, struct able_process *p)
{
    struct look l = {w, p};

    each_file(p, look_each, &l);
}

struct collect {
    const struct able_process *process;
    void (*fn)(uint32_t, void *);
    void *arg;
};

static void collect_each(const char *number, void *arg)
{
    struct collect *c = arg;
    char name[64], link[64];

    snprintf(name, sizeof name, "fd/%s", number);
    if (able_link(c->process->fd, name, link, sizeof link) == 0 &&
        strncmp(link, "socket:[", 8) == 0)
        c->fn((uint32_t)strtoul(link + 8, NULL, 10), c->arg);
}

void able_each_socket(const struct able_process *p, void (*fn)(uint32_t, void *), void *arg)
{
    struct collect c = {p, fn, arg};

    each_file(p, collect_each, &c);
}
