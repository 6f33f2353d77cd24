/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * slots - so many dumps and restores at once on a node, over all jobs and users.
 *
 * Root opens one file for each keeper (state.h): every keeper has an open file description of its own, whose lock on
 * one byte is one dump.  The kernel gives it back with the keeper's end.  A user could only hold dumps of others up,
 * and cannot even that: nobody but keepers, which no process of his can look into, has the file open.
 */
#ifndef SPANK_SLOTS_H
#define SPANK_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

/* Take one of `most`.  False: all are taken.  Without the file (EBADF), or most 0, there is no limit. */
bool slots_take(int fd, uint32_t most);
void slots_give_back(int fd);

#endif
