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

/* Of an incremental generation: every frame lies in a file that is there. */
static void incremental(const char *text, size_t len, const char *compress)
{
    struct manifest m = {.incremental = true, .depth = 2, .nlinks = 2};
    struct index ix;
    struct err err = {""};
    uint64_t stored = 0;

    m.links[0] = (struct manifest_link){{0, 1}, 8192, 1};
    m.links[1] = (struct manifest_link){{0, 3}, 1, 1};
    snprintf(m.compress, sizeof m.compress, "%s", compress);
    if (index_load_incremental(text, len, &m, &ix, &err) < 0)
        return;
    for (size_t i = 0; i < ix.nframes; i++) {
        const struct frame *f = &ix.frames[i];
        const uint64_t end = f->file ? m.links[f->file - 1].bytes : ix.stored;

        FUZZ_ASSERT(f->file <= m.nlinks && f->stored <= end && f->at <= end - f->stored);
        stored += f->file ? 0 : f->stored;
    }
    FUZZ_ASSERT(stored == ix.stored);
    index_free(&ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = fuzz_text(data, len);

    incremental(text, len, "none");
    incremental(text, len, "zstd");
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
