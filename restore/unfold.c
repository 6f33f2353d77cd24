/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/unfold.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <zstd.h>

struct unfold {
    ZSTD_DCtx *zstd; /* one of them */
    LZ4F_dctx *lz4;
};

struct unfold *unfold_create(enum facts_compress compress)
{
    struct unfold *u = calloc(1, sizeof *u);
    bool made;

    if (!u)
        return NULL;
    if (compress == COMPRESS_LZ4)
        made = !LZ4F_isError(LZ4F_createDecompressionContext(&u->lz4, LZ4F_VERSION));
    else
        made = (u->zstd = ZSTD_createDCtx()) != NULL;
    if (made)
        return u;
    free(u);
    errno = ENOMEM;
    return NULL;
}

void unfold_destroy(struct unfold *u)
{
    int saved = errno;

    if (!u)
        return;
    ZSTD_freeDCtx(u->zstd);
    if (u->lz4)
        (void)LZ4F_freeDecompressionContext(u->lz4);
    free(u);
    errno = saved;
}

static const char *unfold_zstd(struct unfold *u, const uint8_t *stored, size_t len, uint8_t *to,
                               size_t raw)
{
    size_t n = ZSTD_decompressDCtx(u->zstd, to, raw, stored, len);

    if (ZSTD_isError(n))
        return ZSTD_getErrorName(n);
    return n == raw ? NULL : "too short";
}

static const char *unfold_lz4(struct unfold *u, const uint8_t *stored, size_t len, uint8_t *to,
                              size_t raw)
{
    const LZ4F_decompressOptions_t stable = {.stableDst = 1};
    size_t in = 0, out = 0, hint;

    LZ4F_resetDecompressionContext(u->lz4); /* the frame before may have been damaged */
    do {
        size_t n = raw - out, taken = len - in;

        hint = LZ4F_decompress(u->lz4, to + out, &n, stored + in, &taken, &stable);
        if (LZ4F_isError(hint))
            return LZ4F_getErrorName(hint);
        if (hint > 0 && n == 0 && taken == 0)
            return in == len ? "cut short" : "too long";
        in += taken;
        out += n;
    } while (hint > 0);
    if (in < len)
        return "something lies behind the frame";
    return out == raw ? NULL : "too short";
}

const char *unfold_frame(struct unfold *u, const uint8_t *stored, size_t len, uint8_t *to,
                         size_t raw)
{
    return u->lz4 ? unfold_lz4(u, stored, len, to, raw) : unfold_zstd(u, stored, len, to, raw);
}
