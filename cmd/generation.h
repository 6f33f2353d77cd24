/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * generation - what the manifest of a generation says, for people.
 */
#ifndef CMD_GENERATION_H
#define CMD_GENERATION_H

#include "cmd/base.h"
#include "common/gendir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation {
    struct base_job job;
    struct gendir_id id;
    bool damaged;
    char why[512];    /* damaged: what is wrong, one clean line */
    char created[32]; /* RFC 3339; damaged: of the directory, "" when not known */
    char reason[24], node[64];
    uint32_t pause_us, total_ms;
    uint64_t raw_bytes, stored_bytes;
    uint64_t written_bytes; /* of stored_bytes: not taken over from an earlier one */
    size_t processes;
    bool more_processes; /* at least so many: the manifest is very long */
};

/* Read the manifest of generation id of job j and look at the sizes of its parts; nothing else is
 * read, and neither digests nor the seal are checked: that is what a restore and `scheckpoint verify`
 * do. Of a long manifest the processes are only counted, and of that 256 KiB are read at most. */
void generation_load(int taskfd, const struct base_job *j, struct gendir_id id,
                     struct generation *g);

#endif
