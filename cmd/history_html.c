/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LEFT 170.0
#define WIDTH 760.0
#define ROW 26

struct scale {
    int64_t first, span;
};

static double x_of(const struct scale *s, int64_t at)
{
    return LEFT + WIDTH * (double)(at - s->first) / (double)s->span;
}

/* Only what is safe between tags and in attributes. */
static void put(const char *text)
{
    for (; *text; text++)
        if (strchr("<>&\"'", *text))
            printf("&#%d;", *text);
        else if (*text >= 0x20 && *text < 0x7f)
            putchar(*text);
        else
            putchar('?');
}

static void put_time(int64_t at)
{
    time_t t = (time_t)at;
    char text[32] = "?";
    struct tm tm;

    if (gmtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    fputs(text, stdout);
}

static void put_mark(const struct scale *s, const struct history_mark *m, int y)
{
    const char *color = !strcmp(m->event, "checkpoint") ? "#1a7f37" : "#bc4c00";
    double x = x_of(s, m->at);

    printf("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\" "
           "stroke-width=\"2\"><title>",
           x, y, x, y + 18, color);
    put(m->event);
    putchar(' ');
    put(m->generation);
    putchar(' ');
    put_time(m->at);
    printf(" UTC, pause %.1f ms</title></line>\n", m->pause_us / 1000.0);
}

static void put_bar(double x, double width, int y, const char *color)
{
    printf("<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"14\" fill=\"%s\"/>\n", x, y + 2,
           width > 1 ? width : 1, color);
}

static void put_run(const struct scale *s, const struct history_run *r, int y)
{
    double x = x_of(s, r->start), end = x_of(s, r->end), lost = x_of(s, r->end - r->lost);

    printf("<text x=\"4\" y=\"%d\">%u ", y + 14, r->epoch);
    put(r->began);
    fputs(" ", stdout);
    put(r->node);
    fputs("</text>\n", stdout);
    put_bar(x, end - x, y, "#54aeff");
    if (r->lost > 0)
        put_bar(lost, end - lost, y, "#ff8182");
    for (size_t i = 0; i < r->nmarks; i++)
        put_mark(s, &r->marks[i], y);
}

void history_html(uint32_t job, const struct history *h)
{
    struct scale s = {h->n ? h->runs[0].start : 0, 1};

    for (size_t i = 0; i < h->n; i++)
        if (h->runs[i].end - s.first > s.span)
            s.span = h->runs[i].end - s.first;
    printf(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>job %u</title>\n"
        "<style>body{font:14px sans-serif}svg text{font:12px sans-serif}</style></head><body>\n"
        "<h1>Job %u</h1>\n<p>%zu runs; %" PRId64 " s run, %" PRId64
        " s of it lost (red). Green: a checkpoint; brown: what went wrong.</p>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\">\n",
        job, job, h->n, history_ran(h, UINT32_MAX), history_lost(h), (int)(LEFT + WIDTH + 20),
        h->n * ROW + 30);
    for (size_t i = 0; i < h->n; i++)
        put_run(&s, &h->runs[i], (int)i * ROW + 4);
    printf("<text x=\"%d\" y=\"%zu\">", (int)LEFT, h->n * ROW + 22);
    put_time(s.first);
    printf("</text><text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", (int)(LEFT + WIDTH),
           h->n * ROW + 22);
    put_time(s.first + s.span);
    fputs(" UTC</text>\n</svg></body></html>\n", stdout);
}
