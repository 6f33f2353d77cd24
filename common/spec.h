/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * spec - the argument of --checkpoint: a Slurm time (the interval), comma-separated key=value, or both.
 *
 * "auto" alone is interval=auto.
 *
 * files= takes a list of paths, ':' between them or commas: what begins with '/' or './' after a comma
 * goes on with it; given more than once, the lists are joined.
 *
 * Times as Slurm 19.05 took them for --checkpoint: minutes; minutes:seconds; hours:minutes:seconds;
 * days-hours; days-hours:minutes; days-hours:minutes:seconds.
 */
#ifndef COMMON_SPEC_H
#define COMMON_SPEC_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stdint.h>

struct spec {
    bool has_interval, has_keep, has_compress, has_isolation, has_name;
    uint32_t interval; /* seconds */
    uint32_t keep;
    enum facts_compress compress;
    int compress_level;
    enum facts_isolation isolation;
    bool has_overhead, has_max_runtime;
    bool interval_auto;   /* interval=auto, or overhead= */
    uint32_t overhead;    /* thousandths, 1..500 */
    uint32_t max_runtime; /* seconds */
    bool has_files, has_files_limit, has_files_small, has_files_over, has_inputs;
    char files[FACTS_FILES_MAX];
    uint64_t files_limit;
    uint64_t files_small; /* at most FACTS_SMALL_MAX */
    enum facts_choice files_over, inputs;
    char name[25]; /* of a step: [A-Za-z0-9_]{1,24}, "" none */
    bool has_snapshot;
    enum facts_snapshot snapshot;
    bool has_hook_before, has_hook_after, has_hook_restored, has_hook_timeout;
    struct facts_hooks hooks;
    uint32_t hook_timeout; /* seconds, 1..3600 */
    bool has_incremental;
    uint32_t incremental; /* facts.h */
    bool has_restore;
    uint32_t restore_job;
    uint32_t restore_task;       /* 12_3: 4; 0: not a task of an array */
    char restore_generation[32]; /* "": the newest that is good */
};

/* Parse; NULL, "" and "(null)" are the bare option.  On failure *err says what is wrong and what is
 * allowed. */
int spec_parse(const char *text, struct spec *s, struct err *err);

/* A Slurm time to seconds; false when malformed or over 10 years. */
bool spec_parse_time(const char *text, uint32_t *seconds);

/* "none", "lz4", "zstd", "zstd:LEVEL" (1..19) */
bool spec_parse_compress(const char *text, enum facts_compress *c, int *level);

/* Bytes, with K, M, G or T (powers of 1024) if wanted; at most 2^63-1. */
bool spec_parse_size(const char *text, uint64_t *bytes);

/* A generation's name, or short as "0.3", to its name. */
bool spec_parse_generation(const char *text, char name[32]);

/* An absolute path without '..' and control characters. */
bool spec_parse_hook(const char *text, char path[FACTS_HOOK_MAX]);

/* "refuse", "warn" */
bool spec_parse_choice(const char *text, enum facts_choice *c);

extern const char spec_help[]; /* one line: what SPEC may be, in short */

#endif
