/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/press.h"

#include "common/manifest.h"

#include <errno.h>
#include <lz4frame.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct press {
    enum facts_compress compress;
    ZSTD_CCtx *zstd; /* COMPRESS_ZSTD */
    EVP_MD_CTX *md;
    uint8_t zeros[32]; /* digest of nzeros zeros, once there were some */
    size_t nzeros;
};

struct press *press_create(enum facts_compress compress, int level)
{
    struct press *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->compress = compress;
    p->md = EVP_MD_CTX_new();
    if (compress == COMPRESS_ZSTD)
        p->zstd = ZSTD_createCCtx();
    if (!p->md || (compress == COMPRESS_ZSTD &&
                   (!p->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(
                                    p->zstd, ZSTD_c_compressionLevel, level))))) {
        press_destroy(p);
        errno = ENOMEM;
        return NULL;
    }
    return p;
}

void press_destroy(struct press *p)
{
    int saved = errno;

    if (!p)
        return;
    ZSTD_freeCCtx(p->zstd);
    EVP_MD_CTX_free(p->md);
    free(p);
    errno = saved;
}

static const char *digest(struct press *p, const uint8_t *data, size_t len, uint8_t sha256[32])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;

    if (EVP_DigestInit_ex(p->md, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(p->md, data, len) != 1 || EVP_DigestFinal_ex(p->md, sum, &n) != 1 ||
        n != 32) {
        errno = EIO;
        return "SHA-256 failed";
    }
    memcpy(sha256, sum, 32);
    return NULL;
}

/* That of so many zeros is always the same. */
const char *press_digest(struct press *p, const uint8_t *data, size_t len, uint8_t sha256[32])
{
    const char *wrong;

    if (!plain_is_zero(data, len))
        return digest(p, data, len, sha256);
    wrong = p->nzeros == len ? NULL : digest(p, data, len, p->zeros);
    p->nzeros = wrong ? 0 : len;
    memcpy(sha256, p->zeros, sizeof p->zeros);
    return wrong;
}

/* ZSTD_compress2 and LZ4F_compressFrame: a frame of their own, with the size of its contents in it. */
static const char *compress_zstd(struct press *p, const uint8_t *raw, size_t len, uint8_t *to,
                                 size_t *stored)
{
    *stored = ZSTD_compress2(p->zstd, to, MANIFEST_STORED_MAX, raw, len);
    return ZSTD_isError(*stored) ? "zstd cannot compress" : NULL;
}

static const char *compress_lz4(const uint8_t *raw, size_t len, uint8_t *to, size_t *stored)
{
    const LZ4F_preferences_t how = {.frameInfo = {.blockSizeID = LZ4F_max4MB,
                                                  .blockMode = LZ4F_blockIndependent,
                                                  .contentSize = len}};

    *stored = LZ4F_compressFrame(to, MANIFEST_STORED_MAX, raw, len, &how);
    return LZ4F_isError(*stored) ? "lz4 cannot compress" : NULL;
}

const char *press_frame(struct press *p, const uint8_t *raw, size_t len, uint8_t *to,
                        size_t *stored, uint8_t sha256[32])
{
    const char *wrong = p->compress == COMPRESS_LZ4 ? compress_lz4(raw, len, to, stored)
                                                    : compress_zstd(p, raw, len, to, stored);

    if (wrong) {
        errno = EIO;
        return wrong;
    }
    return digest(p, to, *stored, sha256);
}
