/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * images.tar.zst: as it is when it begins like a zstd frame, else compressed here, so that the tar reader is
 * reached.
 */
#include "restore/bundle.h"

#include "t/fuzz/fuzz.h"

#include <string.h>
#include <zstd.h>

static void load(const void *stored, size_t len)
{
    struct bundle b;
    struct err err = {""};

    if (bundle_load(stored, len, &b, &err) < 0)
        return;
    for (size_t i = 0; i < b.n; i++) {
        struct crimg_name parsed;

        FUZZ_ASSERT(crimg_parse_name(b.images[i].name, &parsed) && parsed.kind != CRIMG_BULK);
        FUZZ_ASSERT(bundle_find(&b, b.images[i].name) == &b.images[i]);
    }
    bundle_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    size_t room = ZSTD_compressBound(len), n;
    void *stored;

    if (len >= sizeof magic && !memcmp(data, magic, sizeof magic)) {
        load(data, len);
        return 0;
    }
    stored = malloc(room);
    FUZZ_ASSERT(stored);
    n = ZSTD_compress(stored, room, data, len, 1);
    FUZZ_ASSERT(!ZSTD_isError(n));
    load(stored, n);
    free(stored);
    return 0;
}
