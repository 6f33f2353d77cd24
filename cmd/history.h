/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * history - the runs of a job, for people.
 */
#ifndef CMD_HISTORY_H
#define CMD_HISTORY_H

#include "common/history.h"

#include <jansson.h>

/* Ask Slurm whether the last run of the caller's job is running, unless its end is known.  No answer: it is not. */
void history_ask(uint32_t job, struct history *h);

/* A table on stdout and a line of sums. -1 without memory. */
int history_print(uint32_t job, const struct history *h);
json_t *history_json(uint32_t job, const struct history *h);
/* One HTML page with a drawing (SVG), which needs nothing else; all that is not ours is escaped. */
void history_html(uint32_t job, const struct history *h);

#endif
