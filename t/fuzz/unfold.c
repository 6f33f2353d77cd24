/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A frame of pages.zst behind its digest: the first byte chooses the compression, the next two (little-endian) are
 * the size that the index claims.  The owner makes the digest himself, so the decoders see what he likes.
 */
#include "restore/unfold.h"

#include "t/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct unfold *unfold[2];
    uint8_t *to;
    size_t raw;

    if (!unfold[0]) {
        unfold[0] = unfold_create(COMPRESS_ZSTD);
        unfold[1] = unfold_create(COMPRESS_LZ4);
        FUZZ_ASSERT(unfold[0] && unfold[1]);
    }
    if (len < 3)
        return 0;
    raw = 1 + (data[1] | (size_t)data[2] << 8);
    to = malloc(raw);
    FUZZ_ASSERT(to);
    for (int again = 0; again < 2; again++) {
        const char *wrong = unfold_frame(unfold[data[0] & 1], data + 3, len - 3, to, raw);

        FUZZ_ASSERT(!wrong || *wrong);
    }
    free(to);
    return 0;
}
