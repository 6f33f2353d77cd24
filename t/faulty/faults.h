/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * faults - which operation of faulty is to fail, and how.  faulty.c tells the language of the plans.
 */
#ifndef T_FAULTY_FAULTS_H
#define T_FAULTY_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum faults_op {
    FAULTS_GETATTR,
    FAULTS_OPEN,
    FAULTS_READ,
    FAULTS_OPENDIR,
    FAULTS_STATFS,
    /* from here on: "change" */
    FAULTS_MKDIR,
    FAULTS_CREATE,
    FAULTS_WRITE,
    FAULTS_FLUSH,
    FAULTS_FSYNC,
    FAULTS_FSYNCDIR,
    FAULTS_RENAME,
    FAULTS_UNLINK, /* rmdir, too */
    FAULTS_LINK,   /* a hard link */
};

/* Set a plan; 0 or -EINVAL. */
int faults_plan(const char *text, size_t len);

/* Operations of the plan's kind since it was set. */
unsigned faults_count(void);

/* At the beginning of an operation on path (the open file fd, or -1) by a thread `caller`: 0, or the negative errno
 * that it is to fail with.  May take its time. */
int faults_before(enum faults_op op, const char *path, int fd, pid_t caller);

/* Is what this operation read to be altered? */
bool faults_alter(void);

/* At the end of every operation that did not fail in faults_before. */
void faults_after(void);

#endif
