/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define MAX_FIELDS 64 /* of one message: one bit each in `seen` */

enum wire_type { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

struct cursor {
    const uint8_t *p, *end;
    const ProtobufCMessageDescriptor *type;
    struct err *err;
};

static int bad(const struct cursor *c, const char *what, const char *field)
{
    errno = EBADMSG;
    return err_set(c->err, "%s%s%s: %s", c->type->short_name, field ? "." : "", field ? field : "",
                   what);
}

/* Ten bytes at most, the tenth 0 or 1, and no more bytes than the value needs: one value, one
 * encoding. A negative int32 is written as 64 bits. */
static int get_varint(struct cursor *c, uint64_t *value)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;

        if (c->p == c->end)
            return bad(c, "cut off inside a number", NULL);
        byte = *c->p++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (byte == 0 && shift > 0)
            break;
        *value = v;
        return 0;
    }
    return bad(c, "a number that is longer than it need be", NULL);
}

static int check_number(const struct cursor *c, const ProtobufCFieldDescriptor *f, uint64_t v)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return v <= 1 ? 0 : bad(c, "not a truth value", f->name);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return v <= UINT32_MAX ? 0 : bad(c, "does not fit in 32 bits", f->name);
    case PROTOBUF_C_TYPE_INT32:
        return v <= INT32_MAX || v >= (uint64_t)(int64_t)INT32_MIN
                   ? 0
                   : bad(c, "does not fit in 32 bits", f->name);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
        return 0;
    default:
        return bad(c, "of a type that is not expected", f->name);
    }
}

static bool is_lengthy(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES ||
           f->type == PROTOBUF_C_TYPE_MESSAGE;
}

static int check_packed(const struct cursor *c, const ProtobufCFieldDescriptor *f, size_t len)
{
    struct cursor sub = {c->p, c->p + len, c->type, c->err};
    uint64_t v;

    while (sub.p < sub.end)
        if (get_varint(&sub, &v) < 0 || check_number(&sub, f, v) < 0)
            return -1;
    return 0;
}

static int check_lengthy(struct cursor *c, const ProtobufCFieldDescriptor *f)
{
    uint64_t len = 0;
    int rc = 0;

    if (get_varint(c, &len) < 0)
        return -1;
    if (len > (uint64_t)(c->end - c->p))
        return bad(c, "longer than its message", f->name);
    if (!is_lengthy(f)) {
        if (f->label != PROTOBUF_C_LABEL_REPEATED)
            return bad(c, "of the wrong wire type", f->name);
        rc = check_packed(c, f, (size_t)len);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        rc = wire_scan(c->p, (size_t)len, f->descriptor, c->err);
    } else if (f->type == PROTOBUF_C_TYPE_STRING && memchr(c->p, '\0', (size_t)len)) {
        /* CRIU, like us, would see only what is before the zero byte. */
        rc = bad(c, "a zero byte inside", f->name);
    }
    c->p += len;
    return rc;
}

static int check_field(struct cursor *c, uint64_t *seen)
{
    const ProtobufCFieldDescriptor *f;
    uint64_t tag, v, bit;

    if (get_varint(c, &tag) < 0)
        return -1;
    f = tag >> 3 <= UINT32_MAX >> 3
            ? protobuf_c_message_descriptor_get_field(c->type, (unsigned)(tag >> 3))
            : NULL;
    if (!f) {
        errno = EBADMSG;
        return err_set(c->err, "%s: unknown field %llu", c->type->short_name,
                       (unsigned long long)(tag >> 3));
    }
    bit = UINT64_C(1) << (f - c->type->fields);
    if ((*seen & bit) && f->label != PROTOBUF_C_LABEL_REPEATED)
        return bad(c, "given twice", f->name);
    *seen |= bit;
    switch (tag & 7) {
    case VARINT:
        if (is_lengthy(f))
            return bad(c, "of the wrong wire type", f->name);
        return get_varint(c, &v) < 0 ? -1 : check_number(c, f, v);
    case LENGTH:
        return check_lengthy(c, f);
    default: /* nothing that we describe is of fixed size; groups do not exist in proto2 without
                them */
        return bad(c, "of the wrong wire type", f->name);
    }
}

int wire_scan(const uint8_t *data, size_t len, const ProtobufCMessageDescriptor *type,
              struct err *err)
{
    struct cursor c = {data, data + len, type, err};
    uint64_t seen = 0;

    if (type->n_fields > MAX_FIELDS)
        return bad(&c, "too many fields described", NULL);
    while (c.p < c.end)
        if (check_field(&c, &seen) < 0)
            return -1;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].label == PROTOBUF_C_LABEL_REQUIRED && !(seen & UINT64_C(1) << i))
            return bad(&c, "missing", type->fields[i].name);
    return 0;
}

ProtobufCMessage *wire_decode(const uint8_t *data, size_t len,
                              const ProtobufCMessageDescriptor *type, struct err *err)
{
    ProtobufCMessage *msg;

    if (wire_scan(data, len, type, err) < 0)
        return NULL;
    msg = protobuf_c_message_unpack(type, NULL, len, data);
    if (!msg) {
        errno = EBADMSG;
        err_set(err, "%s: cannot be decoded", type->short_name);
    }
    return msg;
}
