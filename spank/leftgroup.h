/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * leftgroup - the control group that Slurm 22.05 to 24.11 forget when a task starts (cgroup v2).
 *
 * slurmstepd puts a new task into user/task_special and from there into user/task_N, removes the former and strikes it
 * from its list, even if it could not be removed because a process is in it still (cgroup_v2.c, _find_purge_task_special;
 * gone since 25.05).  A task with checkpoints has children that early, those who make its namespaces: whether one of them
 * is in task_special at that moment is a race.  At the end of the step the directory, empty by then, keeps those above it
 * from being removed: job_N stays until the node boots.
 */
#ifndef SPANK_LEFTGROUP_H
#define SPANK_LEFTGROUP_H

#include <stddef.h>

/* text: what /proc/self/cgroup of a slurmstepd holds.  path[size] becomes the directory that may be left, below the mount
 * of the cgroup v2 filesystem.  0, or -1 (errno ENOENT): this is no step of Slurm's in cgroup v2. */
int leftgroup_path(const char *text, char *path, size_t size);

/* In slurmstepd, as root, when all of the step's processes have ended and before it removes its control groups.  A
 * directory that is not there, or has processes in it, is left alone. */
void leftgroup_remove(void);

#endif
