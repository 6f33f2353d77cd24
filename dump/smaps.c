/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *smaps_read(int fd)
{
    size_t len = 0, room = 1u << 20;
    char *text = malloc(room + 1);
    ssize_t n = 0;

    while (text && (n = read(fd, text + len, room - len)) > 0) {
        len += (size_t)n;
        if (len == room) {
            char *more = room < SMAPS_MAX ? realloc(text, 2 * room + 1) : NULL;

            if (!more) {
                errno = room < SMAPS_MAX ? ENOMEM : EFBIG;
                free(text);
            }
            text = more;
            room *= 2;
        }
    }
    if (text && n < 0) {
        free(text);
        return NULL;
    }
    if (text)
        text[len] = '\0';
    return text;
}

char *smaps_read_of(pid_t pid, const char *name)
{
    char path[48], *text;
    int fd, saved;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    text = smaps_read(fd);
    saved = errno;
    close(fd);
    errno = saved;
    return text;
}

/* One area of smaps: its first line and its flags, neither ends in a NUL. */
struct area {
    const char *head, *flags;
    size_t head_len, flags_len;
    uint64_t start, end;
};

/* The next one at *at, which goes on.  False: there is none, or what is there is not smaps (then *at is not at the end). */
static bool next_area(const char **at, struct area *a)
{
    const char *line = *at;
    char *end;

    memset(a, 0, sizeof *a);
    while (*line && !a->flags) {
        const size_t len = strcspn(line, "\n");

        if (!a->head) {
            a->head = line;
            a->head_len = len;
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            a->flags = line + 8;
            a->flags_len = len - 8;
        } else if (*line < 'A' || *line > 'Z') {
            return false;
        }
        line += len + (line[len] == '\n');
    }
    if (!a->flags)
        return false;
    a->start = strtoull(a->head, &end, 16);
    if (end == a->head || *end != '-')
        return false;
    a->end = strtoull(end + 1, NULL, 16);
    *at = line;
    return a->end > a->start;
}

static bool has_flag(const struct area *a, const char *flag)
{
    for (size_t i = 0; i + 1 < a->flags_len; i++)
        if (a->flags[i] == flag[0] && a->flags[i + 1] == flag[1])
            return true;
    return false;
}

static uint64_t field(const char *status, const char *key)
{
    const char *at = strstr(status, key);

    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

bool smaps_same_areas(const char *smaps, const char *maps, const char *status)
{
    uint64_t locked = 0;
    struct area a;

    while (next_area(&smaps, &a)) {
        const size_t len = strcspn(maps, "\n");

        if (len != a.head_len || memcmp(maps, a.head, len) != 0 || has_flag(&a, "dc"))
            return false;
        if (has_flag(&a, "lo"))
            locked += (a.end - a.start) >> 10;
        maps += len + (maps[len] == '\n');
    }
    return !*smaps && !*maps && locked == field(status, "\nVmLck:");
}

/* Those that a fork does not keep, or that say only what has been written to. */
static bool may_differ(const char *flag)
{
    return !memcmp(flag, "lo", 2) || !memcmp(flag, "lf", 2) || !memcmp(flag, "sd", 2);
}

/* The next flag that counts, of two letters at least; NULL: there is none. */
static const char *next_flag(const struct area *a, size_t *at, size_t *len)
{
    while (*at < a->flags_len) {
        const char *flag = a->flags + *at;
        size_t n = 0;

        while (*at + n < a->flags_len && flag[n] != ' ')
            n++;
        *at += n + 1;
        if (n > 0 && (n != 2 || !may_differ(flag))) {
            *len = n;
            return flag;
        }
    }
    return NULL;
}

static bool same_flags(const struct area *a, const struct area *b)
{
    size_t i = 0, j = 0;

    for (;;) {
        size_t n = 0, m = 0;
        const char *f = next_flag(a, &i, &n), *g = next_flag(b, &j, &m);

        if (!f || !g)
            return !f && !g;
        if (n != m || memcmp(f, g, n) != 0)
            return false;
    }
}

bool smaps_same_flags(const char *smaps, const char *copy)
{
    struct area a, b = {.end = 0};

    while (next_area(&smaps, &a)) {
        while (b.end <= a.start)
            if (!next_area(&copy, &b))
                return false;
        /* A stack grows when words are put below it. */
        if (b.end != a.end || (b.start != a.start && !(has_flag(&a, "gd") && b.start < a.start)) ||
            !same_flags(&a, &b))
            return false;
    }
    return !*smaps;
}
