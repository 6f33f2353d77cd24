/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sample - for the unit tests: the images of a small tree, as CRIU 4.2 writes them.
 *
 * 1000 is the root with the threads 1000, 1001 and 1002; 1003 a child; 1004 a zombie.  A test changes the
 * messages, then has them encoded.
 */
#ifndef RESTORE_SAMPLE_H
#define RESTORE_SAMPLE_H

#include "common/criu.pb-c.h"
#include "restore/filter.h"

#define SAMPLE_UID 5000u
#define SAMPLE_GID 5001u
#define SAMPLE_RSEQ UINT64_C(0x20000020) /* of thread i: + 0x100 * i */
#define SAMPLE_PAGE 4096u

enum { SAMPLE_PROCS = 3, SAMPLE_LIVE = 2, SAMPLE_THREADS = 5, SAMPLE_VMAS = 4 };

struct sample {
    InventoryEntry inventory;
    PluginsEntry plugins;
    TaskKobjIdsEntry root_ids, ids[SAMPLE_LIVE];
    PstreeEntry pstree[SAMPLE_PROCS];
    uint32_t tids[SAMPLE_PROCS][3];
    /* 0-2: threads of 1000, 3: 1003, 4: the zombie */
    CoreEntry core[SAMPLE_THREADS];
    TaskCoreEntry task[SAMPLE_THREADS];
    ThreadCoreEntry thread[SAMPLE_THREADS];
    CredsEntry creds[SAMPLE_THREADS];
    uint32_t inh[SAMPLE_THREADS][2], prm[SAMPLE_THREADS][2], eff[SAMPLE_THREADS][2],
        amb[SAMPLE_THREADS][2], bnd[SAMPLE_THREADS][2], groups[SAMPLE_THREADS][8];
    RseqEntry rseq[SAMPLE_THREADS];
    MmEntry mm[SAMPLE_LIVE];
    VmaEntry vma[SAMPLE_LIVE][SAMPLE_VMAS], *vmas[SAMPLE_LIVE][SAMPLE_VMAS];
    PagemapHead pagehead[SAMPLE_LIVE];
    PagemapEntry pages[SAMPLE_LIVE][2]; /* 0: in the file mapping, 1: with the rseq areas */
    FileEntry file;
    RegFileEntry reg;
    SkPacketEntry packet;

    struct bundle b;
    struct index ix;
    struct filter_rules rules;
};

void sample_init(struct sample *s);
/* Encode all into s->b and s->ix. */
void sample_encode(struct sample *s);
/* Put bytes behind the image, and count them to its last message with `inside`. */
void sample_append(struct sample *s, const char *image, const void *bytes, size_t n, bool inside);
/* Add an image, with the right magic, of one message (NULL: without any). */
void sample_add(struct sample *s, const char *name, const ProtobufCMessage *msg);
void sample_remove(struct sample *s, const char *name);
void sample_free(struct sample *s);

/* Run the filter: 0 or errno, the text in `text`. */
int sample_filter(struct sample *s, struct tree *t, char text[512]);

#endif
