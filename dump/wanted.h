/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * wanted - is the checkpoint that is being made still wanted?
 */
#ifndef DUMP_WANTED_H
#define DUMP_WANTED_H

#include "common/err.h"

#include <poll.h>
#include <stdint.h>

struct wanted {
    int cancel_fd;    /* readable: no (ECANCELED) */
    int result_fd;    /* a pipe's writing end: no when its reader, the keeper, is gone (EPIPE) */
    int64_t deadline; /* of runclock_ms(): no after it (ETIMEDOUT) */
};

/* For a poll() that waits for other things too. */
#define WANTED_FDS 2
void wanted_pollfds(const struct wanted *w, struct pollfd fds[WANTED_FDS]);

/* After that poll(): 0, or -1 with errno as above and a text. */
int wanted_look(const struct wanted *w, const struct pollfd fds[WANTED_FDS], struct err *err);

/* The same without one. */
int wanted_still(const struct wanted *w, struct err *err);

#endif
