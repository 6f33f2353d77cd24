/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 2000
#define LINE_EVERY_MS 10000

int64_t progress_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_start(struct progress *p)
{
    memset(p, 0, sizeof *p);
    p->start_ms = progress_now_ms();
    p->tty = isatty(STDERR_FILENO) == 1;
}

int64_t progress_elapsed_ms(const struct progress *p)
{
    return progress_now_ms() - p->start_ms;
}

void progress_show(struct progress *p, const char *what)
{
    static const char wheel[] = "|/-\\";
    int64_t elapsed = progress_elapsed_ms(p);

    if (elapsed < QUIET_MS)
        return;
    if (p->tty) {
        fprintf(stderr, "\r%c %s, %lld s\033[K", wheel[p->turn++ % 4], what,
                (long long)(elapsed / 1000));
        fflush(stderr);
        p->showing = true;
    } else if (p->told_ms == 0 || elapsed - p->told_ms >= LINE_EVERY_MS) {
        fprintf(stderr, "scheckpoint: %s, %lld s\n", what, (long long)(elapsed / 1000));
        p->told_ms = elapsed;
    }
}

void progress_end(struct progress *p)
{
    if (p->showing)
        fputs("\r\033[K", stderr);
    p->showing = false;
}
