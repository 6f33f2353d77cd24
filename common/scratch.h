/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * scratch - for unit tests: a directory that is gone afterwards, and a child with another uid.
 */
#ifndef COMMON_SCRATCH_H
#define COMMON_SCRATCH_H

#include "common/facts.h"

#include <stddef.h>
#include <sys/types.h>

/* A user that no test machine gives anything to. */
#define SCRATCH_UID 61234

/* A new directory, mode 0700, below $TMPDIR or /tmp; path is its absolute name. Ends the program when
 * it cannot be made. */
void scratch_make(char path[256]);

/* Facts of job 42 on cluster "test", our own uid's, whose checkpoints lie in base; all else is zero. */
void scratch_facts(struct facts *f, const char *base);

/* Remove it and everything in it. */
void scratch_remove(const char *path);

/* Write text (len bytes; 0: up to its NUL) into the file dirfd/name, made with mode. */
void scratch_write(int dirfd, const char *name, const char *text, size_t len, mode_t mode);

/* fn(arg) in a child that has become uid (root only): its return value is the child's exit status, which
 * is returned; -1 when it did not exit. */
int scratch_as(uid_t uid, int (*fn)(void *), void *arg);

/* Skip the running test unless euid is 0; says why. */
#define SCRATCH_NEED_ROOT()                                                                        \
    do {                                                                                           \
        if (geteuid() != 0) {                                                                      \
            print_message("# skipped: needs root to own files as another user\n");                 \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
