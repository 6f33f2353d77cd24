/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * progress - tell a waiting person that something goes on: on a terminal one line that changes,
 * else a line every ten seconds; nothing in the first two.
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t start_ms, told_ms;
    bool tty;     /* stderr is a terminal */
    bool showing; /* a line is on it */
    unsigned turn;
};

int64_t progress_now_ms(void); /* CLOCK_MONOTONIC */
void progress_start(struct progress *p);
int64_t progress_elapsed_ms(const struct progress *p);
/* Call often; `what` is one short clean line. */
void progress_show(struct progress *p, const char *what);
/* Wipe the line. */
void progress_end(struct progress *p);

#endif
