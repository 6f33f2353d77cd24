/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/maps-line.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

bool maps_parse_line(const char *text, size_t len, struct maps_line *out)
{
    const char *end = memchr(text, '\n', len);
    char head[128], perms[5];
    unsigned maj, min;
    struct maps_line m;
    int at = -1;
    size_t n;

    if (end)
        len = (size_t)(end - text);
    n = len < sizeof head - 1 ? len : sizeof head - 1;
    memcpy(head, text, n);
    head[n] = '\0';
    if (!isxdigit((unsigned char)head[0]) ||
        sscanf(head, "%lx-%lx %4s %lx %x:%x %lu %n", &m.start, &m.end, perms, &m.pgoff, &maj, &min,
               &m.ino, &at) != 7 ||
        at < 0 || m.start >= m.end || strlen(perms) != 4)
        return false;
    m.dev = makedev(maj, min);
    m.shared = perms[3] == 's';
    m.path = text + at;
    n = len - (size_t)at;
    m.path_len = n;
    m.deleted =
        n > sizeof MAPS_DELETED - 1 && *m.path == '/' &&
        !memcmp(text + len - (sizeof MAPS_DELETED - 1), MAPS_DELETED, sizeof MAPS_DELETED - 1);
    *out = m;
    return true;
}
