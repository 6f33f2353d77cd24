/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * become - for root: do something as a user, in a child that has become him for good.
 */
#ifndef CMD_BECOME_H
#define CMD_BECOME_H

#include "common/err.h"

/* Fork a child that closes what it inherited but stdio, takes the user's groups and ids, gives up
 * every capability, proves both, and runs fn(arg): its value is the child's exit status, which is
 * returned.  Needs euid 0.  -1 with a text: there is no such user, it is uid 0, or the child did
 * not get that far or was killed.  The child dies with its parent. */
int become_run(const char *user, int (*fn)(void *), void *arg, struct err *err);

#endif
