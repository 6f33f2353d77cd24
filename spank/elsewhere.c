/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/elsewhere.h"

#include <string.h>

void elsewhere_count(struct elsewhere *e, const struct event *event)
{
    static const char *const ran[] = {"started", "checkpoint", "restored", "scratch", "held"};

    if (strcmp(event->event, ELSEWHERE_EVENT) == 0)
        e->tries++;
    for (size_t i = 0; i < sizeof ran / sizeof ran[0]; i++)
        if (strcmp(event->event, ran[i]) == 0)
            e->tries = 0;
}

uint32_t elsewhere_delay(unsigned tries)
{
    uint32_t delay = ELSEWHERE_FIRST_S;

    while (tries-- > 0 && delay < ELSEWHERE_MOST_S)
        delay *= 2;
    return delay < ELSEWHERE_MOST_S ? delay : ELSEWHERE_MOST_S;
}
