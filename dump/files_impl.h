/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * files_impl - what the parts of files share.  Not for others: files.h is the interface.
 */
#ifndef DUMP_FILES_IMPL_H
#define DUMP_FILES_IMPL_H

#include "common/filelist.h"
#include "dump/files.h"
#include "dump/filescan.h"

#include <stdbool.h>
#include <sys/stat.h>

/* A clone that is still to be read. */
struct files_clone {
    int fd;
    uint32_t image;
    uint64_t size;
};

struct files {
    struct files_opts o;
    struct filescan scan;
    struct filelist list;
    struct files_clone *clones;
    size_t nclones;
    uint32_t images;      /* numbers given so far */
    uint64_t bytes;       /* copied so far */
    uint64_t small_bytes; /* of these, by files_small() */
    uint32_t pause_ms;
    bool no_clones; /* the filesystem cannot */
    size_t left;    /* things not taken along, beside the one that the warning names */
    char warning[400];
};

/* Who wants it: decides what happens when it may not be copied. */
enum files_wanted {
    FILES_OPEN,  /* the tree has it open for writing */
    FILES_NAMED, /* files= */
    FILES_TMP,   /* the job's temporary directory */
};

/* Open by absolute path, without following a link anywhere; never waits for a FIFO. */
int files_open(const char *path, int flags);
/* Below a directory, one name. */
int files_open_at(int dirfd, const char *name, int flags);

/* Add the entry of a regular file with its contents (taken over by the pack, or cloned); fd stays the
 * caller's.  0 also when it was left out with a warning. */
int files_copy(struct files *fs, const char *path, int fd, const struct stat *st,
               enum files_wanted wanted, struct err *err);
/* For a copied SQLite database: its journals. */
int files_copy_journals(struct files *fs, const char *path, int fd, struct err *err);

/* An entry for path; st may be NULL.  What the caller changes in it before filelist_add(). */
int files_entry(struct file_entry *e, enum file_role role, const char *path, const struct stat *st,
                struct err *err);

/* files_copy.c: feed `size` bytes of fd as the contents of `image`. */
int files_feed(struct files *fs, int fd, uint32_t image, uint64_t size, struct err *err);

/* The same of memory. */
int files_feed_data(struct files *fs, const uint8_t *data, uint32_t image, uint64_t size,
                    struct err *err);

/* files_small.c, after all others: small files that the job has made and may remove again, for a restore that finds
 * them gone. */
int files_small(struct files *fs, struct err *err);

/* files_more.c */
/* Was it made since the job began?  -1: the filesystem does not tell. */
int files_made_by_job(const struct files *fs, int fd);
int files_named(struct files *fs, struct err *err);
int files_tmp(struct files *fs, struct err *err);

/* Something is left out: remembered for the warning. */
void files_warn(struct files *fs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
