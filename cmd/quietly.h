/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * quietly - asks Slurm what is good to know and no more, where there may be no Slurm: libslurm ends a process that finds no
 * slurm.conf, and checkpoints are looked at there, too.
 */
#ifndef CMD_QUIETLY_H
#define CMD_QUIETLY_H

#include "spank/clerk.h"

/* work(arg, result) in a child without output, for 20 s at most.  -1: no answer. */
int quietly(clerk_work work, void *arg, void *result, size_t size);

#endif
