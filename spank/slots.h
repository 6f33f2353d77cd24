/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * slots - so many dumps and restores at once on a node, over all jobs and users.
 *
 * Root opens one file for each keeper (state.h): every keeper has an open file description of its own, whose lock on
 * one byte is one dump; a record behind the bytes tells whose, and since when.  The kernel gives the lock back with the
 * keeper's end.  Nobody but keepers, which no process of a user can look into, has the file open.
 *
 * A user can stop his keeper (SIGSTOP) while it has a slot, or keep all of his jobs dumping.  So that nobody else waits
 * for him for ever: a slot that is older than any dump may be is not counted, and one user's are never all of them.
 */
#ifndef SPANK_SLOTS_H
#define SPANK_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SLOTS_FILE_MAX 4096u /* bytes for locks; records follow */

struct slots_claim {
    uint32_t most;    /* of all users; 0: no limit */
    uint64_t seconds; /* that a dump or restore may take at most */
    uid_t uid;
};

/* How many of `most` one user may have: all but one, and at least one. */
uint32_t slots_share(uint32_t most);

/* Take one.  False: all are taken, or all that this user may have.  Without the file (EBADF) there is no limit. */
bool slots_take(int fd, const struct slots_claim *c);
void slots_give_back(int fd);

#endif
