/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * putback_impl - what the parts of putback share.  Not for others: putback.h is the interface.
 */
#ifndef RESTORE_PUTBACK_IMPL_H
#define RESTORE_PUTBACK_IMPL_H

#include "restore/putback.h"
#include "restore/unfold.h"

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum act_state { ACT_STAGED, ACT_DONE };

/* One file that is changed. */
struct act {
    const struct file_entry *e;
    enum act_state state;
    bool created;   /* it was missing, and is there now */
    uint64_t found; /* its size before */
    struct stat st; /* as it was found */
    char kept[32];  /* in kept/: what was cut off, taken away or overwritten, "": nothing */
};

struct putback {
    struct putback_opts o;
    struct act *acts;
    size_t n;
    int dirfd; /* the directory that was used last, -1: none */
    char dir[PATH_MAX];
    int keptdir;    /* -1: not needed yet */
    unsigned nkept; /* numbers given */
    uint64_t tail;  /* bytes cut off */
    size_t ncut, nput;
    char skipped[400]; /* what was left as it is, and why; "": nothing */
    struct unfold *unfold;
    uint8_t *stored, *raw; /* a frame */
    int64_t started_s;     /* this task's start, wall clock */
};

/* --- putback_path.c */
/* The directory of an absolute path, reached without following a link; missing ones are made (0700) when `make`.
 * The descriptor (O_PATH) is p's, good until the next call.  -1 with a text. */
int putback_dir(struct putback *p, const char *path, bool make, struct err *err);
/* The last component of a path. */
const char *putback_base(const char *path);
/* Without following a link, never waits. */
int putback_open_at(int dirfd, const char *name, int flags);
/* Is somebody else writing to the file?  fd: open for reading only.  Answers why, or NULL. */
const char *putback_other_writer(const struct putback *p, int fd, const struct stat *st);
/* Something stands in the way: PROTO_E_HOLD and a text. */
int putback_hold(struct err *err, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A new act; NULL without memory. */
struct act *putback_act(struct putback *p, const struct file_entry *e, struct err *err);
/* The file that was looked at, with no other name, for writing.  -1 with a text. */
int putback_open_again(struct putback *p, const struct act *a, struct err *err);
/* len bytes of fd from `from` into kept/, synced; `undo`: only until the tree runs.  Fills a->kept. */
int putback_keep(struct putback *p, struct act *a, int fd, uint64_t from, uint64_t len, bool undo,
                 struct err *err);
/* All of a->kept into fd, at `at`; it is then that long and has the times that were found. */
int putback_unkeep(struct putback *p, const struct act *a, int fd, uint64_t at);

/* --- putback_copy.c */
/* FILE_COPY and FILE_ABSENT */
int putback_stage_copy(struct putback *p, const struct file_entry *e, struct err *err);
/* What filelist_may_be_missing(), if it is: 1, it was; 0: something is there. */
int putback_stage_missing(struct putback *p, const struct file_entry *e, struct err *err);
/* A directory or a link, if it is missing. */
int putback_make(struct putback *p, const struct file_entry *e, struct err *err);
int putback_commit_copy(struct putback *p, struct act *a, struct err *err);
void putback_undo_copy(struct putback *p, struct act *a);
/* Whatever is still there for an undo; what was made and not committed. */
void putback_forget_copy(struct putback *p, struct act *a);

/* --- putback_cut.c */
/* must: a file that cannot be cut back is a reason to hold; else it is left as it is. */
int putback_stage_cut(struct putback *p, const struct file_entry *e, bool must, struct err *err);
int putback_commit_cut(struct putback *p, struct act *a, struct err *err);
void putback_undo_cut(struct putback *p, struct act *a);

#endif
