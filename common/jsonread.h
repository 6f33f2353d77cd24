/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * jsonread - read JSON that somebody hostile may have written.
 */
#ifndef COMMON_JSONREAD_H
#define COMMON_JSONREAD_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONREAD_MAX_DEPTH 8
/* No more values in one text than the kernel has pids (PID_MAX_LIMIT): a short text can otherwise unfold into
 * gigabytes of empty arrays. */
#define JSONREAD_MAX_VALUES (4u << 20)

/* Parse one JSON object: nothing behind it, no repeated key, no zero byte, depth and number of values as above.
 * Returns a new reference (json_decref), or NULL with EBADMSG. */
json_t *jsonread_object(const char *text, size_t len, struct err *err);

/* The member `key` of o: its text, or NULL when it is missing or no string. */
const char *jsonread_string(const json_t *o, const char *key);

/* The member `key` of o, an integer within [min, max]; false (and *v untouched) otherwise. */
bool jsonread_u64(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *v);
bool jsonread_u32(const json_t *o, const char *key, uint32_t min, uint32_t max, uint32_t *v);

/* Printable ASCII and NUL-terminated within `size` bytes? */
bool jsonread_printable(const char *s, size_t size);

#endif
