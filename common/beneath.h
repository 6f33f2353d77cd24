/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * beneath - open what lies in a directory of the job's user without being led elsewhere.
 *
 * One name at a time with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
 * RESOLVE_NO_XDEV); what came is judged by fstat on the descriptor, never by name again.  Everything is
 * O_CLOEXEC and O_NONBLOCK, so that a FIFO cannot hold us up.  No privilege is needed.
 */
#ifndef COMMON_BENEATH_H
#define COMMON_BENEATH_H

#include "common/err.h"

#include <dirent.h>
#include <stdbool.h>
#include <sys/types.h>

/* A directory by absolute path (the one place where links on the way are followed, as an administrator
 * sets them up; the last component must not be one, and /proc's magic links never count).  Owned by uid,
 * not writable by others.  `create` makes what is missing, 0700.  Returns a descriptor, or -1. */
int beneath_open_path(const char *path, uid_t uid, bool create, struct err *err);

/* A directory below dirfd: owned by uid, not writable by others. */
int beneath_open_dir(int dirfd, const char *name, uid_t uid, struct err *err);

/* A regular file below dirfd: owned by the caller's euid, one link, not writable by others.  O_CREAT
 * means O_CREAT|O_EXCL; O_TRUNC is refused. EPERM: it is there, but not such a file. ENOENT: also
 * when it was replaced while it was opened: the next try finds the new one. */
int beneath_open_file(int dirfd, const char *name, int flags, unsigned mode, struct err *err);

/* The same, read only and with any number of links: what several generations may share. */
int beneath_open_shared(int dirfd, const char *name, struct err *err);

/* A stream over dirfd's names, with a position of its own; ended by beneath_end. */
DIR *beneath_list(int dirfd, struct err *err);
void beneath_end(DIR *d); /* errno kept */

/* Is `name` in dirfd, not followed, the same file as fd? */
bool beneath_same(int fd, int dirfd, const char *name);

#endif
