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
 * | image      | checked                                             | because otherwise |
 * |------------|-----------------------------------------------------|------------------------------------|
 * | names      | allow-list; nothing that belongs to no process      | creds-PID.img, seccomp.img,
 * netns,  | |            |                                                     | iptables ...: old
 * formats give      | |            |                                                     |
 * credentials, others run programs    | | inventory  | one message; format 1.1; fdinfo by id;
 * root's ids;  | older formats skip the magics; a    | |            | no plugins, tcp_close,
 * uprobes, cgroup; LSM type    | plugin or the network lock runs     | |            | served as
 * "none", network lock as "skip"            | iptables, nft by PATH               | | pstree     |
 * one root, parents first, pids sane, each thread     | a process without threads or with   | | |
 * once, same as the manifest                          | a pid twice confuses CRIU           | |
 * core       | one for every thread, one message each, of our      | a thread without creds keeps
 * CRIU's | |            | machine; alive: thread and creds present            | capability | |
 * creds      | all 8 ids ours, groups ours, 4 capability sets      | the image chooses among CRIU's
 * | |            | empty, securebits 0, no label but our own,          | capabilities; securebits
 * and labels | |            | bounding set served full, no_new_privs 0 or 1       | survive | |
 * seccomp    | mode 0 everywhere, no filter                        | a filter that fakes capset
 * keeps    | |            |                                                     | the capability |
 * | rseq       | area inside one private anonymous mapping; its      | the kernel jumps where
 * rseq_cs      | |            | rseq_cs served as zero                              | tells, in
 * CRIU's restorer too       | | ids        | every namespace that of the root's ids              |
 * CRIU would make namespaces          | | mm         | mappings sorted, disjoint, in user space, of
 * kinds  | the restorer is placed between      | |            | that 4.2 dumps; guard regions last;
 * no AIO ring     | them: overlap overwrites its code   | | pagemap    | ascending, all present, as
 * long as the pages image; | CRIU reads in step with it; and     | |            | each pages image
 * used once                          | rseq_cs must be found               | | files      | kinds
 * that CRIU restores without more privilege     | namespaces, tun, bpf, plugins       | | sk-queues
 * | no descriptors in flight                            | one could be a hidden /proc/PID/mem | |
 * the others | framing only; they act with the user's own rights   | |
 *
 * What a filter of images cannot reach is in SECURITY.md: paths in files.img are resolved by CRIU
 * later (restore/criu-plugin.c looks at what came of them), and memory safety of CRIU's own parsing
 * is CRIU's.
 */
#ifndef RESTORE_FILTER_H
#define RESTORE_FILTER_H

#include "common/err.h"
#include "restore/bundle.h"
#include "restore/index.h"
#include "restore/tree.h"

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
