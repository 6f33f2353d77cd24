/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void put(struct err *e, const char *tail,
                                                      const char *fmt, va_list ap)
{
    char text[sizeof e->text];
    int n = vsnprintf(text, sizeof text, fmt, ap);

    if (n < 0)
        text[n = 0] = 0;
    if (tail && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", tail);
    memcpy(e->text, text, sizeof text);
    err_clean(e->text);
}

int err_set(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (e) {
        va_start(ap, fmt);
        put(e, NULL, fmt, ap);
        va_end(ap);
    }
    errno = saved ? saved : EINVAL;
    return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (e) {
        va_start(ap, fmt);
        put(e, strerror(saved), fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (e) {
        char old[sizeof e->text];

        memcpy(old, e->text, sizeof old);
        va_start(ap, fmt);
        put(e, old, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return -1;
}

int err_dir(struct err *e, const char *dir)
{
    static const char remedy[] = "; make room there: scheckpoint prune removes checkpoints";
    const int error = errno;
    const bool full = error == ENOSPC || error == EDQUOT;
    size_t len;

    if (!e || (!full && error != EACCES && error != EROFS))
        return -1;
    if (!strstr(e->text, dir)) {
        err_prefix(e, "%.300s", dir);
        len = strlen(e->text);
        if (full && len + sizeof remedy <= sizeof e->text)
            memcpy(e->text + len, remedy, sizeof remedy);
    }
    errno = error;
    return -1;
}

void err_clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}
