/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/jsonread.h"

#include <errno.h>
#include <string.h>

static int bad(struct err *err, const char *what)
{
    errno = EBADMSG;
    return err_set(err, "%s", what);
}

/* Before the parser unfolds it: how deep, and how many values.  A string may hold any bracket. */
static int prescan(const char *text, size_t len, struct err *err)
{
    size_t depth = 0, values = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > JSONREAD_MAX_DEPTH)
                return bad(err, "nested too deeply");
        } else if (c == ',') {
            values++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
        if (values > JSONREAD_MAX_VALUES)
            return bad(err, "too many values");
    }
    return 0;
}

json_t *jsonread_object(const char *text, size_t len, struct err *err)
{
    json_error_t why;
    json_t *top;

    if (prescan(text, len, err) < 0)
        return NULL;
    top = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!top) {
        errno = EBADMSG;
        err_set(err, "line %d: %s", why.line, why.text);
        return NULL;
    }
    if (!json_is_object(top)) {
        json_decref(top);
        bad(err, "not an object");
        return NULL;
    }
    return top;
}

const char *jsonread_string(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

bool jsonread_u64(const json_t *o, const char *key, uint64_t min, uint64_t max, uint64_t *v)
{
    const json_t *j = json_object_get(o, key);
    uint64_t got;

    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return false;
    got = (uint64_t)json_integer_value(j);
    if (got < min || got > max)
        return false;
    *v = got;
    return true;
}

bool jsonread_u32(const json_t *o, const char *key, uint32_t min, uint32_t max, uint32_t *v)
{
    uint64_t got;

    if (!jsonread_u64(o, key, min, max, &got))
        return false;
    *v = (uint32_t)got;
    return true;
}

bool jsonread_printable(const char *s, size_t size)
{
    size_t n = strnlen(s, size);

    if (n == size)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
            return false;
    return true;
}
