/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * wire - protobuf messages from a hostile hand, decoded without room for two readings.
 *
 * Protobuf lets a sender repeat a singular field (the last one wins, or the two are merged,
 * depending on type and library), add fields that one reader knows and another does not, and choose
 * between encodings. What is decoded here has none of that: it is refused, recursively, if any
 * singular field appears twice, any field is not in our description of the message
 * (common/criu.proto), any wire type is not the declared one, a varint is longer than it may be, a
 * bool or 32-bit number does not fit, or a group is used. Repeated numbers may be packed or not.
 */
#ifndef RESTORE_WIRE_H
#define RESTORE_WIRE_H

#include "common/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* The strict check alone: 0, or -1 (EBADMSG) with a text that names message and field. */
int wire_scan(const uint8_t *data, size_t len, const ProtobufCMessageDescriptor *type,
              struct err *err);

/* Check and decode.  The caller frees the result with protobuf_c_message_free_unpacked(msg, NULL).
 */
ProtobufCMessage *wire_decode(const uint8_t *data, size_t len,
                              const ProtobufCMessageDescriptor *type, struct err *err);

#endif
