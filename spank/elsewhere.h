/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * elsewhere - a node that cannot have the job: how often it was sent on, and how long to wait now.
 */
#ifndef SPANK_ELSEWHERE_H
#define SPANK_ELSEWHERE_H

#include "common/event.h"

#include <stdbool.h>
#include <stdint.h>

#define ELSEWHERE_EVENT "elsewhere"
#define ELSEWHERE_FIRST_S 30
#define ELSEWHERE_MOST_S 600

/* Counts over a task's events, oldest first: times in a row that it was sent on, since it last ran. Zero it first. */
struct elsewhere {
    unsigned tries;
};
void elsewhere_count(struct elsewhere *e, const struct event *event);

/* Seconds before the next start: 30, 60, 120 ... 600. */
uint32_t elsewhere_delay(unsigned tries);

#endif
