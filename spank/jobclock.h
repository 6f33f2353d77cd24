/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * jobclock - a CLOCK_MONOTONIC for the task that goes on when the job is restored on another node.
 *
 * The kernel's counts from the start of the node.  A program that was saved in a sleep until a moment of it (Python's and
 * glibc's sleeps are that) would sleep on a node that was started later until that has run as long as the old one: days.
 * CRIU 4.2 gives a time namespace only to what it restores as root.  So the task gets one before anything of it runs, in
 * which the clock counts from JOBCLOCK_ORIGIN by the node's CLOCK_REALTIME: equal on all nodes, as if the program had been
 * stopped in between.  CLOCK_BOOTTIME stays the node's: /proc tells start times by it.
 *
 * Where it cannot be had, the clock is the node's, and after a restore it is told when it has gone back
 * (shepherd_place.c).
 */
#ifndef SPANK_JOBCLOCK_H
#define SPANK_JOBCLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define JOBCLOCK_ORIGIN INT64_C(1577836800) /* 2020-01-01 00:00:00 UTC */

/* In task_init_privileged, with CAP_SYS_ADMIN and CAP_SYS_TIME.  jobclock_possible() forks, so it must come before the pid
 * namespace of nsroot.h, jobclock_set() after that: its namespace is the one whose capabilities count. */
bool jobclock_possible(void);
void jobclock_set(
    void); /* for what the task forks or executes from now on; on failure nothing changes */

#endif
