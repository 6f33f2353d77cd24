/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One message, its type chosen by the first byte.  What is accepted is unambiguous: encoded again it is accepted
 * again, and means the same.
 */
#include "restore/wire.h"

#include "common/criu.pb-c.h"
#include "t/fuzz/fuzz.h"

#include <string.h>

/* Append only: the corpus counts on the order. */
static const ProtobufCMessageDescriptor *const types[] = {
    &core_entry__descriptor,          &file_entry__descriptor,
    &inventory_entry__descriptor,     &mm_entry__descriptor,
    &pagemap_entry__descriptor,       &pagemap_head__descriptor,
    &pstree_entry__descriptor,        &sk_packet_entry__descriptor,
    &task_kobj_ids_entry__descriptor, &img_streamer_request_entry__descriptor,
};

static uint8_t *encode(const ProtobufCMessage *m, size_t *len)
{
    uint8_t *buf;

    *len = protobuf_c_message_get_packed_size(m);
    buf = malloc(*len ? *len : 1);
    FUZZ_ASSERT(buf && protobuf_c_message_pack(m, buf) == *len);
    return buf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *m, *again;
    struct err err = {""};
    uint8_t *once, *twice;
    size_t n1, n2;

    if (len < 1)
        return 0;
    type = types[data[0] % (sizeof types / sizeof types[0])];
    m = wire_decode(data + 1, len - 1, type, &err);
    if (!m)
        return 0;
    once = encode(m, &n1);
    again = wire_decode(once, n1, type, &err);
    FUZZ_ASSERT(again);
    twice = encode(again, &n2);
    FUZZ_ASSERT(n1 == n2 && !memcmp(once, twice, n1));
    free(once);
    free(twice);
    protobuf_c_message_free_unpacked(m, NULL);
    protobuf_c_message_free_unpacked(again, NULL);
    return 0;
}
