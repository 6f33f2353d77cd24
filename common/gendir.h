/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * gendir - the directory of a job's checkpoints and the generations in it.
 *
 *   BASE/                           facts.dir, the user's
 *     CLUSTER.JOBID.NONCE/          the job, 0700
 *       TASK/                       "batch"
 *         gen-EEEE-SSSSSS/          one generation: epoch, sequence
 *           pages.gen-EEEE-SSSSSS.zst   a link to an earlier one's pages.zst, see manifest.h
 *         gen-EEEE-SSSSSS.partial/  being written, or left over
 *         log/                      details of the last attempts
 *         request/, answer/         see request.h
 *         script, ckpt-init         copies (see spank/)
 *         output, errors            links, see below
 *
 * Only processes with the job's euid open these.  BASE is opened by path, O_DIRECTORY|O_NOFOLLOW, owner
 * and mode checked on the descriptor; everything below it as beneath.h says.
 */
#ifndef COMMON_GENDIR_H
#define COMMON_GENDIR_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stdint.h>

#define GENDIR_NAME "gen-%04u-%06u"
/* Symbolic links to where the task's output goes, for a job that is restored as another one; read, never followed. */
#define GENDIR_STDOUT "output"
#define GENDIR_ARRAY "array" /* of a task of an array: "ARRAY_TASK" */
#define GENDIR_STDERR "errors"

struct gendir_id {
    uint32_t epoch;
    uint32_t sequence; /* from 1; counts on over epochs */
};

/* Parse "gen-EEEE-SSSSSS" exactly; with `partial` also accept the suffix and set it. */
bool gendir_parse_name(const char *name, struct gendir_id *id, bool *partial);
void gendir_format_name(struct gendir_id id, bool partial, char name[40]);
/* How another generation calls id's pages.zst, to which it has a link; and back, exactly. */
void gendir_format_link(struct gendir_id id, char name[48]);
bool gendir_parse_link(const char *name, struct gendir_id *id);
/* <0, 0, >0 like strcmp: by epoch, then sequence. */
int gendir_compare(struct gendir_id a, struct gendir_id b);

/* Open BASE: absolute path, directory owned by uid (or by root with the sticky bit and a subdirectory of
 * ours below is not enough: refused), not writable by group or others.  The caller's euid must be uid.
 * Creates what is missing of the path (0700) with `create`. Returns a directory fd. */
int gendir_open_base(const char *base, uid_t uid, bool create, struct err *err);

/* Open the task's directory below BASE for this job (job directory and task directory), creating both
 * (0700) with `create`.  Each must be owned by f->uid and not group/other writable.  errno ENOENT: the base is
 * there but the job has no directory; ENXIO: there is no base (not mounted?). */
int gendir_open_task(const struct facts *f, bool create, struct err *err);

/* The nonce of a job's directory in BASE, of several the one that changed last (a job id may come again).  errno
 * ENOENT: there is none; ENXIO: no BASE. */
int gendir_find_job(const struct facts *f, uint32_t job, char nonce[17], struct err *err);
/* The same of f's source_job and source_task: for a task of an array also its own id, which is in the directory's name. */
int gendir_find_source(const struct facts *f, uint32_t *job, char nonce[17], struct err *err);

/* Beneath dirfd, open one name (no slash) with the resolve flags above plus O_CLOEXEC|O_NOFOLLOW|
 * O_NONBLOCK; regular files only are returned by gendir_open_file (fstat), directories by
 * gendir_open_dir.  Both must belong to the caller's euid and not be writable by others, a file must have
 * one link; O_CREAT means O_CREAT|O_EXCL, O_TRUNC is refused. */
int gendir_open_file(int dirfd, const char *name, int flags, unsigned mode, struct err *err);
int gendir_open_dir(int dirfd, const char *name, struct err *err);
/* A file to be read that other generations may have links to. */
int gendir_open_shared(int dirfd, const char *name, struct err *err);

/* All complete generations, newest first.  *ids is malloc'ed, the caller frees it.  Returns the count. */
int gendir_list(int taskfd, struct gendir_id **ids, struct err *err);

/* Make the .partial directory of the next generation (highest sequence of any name seen + 1). Left-over
 * .partial directories of this and older epochs are removed first (those of older ones renamed before, so that who
 * still writes into one cannot commit it).  ESTALE: a newer epoch has been here, so
 * this copy of the job has a successor and must not write any more.  Returns its fd. */
int gendir_begin(int taskfd, uint32_t epoch, struct gendir_id *id, struct err *err);

/* fsync the partial directory, rename it to its final name, fsync the task directory.  ESTALE: a newer epoch has been
 * here meanwhile, or the directory is not where it was made. */
int gendir_commit(int taskfd, int genfd, struct gendir_id id, struct err *err);

/* JOBDIR/steps/epoch: the newest start of the job that has begun, on whatever node. */
#define GENDIR_FENCE "epoch"

/* This start of the job begins: from here on no task of an older one, which a lost node may still run, commits a
 * generation; what one is writing is taken away.  Called once, with the batch task's directory, before any generation is looked
 * for.  ESTALE: a newer start has begun. */
int gendir_fence(int taskfd, uint32_t epoch, struct err *err);

/* 0: there is none. */
int gendir_fence_read(int taskfd, uint32_t *epoch, struct err *err);

/* ESTALE: a newer start of the job than `epoch` has begun.  For every task's directory. */
int gendir_fence_check(int taskfd, uint32_t epoch, struct err *err);

/* Take away what older starts than `epoch` are writing. */
int gendir_sweep(int taskfd, uint32_t epoch, struct err *err);

/* Remove a generation (or its partial): rename to .partial first so that a half-removed one is never taken
 * for complete, unlink the regular files in it, rmdir.  When anything but the parts of manifest.h, links to
 * those of others and PART.tmp is in it, nothing is touched: -1, ENOTEMPTY. */
int gendir_remove(int taskfd, struct gendir_id id, bool partial, struct err *err);

/* Keep the `keep` newest complete generations, remove older ones; `last_good` is never removed. Returns
 * the number removed. */
int gendir_prune(int taskfd, unsigned keep, struct gendir_id last_good, struct err *err);

/* The job ended well: remove all generations and partials of f->task (and, if that is "batch", of all steps), the copies, request/, answer/, log/,
 * events*, the task's directory, and the job's unless another task has something in it.  Only names that this
 * project makes are unlinked; anything else stays, with the directories above it: -1 with a text. */
int gendir_remove_job(const struct facts *f, struct err *err);

/* What f->task (and, if that is "batch", any task of a step) has to go on from: the number of generations, and of steps'
 * tasks that have ended and need not run again.  0 also when it has no directory; -1 when that cannot be known. */
int gendir_saved(const struct facts *f, struct err *err);

#endif
