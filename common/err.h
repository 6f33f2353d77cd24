/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * err - one error text per operation.
 *
 * A function that can fail takes `struct err *` and on failure returns -1 (or NULL) with errno set
 * and one line of text in it: what failed, on what, why.  The text is set where the cause is known
 * and prefixed on the way up.  A NULL err is allowed everywhere.  On success the text is left
 * alone.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdarg.h>

struct err {
    char text[512];
};

/* Set the text; errno is kept.  Returns -1 so that `return err_set(...)` reads well. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As err_set, and append ": " and strerror(errno).  errno is kept. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "prefix: " before the text that is there.  errno is kept.  Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The text is of a file in dir that could not be made or written.  Where errno is one that only dir's owner can mend
 * (EACCES, EROFS; ENOSPC, EDQUOT), and the text does not name dir (then it says more), put "dir: " before it, and
 * behind it what makes room.  errno is kept.  Returns -1. */
int err_dir(struct err *e, const char *dir);

/* Replace control characters and bytes >= 0x7f in place by '?', so that the text is safe for a
 * terminal, a log or a line-based protocol. */
void err_clean(char *text);

/* An analyzer sees one file at a time and cannot know that these return nothing else. */
#ifdef __clang_analyzer__
#define err_set(...) ((err_set)(__VA_ARGS__), -1)
#define err_sys(...) ((err_sys)(__VA_ARGS__), -1)
#define err_prefix(...) ((err_prefix)(__VA_ARGS__), -1)
#define err_dir(...) ((err_dir)(__VA_ARGS__), -1)
#endif

#endif
