/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/cut.h"

size_t cut_find(struct cut *c, const struct base *b, const uint8_t *raw, size_t len)
{
    while (len - c->seen >= FRAMELINE_MARK_BYTES) {
        const size_t at = c->seen;
        bool alone;
        const uint32_t begins =
            base_begins(b, frameline_mark(raw + at, FRAMELINE_MARK_BYTES), &alone);

        c->seen += FRAMELINE_MARK_BYTES;
        if (at == 0)
            c->expect = begins;
        /* Pages that are all alike (zeros) may stand anywhere: by them only when this one is as long as it was. */
        else if (begins && (alone || at >= c->expect))
            return at;
    }
    return 0;
}
