/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/impl.h"

#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLURP_MAX (64u << 20) /* maps of a process with very many mappings */
#define INODES_MAX (1u << 20)

char *able_slurp(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    size_t len;

    if (fd < 0)
        return NULL;
    text = io_slurp(fd, SLURP_MAX, &len, NULL);
    io_close(&fd);
    return text;
}

int able_link(int dirfd, const char *name, char *buf, size_t size)
{
    ssize_t n = readlinkat(dirfd, name, buf, size - 1);

    if (n < 0)
        return -1;
    buf[n] = '\0';
    return 0;
}

void able_add(struct able_walk *w, struct able_process *p, enum able_kind kind, const char *where,
              const char *what)
{
    struct able_list *list = w->list;
    struct able_finding *f;

    list->total++;
    if (list->n == ABLE_MAX)
        return;
    f = &list->found[list->n++];
    memset(f, 0, sizeof *f);
    f->kind = kind;
    f->passing = kind == ABLE_UNIX_SHORT || kind == ABLE_TCP_WAITING;
    f->pid = p->pid;
    memcpy(f->program, p->program, sizeof f->program);
    snprintf(f->where, sizeof f->where, "%s", where);
    snprintf(f->what, sizeof f->what, "%s", what);
    err_clean(f->what);
}

/* --- the tree */

struct pids {
    pid_t *list;
    size_t n, room;
};

static int add_pid(struct pids *pids, pid_t pid)
{
    if (pids->n == ABLE_PROCESSES)
        return 0;
    if (pids->n == pids->room) {
        size_t room = pids->room ? 2 * pids->room : 64;
        pid_t *bigger = realloc(pids->list, room * sizeof *bigger);

        if (!bigger)
            return -1;
        pids->list = bigger;
        pids->room = room;
    }
    pids->list[pids->n++] = pid;
    return 0;
}

/* A process may have been forked by any thread of its parent. */
static int add_children(const struct able_walk *w, pid_t pid, struct pids *pids)
{
    char path[64], *text, *end;
    struct dirent *e;
    int fd, rc = 0;
    DIR *d;

    snprintf(path, sizeof path, "%d/task", (int)pid);
    fd = openat(w->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        io_close(&fd);
        return 0;
    }
    while (rc == 0 && (e = readdir(d))) {
        if (*e->d_name < '1' || *e->d_name > '9')
            continue;
        snprintf(path, sizeof path, "%.20s/children", e->d_name);
        text = able_slurp(dirfd(d), path);
        for (char *at = text; rc == 0 && at; at = end) {
            long child = strtol(at, &end, 10);

            if (end == at || child <= 0)
                break;
            rc = add_pid(pids, (pid_t)child);
        }
        free(text);
    }
    closedir(d);
    return rc;
}

static int list_tree(const struct able_walk *w, pid_t root, struct pids *pids)
{
    if (add_pid(pids, root) < 0)
        return -1;
    for (size_t i = 0; i < pids->n; i++)
        if (add_children(w, pids->list[i], pids) < 0)
            return -1;
    return 0;
}

static bool open_process(const struct able_walk *w, pid_t pid, struct able_process *p)
{
    char name[16];

    memset(p, 0, sizeof *p);
    snprintf(name, sizeof name, "%d", (int)pid);
    p->pid = pid;
    p->fd = openat(w->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return p->fd >= 0;
}

/* --- its sockets: an end that some process of the tree holds is no one else's */

struct inodes {
    uint32_t *list;
    size_t n, room;
    bool failed;
};

static void add_inode(uint32_t inode, void *arg)
{
    struct inodes *s = arg;

    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        uint32_t *bigger = room > INODES_MAX ? NULL : realloc(s->list, room * sizeof *bigger);

        if (!bigger) {
            s->failed = true;
            return;
        }
        s->list = bigger;
        s->room = room;
    }
    s->list[s->n++] = inode;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void collect_sockets(const struct able_walk *w, const struct pids *pids, struct inodes *s)
{
    for (size_t i = 0; i < pids->n; i++) {
        struct able_process p;

        if (!open_process(w, pids->list[i], &p))
            continue;
        able_each_socket(&p, add_inode, s);
        io_close(&p.fd);
    }
    if (s->n > 0)
        qsort(s->list, s->n, sizeof *s->list, by_value);
}

/* --- all of it */

static void look(struct able_walk *w, pid_t pid)
{
    struct able_process p;

    if (!open_process(w, pid, &p))
        return;
    if (able_look_process(w, &p) == 0) {
        w->list->processes++;
        if (!p.closed) {
            able_look_files(w, &p);
            able_look_maps(w, &p);
        }
    }
    io_close(&p.fd);
}

int able_scan(const char *proc, pid_t root, struct able_list *list, struct err *err)
{
    struct able_walk w = {.list = list, .proc = -1, .self = -1};
    struct inodes inodes = {0};
    struct pids pids = {0};
    char name[16];
    int rc = -1;

    memset(list, 0, sizeof *list);
    snprintf(name, sizeof name, "%d", (int)root);
    w.proc = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w.self = w.proc < 0 ? -1 : openat(w.proc, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w.self < 0 || faccessat(w.proc, name, F_OK, 0) < 0) {
        err_sys(err, "process %d cannot be looked at in %s", (int)root, proc);
        goto out;
    }
    if (list_tree(&w, root, &pids) < 0) {
        err_sys(err, "no memory for the list of processes");
        goto out;
    }
    collect_sockets(&w, &pids, &inodes);
    w.inodes = inodes.list;
    w.ninodes = inodes.n;
    /* Without them sockets are left to CRIU, and so they are when one of ours might be taken for somebody else's. */
    if (inodes.n > 0 && !inodes.failed)
        w.sockets = able_sockets_load(NULL);
    for (size_t i = 0; i < pids.n; i++)
        look(&w, pids.list[i]);
    rc = 0;
out:
    able_sockets_destroy(w.sockets);
    free(inodes.list);
    free(pids.list);
    io_close(&w.self);
    io_close(&w.proc);
    return rc;
}

pid_t able_pid_of(int pidfd)
{
    char name[48], *text;
    const char *at;
    pid_t pid = -1;

    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", pidfd);
    text = able_slurp(AT_FDCWD, name);
    at = text ? strstr(text, "\nPid:") : NULL;
    if (at)
        pid = (pid_t)strtol(at + 5, NULL, 10);
    free(text);
    return pid > 0 ? pid : -1;
}

/* --- text */

void able_format(const struct able_finding *f, char *text, size_t size)
{
    snprintf(text, size, "process %d (%s)%s%s%s %s; %s", (int)f->pid, f->program,
             *f->where ? ", " : "", f->where, *f->where ? ":" : "", f->what, able_remedy(f));
}

void able_summary(const struct able_list *list, char *text, size_t size)
{
    const struct able_finding *first = &list->found[0];
    size_t len;

    for (size_t i = 0; i < list->n; i++)
        if (!list->found[i].passing) {
            first = &list->found[i];
            break;
        }
    if (list->n == 0) {
        *text = '\0';
        return;
    }
    able_format(first, text, size);
    len = strlen(text);
    if (list->total > 1 && len < size)
        snprintf(text + len, size - len, "; and %zu more (scheckpoint able)", list->total - 1);
}

bool able_passing(const struct able_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!list->found[i].passing)
            return false;
    return list->total > 0 && list->total == list->n;
}
