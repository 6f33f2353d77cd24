/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * filter - which images CRIU gets to see, and what is in them.
 *
 * The owner of a checkpoint directory can forge every byte in it, digests and seal included.  CRIU
 * runs with CAP_CHECKPOINT_RESTORE and believes its images.  So what decides about identity and
 * privilege is checked here against what root said (facts), and written anew by us: what was
 * checked is what is served.  Every message that is decoded goes through wire.h: no field twice,
 * none that we do not know.
 *
 * - names: an allow-list (crimg.h), and nothing that belongs to no process.  Old formats give
 *   credentials (creds-PID.img), other images make namespaces or run programs.
 * - inventory: one message, format 1.1, no plugins, cgroups, TCP or uprobes.  Older formats skip the
 *   magics.  LSM type is served as "none", network lock as "skip": else CRIU runs iptables or nft.
 * - pstree: one root, parents first, sane numbers, each thread once, the same as the manifest.  A
 *   process without threads, or a number twice, confuses CRIU.
 * - core: exactly one, of one message, for every thread.  A thread without credentials in it keeps
 *   CRIU's capability.
 * - creds: the 8 ids and the groups are the job's, the 4 capability sets empty, securebits 0, no
 *   label but our own, no_new_privs 0 or 1.  The image chooses among CRIU's capabilities, and
 *   securebits and labels stay.  The bounding set is served full (facts of CRIU: it needs
 *   CAP_SETPCAP otherwise).
 * - seccomp: none.  A filter that fakes capset() keeps the capability.
 * - rseq: the area lies inside one private anonymous mapping, its rseq_cs is served as zero.  The
 *   kernel jumps where rseq_cs tells, also while CRIU's restorer runs.
 * - ids: every namespace is that of the inventory's root.  CRIU would make others.
 * - mm: mappings are sorted, disjoint, in user space, of kinds that CRIU 4.2 dumps; guard regions
 *   come last; no AIO ring; dumpable.  CRIU puts its restorer between them, and what overlaps
 *   overwrites it.  For dumpable see criu-plugin.c.
 * - vDSO: at most one, private, its symbols inside it (vdso.h, checked while it is served).  The
 *   restorer writes jumps where they point.
 * - pagemap: ascending, all pages present, as long as the pages image, each of those used once.
 *   CRIU reads in step with it, and rseq_cs and vDSO must be found.
 * - files: of kinds that need no more privilege; no namespaces, tun, bpf, plugins' files.
 * - sk-queues: no descriptors in flight.  One of them could hide a /proc/PID/mem.
 * - the others: framing only.  They act with the user's own rights.
 *
 * What a filter of images cannot reach is in doc/security.md: paths in files.img are resolved by CRIU
 * later (restore/criu-plugin.c looks at what came of them), and memory safety of CRIU's own parsing
 * is CRIU's.
 */
#ifndef RESTORE_FILTER_H
#define RESTORE_FILTER_H

#include "common/err.h"
#include "restore/bundle.h"
#include "restore/index.h"
#include "restore/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct filter_rules {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* as getgroups() gives them: the order CRIU compares with */
    size_t ngroups;
    const char *label; /* our own LSM label, or "" */
    uint32_t machine;  /* CoreEntry.mtype */
    uint64_t page_size;
    /* NULL, or: may the size of the file at `path` differ from the one recorded?  (It was looked at before,
     * see files.h; CRIU 4.2 itself refuses every other size.) */
    bool (*any_size)(void *arg, const char *path);
    void *any_size_arg;
    /* Files that take the place of others, for a job that is restored as another one.  Output is written behind
     * what is there. */
    const struct filter_rename *renames;
    size_t nrenames;
};

struct filter_rename {
    char *from, *to; /* absolute */
    bool output;
};

#define FILTER_X86_64 1u
#define FILTER_AARCH64 3u

/* The rules for this process.  Allocates groups and label; filter_rules_free. */
int filter_rules_own(struct filter_rules *r, uid_t uid, gid_t gid, struct err *err);
void filter_rules_free(struct filter_rules *r);

/* Check everything; images in `b` are replaced by our encoding, blanks are noted in `ix`.  On
 * success *t holds the processes.  -1 with a text; errno EPERM where privilege was asked for,
 * EBADMSG for the rest.  After a failure `b` must not be served. */
int filter_run(const struct filter_rules *r, struct bundle *b, struct index *ix, struct tree *t,
               struct err *err);

#endif
