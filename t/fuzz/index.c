/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * index of pages.zst, both kinds; every frame lies in the file and in its image.
 */
#include "restore/index.h"

#include "common/manifest.h"
#include "t/fuzz/fuzz.h"

static void check(const struct index *ix)
{
    uint64_t stored = 0, seen = 0;

    for (size_t i = 0; i < ix->nframes; i++) {
        FUZZ_ASSERT(ix->frames[i].at == stored);
        FUZZ_ASSERT(ix->frames[i].raw > 0 && ix->frames[i].raw <= MANIFEST_FRAME_MAX);
        stored += ix->frames[i].stored;
    }
    FUZZ_ASSERT(stored == ix->stored);
    for (size_t i = 0; i < ix->nimages; i++) {
        uint64_t raw = 0;

        FUZZ_ASSERT(index_find(ix, ix->images[i].name) == &ix->images[i]);
        for (uint32_t f = ix->images[i].first; f != INDEX_NONE; f = ix->frames[f].next, seen++) {
            FUZZ_ASSERT(f < ix->nframes && ix->frames[f].start == raw);
            raw += ix->frames[f].raw;
        }
        FUZZ_ASSERT(raw == ix->images[i].raw);
    }
    FUZZ_ASSERT(seen == ix->nframes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = fuzz_text(data, len);

    for (int compressed = 0; compressed < 2; compressed++) {
        struct index ix;
        struct err err = {""};

        if (index_load(text, len, compressed, &ix, &err) < 0)
            continue;
        check(&ix);
        for (size_t i = 0; i < ix.nimages; i++)
            (void)index_blank(&ix.images[i], len, &err);
        index_free(&ix);
    }
    free(text);
    return 0;
}
