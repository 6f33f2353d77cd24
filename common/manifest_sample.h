/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * manifest_sample - for unit tests: a manifest that is right in every field, and its JSON.
 */
#ifndef COMMON_MANIFEST_SAMPLE_H
#define COMMON_MANIFEST_SAMPLE_H

#include "common/manifest.h"

#include <jansson.h>

#define SAMPLE_SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Job 42.0123456789abcdef of uid 1000 on cluster "test", task "batch", gen-0002-000007, pids 300 (threads 300-302)
 * and 310.  Its processes are static: good until the next call, not to be freed. */
struct manifest manifest_sample(void);

/* The same as a new JSON object. */
json_t *manifest_sample_json(void);

/* What manifest_decode says to o, which is given up.  On a refusal errno, text and output are checked too: ends
 * the program when they are not as they should be. */
int manifest_sample_decode(json_t *o);

#endif
