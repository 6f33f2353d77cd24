/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * seal - a munge credential over the digest of a manifest.
 *
 * Payload: "slurm-spank-checkpoint seal v1 " followed by the SHA-256 of manifest.json in lower-case hex.
 * The credential is restricted to the job's uid (only it and root can decode it), TTL 1 s.  Expired, rewound
 * and replayed credentials are accepted on purpose: munge has still verified the realm's key and the
 * uid, which is what a seal proves; freshness is not (a user may restore any of his generations).
 */
#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H

#include "common/err.h"

#include <stddef.h>
#include <sys/types.h>

#define SEAL_MAX_BYTES 4096

/* SHA-256 of a buffer as 64 lower-case hex digits and NUL. */
void seal_digest(const void *buf, size_t len, char hex[65]);

/* Returns the credential (malloc'ed, NUL-terminated, caller frees) or NULL.  Needs: euid == uid. socket "" or
 * NULL: munge's default. */
char *seal_make(const char *hex, uid_t uid, const char *socket, struct err *err);

/* 0 when cred is a credential of uid, of this realm, over hex. */
int seal_check(const char *cred, const char *hex, uid_t uid, const char *socket, struct err *err);

#endif
