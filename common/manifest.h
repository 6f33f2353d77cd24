/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * manifest - manifest.json of a generation.  doc/format.md describes every field.
 */
#ifndef COMMON_MANIFEST_H
#define COMMON_MANIFEST_H

#include "common/cpu.h"
#include "common/err.h"
#include "common/facts.h"
#include "common/gendir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_FILE "manifest.json"
#define MANIFEST_SEAL "seal"
#define MANIFEST_MAX_BYTES (64u << 20)
#define MANIFEST_IMAGES "images.tar.zst"    /* small CRIU images, a tar archive */
#define MANIFEST_PAGES "pages.zst"          /* bulk data: frames back to back */
#define MANIFEST_INDEX "index"              /* one line per frame: "IMAGE RAW STORED SHA256\n" */
#define MANIFEST_PLACEMENT "placement.json" /* may be missing; see placement.h */
#define MANIFEST_FRAME_MAX (4u << 20)       /* raw bytes of a frame at most */
#define MANIFEST_STORED_MAX                                                                        \
    (MANIFEST_FRAME_MAX + MANIFEST_FRAME_MAX / 256) /* stored ones: what cannot be compressed */

struct manifest_part {
    char name[64]; /* one of those above */
    uint64_t bytes;
    char sha256[65];
};

#define MANIFEST_LINKS_MAX 64
#define MANIFEST_DEPTH_MAX 64

/* pages.zst of an earlier generation of the same task, of which frames are used; gendir_format_link is its name here. */
struct manifest_link {
    struct gendir_id generation;
    uint64_t bytes; /* its size */
    uint64_t used;  /* so many of them are frames of this generation, each counted once */
};

struct manifest_process {
    uint32_t pid, ppid, pgid, sid; /* as the job's pid namespace numbers them */
    uint32_t nthreads;
    uint32_t *threads; /* tids, the leader's included */
    char comm[16];
};

struct manifest {
    /* the key: must equal the reader's facts */
    char cluster[64];
    uint32_t job;
    char task[64];
    char nonce[17];
    uint32_t uid;
    uint32_t epoch;
    uint32_t sequence;
    /* what and when */
    char reason[24];
    char created[32]; /* RFC 3339 in UTC, exactly "2026-01-31T23:59:59Z" */
    char node[64];
    char isolation[8];  /* "host" or "private" */
    char kernel[128];   /* uname -r */
    char machine[32];   /* uname -m */
    char criu[32];      /* version */
    char snapshot[224]; /* how the memory was taken: snapshot_how() */
    uint32_t suspended; /* 1: it was stopped from outside meanwhile; restored, it needs a SIGCONT */
    char compress[16];  /* "none", "zstd" or "lz4" */
    char cpu[CPU_FEATURES_MAX]; /* instruction sets (cpu.h); "": not known */
    bool inputs_warn;           /* the job goes on when an input file has changed (inputs=warn) */
    uint32_t pause_us, freeze_us, total_ms;
    uint64_t raw_bytes, stored_bytes;
    struct manifest_part parts[3];  /* decoded: images, pages, index */
    struct manifest_part placement; /* name "": there is none */
    /* The index has what an incremental successor needs, and may refer to links. */
    bool incremental;
    uint32_t depth; /* how many generations before it, one upon the other, it goes back to */
    size_t nlinks;
    struct manifest_link links[MANIFEST_LINKS_MAX]; /* the oldest first */
    size_t nprocesses;
    struct manifest_process *processes; /* root first */
};

/* JSON text (malloc'ed, NUL-terminated, caller frees), or NULL: what manifest_decode would refuse is not
 * written (EBADMSG).  A comm that is not printable ASCII has '?' in it afterwards. */
char *manifest_encode(const struct manifest *m, struct err *err);

/* Strict: unknown keys, wrong types, repeated names, depth over 8, out-of-range values are refused. */
int manifest_decode(const char *text, size_t len, struct manifest *m, struct err *err);

/* Does the manifest belong to this job, task, nonce and uid, and is its epoch not newer? */
int manifest_match(const struct manifest *m, const struct facts *f, struct err *err);

/* m->compress; COMPRESS_NONE for what manifest_decode would have refused. */
enum facts_compress manifest_compress(const struct manifest *m);

/* How many bytes of stored_bytes were written for this generation, and not taken over. */
uint64_t manifest_written(const struct manifest *m);

void manifest_free(struct manifest *m); /* frees what m holds, not m */

#endif
