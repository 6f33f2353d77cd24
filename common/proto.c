/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/proto.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Terminated inside the array, and nothing but printable ASCII before the end. */
static bool text_ok(const char *s, size_t size)
{
    size_t n = strnlen(s, size);

    if (n == size)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
            return false;
    return true;
}

static bool reason_ok(const char *s, size_t size)
{
    if (!text_ok(s, size))
        return false;
    for (; *s; s++)
        if (!(*s >= 'a' && *s <= 'z') && *s != '-')
            return false;
    return true;
}

/* "" or the form of GENDIR_NAME; gendir_parse_name() is stricter where the name is used. */
static bool generation_ok(const char *s, size_t size)
{
    if (!text_ok(s, size))
        return false;
    if (*s == '\0')
        return true;
    if (strncmp(s, "gen-", 4))
        return false;
    for (s += 4; *s; s++)
        if (!(*s >= '0' && *s <= '9') && *s != '-')
            return false;
    return true;
}

bool proto_request_ok(const struct proto_request *r)
{
    uint32_t allowed = 0;

    if (r->magic != PROTO_MAGIC || r->version != PROTO_VERSION)
        return false;
    switch (r->verb) {
    case PROTO_PING:
    case PROTO_CANCEL:
    case PROTO_LAUNCH:
    case PROTO_CONTINUE:
        break;
    case PROTO_DUMP:
        allowed = PROTO_F_STOP | PROTO_F_PLAIN;
        break;
    case PROTO_RESTORE:
        allowed = PROTO_F_EXACT | PROTO_F_CUT | PROTO_F_SOURCE;
        break;
    default:
        return false;
    }
    return !(r->flags & ~allowed) && reason_ok(r->reason, sizeof r->reason) &&
           generation_ok(r->generation, sizeof r->generation);
}

bool proto_reply_ok(const struct proto_reply *r)
{
    return r->magic == PROTO_MAGIC && r->version == PROTO_VERSION && r->verb >= PROTO_PING &&
           r->verb <= PROTO_CONTINUE && r->error >= 0 && r->error < 4096 &&
           generation_ok(r->generation, sizeof r->generation) && text_ok(r->text, sizeof r->text);
}

void proto_reply_init(struct proto_reply *reply, const struct proto_request *r)
{
    memset(reply, 0, sizeof *reply);
    reply->magic = PROTO_MAGIC;
    reply->version = PROTO_VERSION;
    reply->verb = r->verb;
    reply->id = r->id;
}

void proto_reply_fail(struct proto_reply *reply, int error, const char *fmt, ...)
{
    va_list ap;

    reply->error = error > 0 ? error : EIO;
    va_start(ap, fmt);
    if (vsnprintf(reply->text, sizeof reply->text, fmt, ap) < 0)
        reply->text[0] = '\0';
    va_end(ap);
    err_clean(reply->text);
}
