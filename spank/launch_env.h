/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * launch_env - how the plugin tells the shepherd what it cannot learn otherwise. The shepherd takes
 * these variables out of the environment before the job starts.
 */
#ifndef SPANK_LAUNCH_ENV_H
#define SPANK_LAUNCH_ENV_H

#define LAUNCH_ENV_PROGRAM                                                                         \
    "CHECKPOINT_PROGRAM"                /* argv[0] of the task, where it had to be replaced */
#define LAUNCH_ENV_FDS "CHECKPOINT_FDS" /* "KEEPER,FACTS,PID": descriptors, and the keeper itself */
#define LAUNCH_ENV_HOLD                                                                            \
    "CHECKPOINT_HOLD"                    /* why a restarted job cannot be restored here; with it: */
#define LAUNCH_ENV_DIR "CHECKPOINT_BASE" /* expanded base directory of the job's checkpoints */

#define LAUNCH_ENV_TASK "CHECKPOINT_TASK" /* with HOLD too: the name of the task's directory */

#define LAUNCH_ENV_SOURCE                                                                          \
    "CHECKPOINT_SOURCE" /* with HOLD: the job begins with another's checkpoint, and never from the start */

#define LAUNCH_ENV_OWN "CHECKPOINT_OWN" /* started by scheckpoint run, without the plugin */

/* The value of a signal (sigqueue(3)) with which the shepherd tells ckpt-init that it is for the program's process group.
 * In images too: it stays as it is. */
#define LAUNCH_GROUP_SIGNAL 0x70677270

#endif
