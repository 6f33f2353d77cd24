/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * priority - once the job runs again, it comes first.
 */
#ifndef DUMP_PRIORITY_H
#define DUMP_PRIORITY_H

#include <stdbool.h>

/* Lower priority for the processors and the disk, for all threads of this process; without `all` the main one stays what
 * it is, because it watches how much memory is left. */
void priority_lower(bool all);

#endif
