/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * manifest_impl - what the writer and the reader of manifests share.  Not for others: manifest.h is the interface.
 */
#ifndef COMMON_MANIFEST_IMPL_H
#define COMMON_MANIFEST_IMPL_H

#include "common/manifest.h"

#include <stddef.h>
#include <stdint.h>

#define MANIFEST_FORMAT "slurm-spank-checkpoint"
#define MANIFEST_VERSION 1
#define MANIFEST_PARTS (sizeof(((struct manifest *)0)->parts) / sizeof(struct manifest_part))

enum manifest_kind { NAME, NONCE, PRINTABLE, REASON, TIME, ISOLATION, COMPRESS, NUM32, NUM64 };

/* One row per plain field, in the order in which they are written. */
struct manifest_row {
    const char *key;
    enum manifest_kind kind;
    size_t offset, size;
    uint64_t min, max;
};
extern const struct manifest_row manifest_rows[];
extern const size_t manifest_nrows;

/* -1 with EBADMSG and a text. */
int manifest_bad(struct err *err, const char *what);
int manifest_bad_value(struct err *err, const char *key);

#endif
