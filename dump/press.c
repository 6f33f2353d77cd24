/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/press.h"

#include "common/manifest.h"

#include <errno.h>
#include <lz4frame.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#define PIECE (512u << 10) /* digested, then written while it is still in the processor's cache */

struct press {
    enum facts_compress compress;
    ZSTD_CCtx *zstd; /* COMPRESS_ZSTD */
    EVP_MD_CTX *md;
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

static const char *no_digest(void)
{
    errno = EIO;
    return "SHA-256 failed";
}

static const char *end_digest(struct press *p, char sha256[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;

    if (EVP_DigestFinal_ex(p->md, sum, &n) != 1 || n != 32)
        return no_digest();
    for (unsigned i = 0; i < n; i++)
        snprintf(sha256 + 2 * i, 3, "%02x", sum[i]);
    return NULL;
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

const char *press_write(struct press *p, int fd, const uint8_t *raw, size_t len, uint64_t at,
                        char sha256[65])
{
    size_t n;

    if (EVP_DigestInit_ex(p->md, EVP_sha256(), NULL) != 1)
        return no_digest();
    for (size_t done = 0; done < len; done += n) {
        n = len - done < PIECE ? len - done : PIECE;
        if (EVP_DigestUpdate(p->md, raw + done, n) != 1)
            return no_digest();
        if (write_at(fd, raw + done, n, at + done) < 0)
            return "cannot write " MANIFEST_PAGES;
    }
    return end_digest(p, sha256);
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
                        size_t *stored, char sha256[65])
{
    const char *wrong = p->compress == COMPRESS_LZ4 ? compress_lz4(raw, len, to, stored)
                                                    : compress_zstd(p, raw, len, to, stored);

    if (wrong) {
        errno = EIO;
        return wrong;
    }
    if (EVP_DigestInit_ex(p->md, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(p->md, to, *stored) != 1)
        return no_digest();
    return end_digest(p, sha256);
}
