/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * impl - what the files of able/ share; see able.h.
 */
#ifndef ABLE_IMPL_H
#define ABLE_IMPL_H

#include "able/able.h"
#include "able/sockets.h"

struct able_process {
    pid_t pid;
    int fd; /* of its directory in proc */
    char program[32];
    bool closed;   /* descriptors and mappings may not be looked at */
    unsigned seen; /* bit per kind: said already of this process, by a descriptor */
};

struct able_walk {
    int proc; /* descriptor of the proc directory */
    int self; /* of "self" in it */
    struct able_list *list;
    struct able_sockets *sockets; /* loaded when the first socket is met; NULL before */
    const uint32_t *inodes;       /* sorted: every socket that the tree holds */
    size_t ninodes;
};

/* Record one; where, what: printf-formatted by the caller. */
void able_add(struct able_walk *w, struct able_process *p, enum able_kind kind, const char *where,
              const char *what);

/* Name, ids, namespaces, tracer, seccomp.  -1: it is gone, or a zombie: nothing to look at. */
int able_look_process(struct able_walk *w, struct able_process *p);
void able_look_files(struct able_walk *w, struct able_process *p);
void able_look_maps(struct able_walk *w, struct able_process *p);

/* A device by its path: its kind, or ABLE_KINDS when the name tells nothing. */
enum able_kind able_device_kind(const char *path);

/* Socket inodes of all descriptors of a process, through fn. */
void able_each_socket(const struct able_process *p, void (*fn)(uint32_t ino, void *arg), void *arg);

/* Whole text of a small file below dirfd; malloc'ed, NUL-terminated; NULL: errno. */
char *able_slurp(int dirfd, const char *name);
/* readlinkat with a NUL; -1. */
int able_link(int dirfd, const char *name, char *buf, size_t size);

#endif
