/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * verify_pages - read pages.zst wholly: every frame's digest, and that it unfolds to its size.
 */
#ifndef CMD_VERIFY_PAGES_H
#define CMD_VERIFY_PAGES_H

#include "common/err.h"
#include "restore/verify.h"

#include <stdint.h>

/* Called often, with the stored bytes that have been read so far. */
typedef void verify_pages_tick(uint64_t done, void *arg);

/* In file order, by several threads.  -1 with a text that names the frame: EBADMSG it is damaged,
 * else it could not be read. */
int verify_pages(const struct checkpoint *c, verify_pages_tick *tick, void *arg, struct err *err);

/* One generation wholly: verify_open, then verify_pages.  *bytes: how many were read, also after a
 * failure. */
int verify_whole(int taskfd, struct gendir_id id, const struct facts *f, verify_pages_tick *tick,
                 void *arg, uint64_t *bytes, struct err *err);

#endif
