/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * event - the history of a task, which `scheckpoint error` and `list` read.
 *
 * One JSON object per line, appended to TASK/events: {"time", "epoch", "node", "event", "generation",
 * "text", "pause_us", "stored_bytes", "total_ms"}.  event is one of: started, checkpoint,
 * checkpoint-failed, skipped, vetoed, restored, restore-failed, elsewhere, scratch, rerun, requeue, ended, cancelled, held, note,
 * last-begun (Slurm ends the job: a last checkpoint is to be made; nothing after it: SIGKILL came first).
 */
#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include "common/err.h"

#include <stdint.h>

#define EVENTS_FILE "events"
#define EVENTS_OLD "events.1"
#define EVENTS_MAX_BYTES (1u << 20) /* beyond it a new file is started, the old one is events.1 */

struct event {
    char time[32]; /* "" on write: now */
    uint32_t epoch;
    char node[64];
    char event[24];
    char generation[32];
    char text[512];
    uint32_t pause_us, total_ms;
    uint64_t stored_bytes;
};

/* Both take the task directory's fd (gendir_open_task).  event_add is one append and one fdatasync. */
int event_add(int taskfd, const struct event *e, struct err *err);
/* Calls fn for each event of events.1 and events, oldest first, until it returns non-zero.  Malformed
 * lines are skipped.  Returns 0, also when there is none. */
int event_each(int taskfd, int (*fn)(const struct event *, void *), void *arg, struct err *err);

#endif
