/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/text.h"

#include "common/err.h"
#include "common/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void text_bytes(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 999.5 && u + 1 < sizeof units / sizeof units[0]) {
        v /= 1024;
        u++;
    }
    snprintf(out, 16, u > 0 && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void text_microseconds(uint64_t us, char out[16])
{
    double v = (double)us;

    if (v < 9950)
        snprintf(out, 16, "%.1f ms", v / 1e3);
    else if (v < 999500)
        snprintf(out, 16, "%.0f ms", v / 1e3);
    else
        snprintf(out, 16, v < 9.95e6 ? "%.1f s" : "%.0f s", v / 1e6);
}

void text_local_time(const char *rfc3339, char out[32])
{
    struct tm tm, local;
    const char *end;
    time_t t;

    memset(&tm, 0, sizeof tm);
    end = strptime(rfc3339, "%Y-%m-%dT%H:%M:%SZ", &tm);
    t = end && *end == '\0' ? timegm(&tm) : (time_t)-1;
    if (t == (time_t)-1 || !localtime_r(&t, &local) ||
        strftime(out, 32, "%Y-%m-%d %H:%M:%S", &local) == 0)
        memcpy(out, "?", 2);
}

bool text_parse_age(const char *text, uint32_t *seconds)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    const uint64_t most = 3660u * 86400;
    uint64_t v = 0;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9' && v <= most; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    for (size_t i = 0; p > text && *p && !p[1] && i < sizeof units / sizeof units[0]; i++)
        if (*p == units[i].unit && v * units[i].seconds <= most) {
            *seconds = (uint32_t)(v * units[i].seconds);
            return true;
        }
    return spec_parse_time(text, seconds);
}

struct text_table {
    size_t columns, cells, room;
    char **cell;
    size_t *width;
};

struct text_table *text_table_create(size_t columns)
{
    struct text_table *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->columns = columns;
    t->width = calloc(columns, sizeof *t->width);
    if (!t->width) {
        text_table_destroy(t);
        return NULL;
    }
    return t;
}

void text_table_destroy(struct text_table *t)
{
    int saved = errno;

    if (!t)
        return;
    for (size_t i = 0; i < t->cells; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t->width);
    free(t);
    errno = saved;
}

int text_table_add(struct text_table *t, const char *cell)
{
    size_t column = t->cells % t->columns, len = strlen(cell);

    if (t->cells == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        char **bigger = realloc(t->cell, room * sizeof *bigger);

        if (!bigger)
            return -1;
        t->cell = bigger;
        t->room = room;
    }
    t->cell[t->cells] = strdup(cell);
    if (!t->cell[t->cells])
        return -1;
    err_clean(t->cell[t->cells++]);
    if (len > t->width[column])
        t->width[column] = len;
    return 0;
}

void text_table_print(const struct text_table *t, unsigned right, FILE *to)
{
    for (size_t i = 0; i < t->cells; i++) {
        size_t column = i % t->columns;
        bool last = column + 1 == t->columns, flush_right = (right >> column) & 1;
        int width = (int)t->width[column];

        /* No blanks at the end of a line. */
        if (flush_right)
            fprintf(to, "%*s%s", width, t->cell[i], last ? "\n" : "  ");
        else if (last)
            fprintf(to, "%s\n", t->cell[i]);
        else
            fprintf(to, "%-*s  ", width, t->cell[i]);
    }
}
