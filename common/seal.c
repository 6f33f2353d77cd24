/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/seal.h"

#include <errno.h>
#include <munge.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "slurm-spank-checkpoint seal v1 "
#define PAYLOAD_BYTES (sizeof PREFIX - 1 + 64)

void seal_digest(const void *buf, size_t len, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    hex[0] = '\0';
    /* "" is the digest of nothing: every comparison with it fails. */
    if (EVP_Digest(len ? buf : "", len, md, &n, EVP_sha256(), NULL) != 1 || n != 32)
        return;
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = digits[md[i] >> 4];
        hex[2 * i + 1] = digits[md[i] & 15];
    }
    hex[64] = '\0';
}

static int payload(const char *hex, char out[PAYLOAD_BYTES + 1], struct err *err)
{
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64) {
        errno = EINVAL;
        return err_set(err, "seal: not a digest");
    }
    snprintf(out, PAYLOAD_BYTES + 1, PREFIX "%s", hex);
    return 0;
}

static int munge_errno(munge_err_t e)
{
    switch (e) {
    case EMUNGE_SOCKET:
    case EMUNGE_TIMEOUT:
        return EHOSTDOWN;
    case EMUNGE_NO_MEMORY:
        return ENOMEM;
    case EMUNGE_CRED_UNAUTHORIZED:
        return EPERM;
    default:
        return EBADMSG;
    }
}

/* The context may know more than the code alone: which socket, for instance. */
static int munge_failed(munge_ctx_t ctx, munge_err_t e, const char *what, struct err *err)
{
    const char *more = munge_ctx_strerror(ctx);
    int saved = munge_errno(e);

    err_set(err, "seal: %s: %s", what, more ? more : munge_strerror(e));
    errno = saved;
    return -1;
}

static munge_ctx_t context(const char *socket, struct err *err)
{
    munge_ctx_t ctx = munge_ctx_create();

    if (!ctx) {
        errno = ENOMEM;
        err_set(err, "seal: no memory");
        return NULL;
    }
    if (socket && *socket && munge_ctx_set(ctx, MUNGE_OPT_SOCKET, socket) != EMUNGE_SUCCESS) {
        munge_failed(ctx, EMUNGE_BAD_ARG, "munge socket", err);
        munge_ctx_destroy(ctx);
        return NULL;
    }
    return ctx;
}

char *seal_make(const char *hex, uid_t uid, const char *socket, struct err *err)
{
    char text[PAYLOAD_BYTES + 1], *cred = NULL;
    munge_ctx_t ctx;
    munge_err_t e;

    if (payload(hex, text, err) < 0)
        return NULL;
    if (uid != geteuid()) {
        errno = EPERM;
        err_set(err, "seal: uid %u cannot seal for uid %u", geteuid(), uid);
        return NULL;
    }
    ctx = context(socket, err);
    if (!ctx)
        return NULL;
    e = munge_ctx_set(ctx, MUNGE_OPT_TTL, 1);
    if (e == EMUNGE_SUCCESS)
        e = munge_ctx_set(ctx, MUNGE_OPT_UID_RESTRICTION, uid);
    if (e == EMUNGE_SUCCESS)
        e = munge_encode(&cred, ctx, text, PAYLOAD_BYTES);
    if (e != EMUNGE_SUCCESS) {
        munge_failed(ctx, e, "munge_encode", err);
        free(cred);
        cred = NULL;
    }
    munge_ctx_destroy(ctx);
    return cred;
}

static bool authentic(munge_err_t e)
{
    return e == EMUNGE_SUCCESS || e == EMUNGE_CRED_EXPIRED || e == EMUNGE_CRED_REWOUND ||
           e == EMUNGE_CRED_REPLAYED;
}

static int check_payload(const void *got, int len, const char *want, uid_t signer, uid_t uid,
                         struct err *err)
{
    errno = EPERM;
    if (signer != uid)
        return err_set(err, "seal: made by uid %u, not by uid %u", signer, uid);
    if (!got || len != (int)PAYLOAD_BYTES || memcmp(got, PREFIX, sizeof PREFIX - 1) != 0)
        return err_set(err, "seal: a credential made for another purpose");
    if (memcmp(got, want, PAYLOAD_BYTES) != 0)
        return err_set(err, "seal: of another manifest, or the manifest was changed");
    return 0;
}

int seal_check(const char *cred, const char *hex, uid_t uid, const char *socket, struct err *err)
{
    char want[PAYLOAD_BYTES + 1];
    munge_ctx_t ctx;
    munge_err_t e;
    void *got = NULL;
    int len = 0, rc;
    uid_t signer = (uid_t)-1;
    gid_t group = (gid_t)-1;

    if (payload(hex, want, err) < 0)
        return -1;
    if (strnlen(cred, SEAL_MAX_BYTES + 1) > SEAL_MAX_BYTES) {
        errno = EBADMSG;
        return err_set(err, "seal: too long");
    }
    ctx = context(socket, err);
    if (!ctx)
        return -1;
    e = munge_decode(cred, ctx, &got, &len, &signer, &group);
    if (authentic(e))
        rc = check_payload(got, len, want, signer, uid, err);
    else
        rc = munge_failed(ctx, e, "munge_decode", err);
    {
        int saved = errno;

        free(got);
        munge_ctx_destroy(ctx);
        errno = saved;
    }
    return rc;
}
