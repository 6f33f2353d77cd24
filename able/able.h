/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * able - what in a running tree cannot be checkpointed: found in /proc, without stopping it.
 *
 * The dump looks before it stops the tree, so that the reason names process, descriptor and remedy instead of
 * a line of CRIU's; `scheckpoint able` shows all of it.  It runs as the job's user without any capability, in
 * the tree's own pid namespace, and reads only.  What it does not find CRIU still refuses (common/criuwhy.c).
 * It must never find what CRIU can save: each rule follows CRIU 4.2 as it is run here (--file-locks,
 * --ghost-limit 1G, --manage-cgroups=ignore, unprivileged).
 *
 *   able.c      findings and their text, the walk
 *   process.c   whether a process can be examined, its namespaces, tracer, seccomp
 *   files.c     descriptors
 *   maps.c      mappings
 *   sockets.c   the kernel's tables of sockets (NETLINK_SOCK_DIAG), as CRIU reads them
 *   kinds.c     what each kind is called and what to do about it
 *   headroom.c  room in the memory control group (headroom.h)
 */
#ifndef ABLE_ABLE_H
#define ABLE_ABLE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ABLE_MAX 64          /* findings kept; more are counted */
#define ABLE_PROCESSES 20000 /* looked at */

enum able_kind {
    ABLE_IO_URING,
    ABLE_PERF,
    ABLE_USERFAULTFD,
    ABLE_NOTIFY, /* inotify, fanotify */
    ABLE_ANON,   /* another anonymous kernel object */
    ABLE_GPU,
    ABLE_RDMA,
    ABLE_DEVICE,
    ABLE_SYSV,
    ABLE_HUGE, /* private pages of hugetlbfs */
    ABLE_TCP,
    ABLE_TCP_WAITING, /* a connection that nobody has accepted yet */
    ABLE_UNIX,
    ABLE_UNIX_SHORT, /* munge and the like: mostly over in a moment */
    ABLE_NAMESPACE,
    ABLE_UNREADABLE, /* the program may be run but not read */
    ABLE_CLOSED,     /* it has closed itself to others (PR_SET_DUMPABLE) */
    ABLE_USER,       /* runs as another user */
    ABLE_TRACED,
    ABLE_SECCOMP,
    ABLE_GHOST,   /* a deleted file that is too large */
    ABLE_RENAMED, /* a deleted file that has other names */
    ABLE_MEMORY,  /* no room in the memory control group */
    ABLE_KINDS
};

struct able_finding {
    enum able_kind kind;
    bool passing; /* may be over in a moment: try again */
    pid_t pid;    /* as the tree's pid namespace numbers it */
    char program[32];
    char where[64]; /* "descriptor 5", "mapping 7f00-7f10", or "" for the process itself */
    char what[256];
};

struct able_list {
    struct able_finding found[ABLE_MAX];
    size_t n;         /* in found */
    size_t total;     /* all of them */
    size_t processes; /* looked at */
};

/* Look at `root` and everything below it.  proc: "/proc", or for tests a tree of that form.  Processes that end
 * meanwhile are left out.  -1 with a text only when the root cannot be looked at at all. */
int able_scan(const char *proc, pid_t root, struct able_list *list, struct err *err);

/* pid of a pidfd as the reader's /proc numbers it; -1: gone, or of another pid namespace. */
pid_t able_pid_of(int pidfd);

/* In JSON and on the screen: "io_uring", "tcp-connection", ... */
const char *able_kind_name(enum able_kind kind);
/* One sentence: what the job's owner can do. */
const char *able_remedy(const struct able_finding *f);

/* "process 312 (solver), descriptor 5: io_uring ...; REMEDY".  Safe for a terminal. */
void able_format(const struct able_finding *f, char *text, size_t size);
/* The first finding that is not passing (else the first) as above, and how many more there are. */
void able_summary(const struct able_list *list, char *text, size_t size);
/* True when there are findings and all of them may be over in a moment. */
bool able_passing(const struct able_list *list);

#endif
