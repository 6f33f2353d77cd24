/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * jobnote - our note "[checkpoint TIME: TEXT]" in a job's comment, beside what its owner, or the site, has written there.
 */
#ifndef COMMON_JOBNOTE_H
#define COMMON_JOBNOTE_H

#include <stddef.h>

/* The comment with this note at its end, in place of the one that it had; what else is there stays as it is.  when: as of
 * ISO 8601; text: a ']' in it becomes a ')'.  malloc'ed; NULL without memory. */
char *jobnote_put(const char *comment, const char *when, const char *text);

/* The comment's note without its brackets, "TIME: TEXT", cut to size - 1 bytes; "" when there is none. */
void jobnote_get(const char *comment, char *note, size_t size);

#endif
