/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The packets between shepherd, keeper and helpers, as they come from the socket.
 */
#include "common/proto.h"

#include "t/fuzz/fuzz.h"

#include <string.h>

/* Terminated and printable, so that it may go into a log and a path. */
static void check(const char *s, size_t size)
{
    size_t n = strnlen(s, size);

    FUZZ_ASSERT(n < size);
    for (size_t i = 0; i < n; i++)
        FUZZ_ASSERT(s[i] >= 0x20 && s[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct proto_request r;
    struct proto_reply reply;

    memset(&r, 0, sizeof r);
    memcpy(&r, data, len < sizeof r ? len : sizeof r);
    if (proto_request_ok(&r)) {
        check(r.reason, sizeof r.reason);
        check(r.generation, sizeof r.generation);
        FUZZ_ASSERT(!strchr(r.generation, '/') && !strchr(r.generation, '.'));
        proto_reply_init(&reply, &r);
        FUZZ_ASSERT(proto_reply_ok(&reply));
    }
    memset(&reply, 0, sizeof reply);
    memcpy(&reply, data, len < sizeof reply ? len : sizeof reply);
    if (proto_reply_ok(&reply)) {
        check(reply.generation, sizeof reply.generation);
        check(reply.text, sizeof reply.text);
    }
    return 0;
}
