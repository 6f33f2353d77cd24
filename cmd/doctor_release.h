/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * doctor_release - does this build fit the Slurm of a node?
 */
#ifndef CMD_DOCTOR_RELEASE_H
#define CMD_DOCTOR_RELEASE_H

#include "check/preflight.h"

#include <stdbool.h>
#include <stddef.h>

struct doctor_release {
    unsigned major, minor; /* 24, 11 */
};

/* slurmctld, slurmd: their versions as Slurm tells them ("24.11.5"), NULL or no number where it does not.  What loads the
 * plugin is slurmd's; slurmctld may be of a later release while a cluster is upgraded.  The text is for the admin. */
enum preflight_verdict doctor_release_judge(const char *slurmctld, const char *slurmd,
                                            struct doctor_release built, char *text, size_t size);

#endif
