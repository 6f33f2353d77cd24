/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * history - the runs of a job, from the events of its task (event.h).
 */
#ifndef COMMON_HISTORY_H
#define COMMON_HISTORY_H

#include "common/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_RUNS_MAX 10000

/* Times are seconds since the epoch; 0: not known. */
struct history_mark {
    int64_t at;
    char event[24];
    char generation[32];
    uint32_t pause_us;
};

struct history_run {
    uint32_t epoch; /* restart count */
    char node[64];
    char began[24];      /* "started", "restored", "scratch", ... */
    char generation[32]; /* restored from it */
    int64_t start, end;  /* first and last event of it; running: now */
    bool ended;          /* at `end`; else it may have gone on after it: killed, or running */
    bool ending;         /* its last checkpoint has begun */
    bool running;        /* who knows it has set it, and `end` */
    unsigned saved, failed;
    int64_t last_saved;
    int64_t lost; /* seconds of it that a later run had to do again; not ended: at least */
    size_t nmarks;
    struct history_mark *marks; /* checkpoints and what went wrong */
};

struct history {
    size_t n;
    struct history_run *runs;
};

/* Add the task's next event; for event_each(): arg is the struct history, zero at first. 1 without memory. */
int history_add(const struct event *e, void *arg);
void history_free(struct history *h); /* what h holds */

/* Seconds that it has run, in all runs before `epoch`; and those that were lost. */
int64_t history_ran(const struct history *h, uint32_t epoch);
int64_t history_lost(const struct history *h);

/* "2026-01-31T23:59:59Z" to seconds; 0: malformed. */
int64_t history_time(const char *rfc3339);

#endif
