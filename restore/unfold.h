/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * unfold - one compressed frame of pages.zst back into its raw bytes.
 */
#ifndef RESTORE_UNFOLD_H
#define RESTORE_UNFOLD_H

#include "common/facts.h"

#include <stddef.h>
#include <stdint.h>

/* One thread's context. */
struct unfold;

struct unfold *unfold_create(enum facts_compress compress); /* not NONE; NULL: no memory */
void unfold_destroy(struct unfold *u);                      /* NULL is fine */

/* The `len` bytes must be one frame that unfolds to exactly `raw` bytes at `to`, no byte more is written.  NULL, or
 * (static) what is wrong. */
const char *unfold_frame(struct unfold *u, const uint8_t *stored, size_t len, uint8_t *to,
                         size_t raw);

#endif
