/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_wire - words between our plugin inside criu and the helper dump, about copy-on-write snapshots.
 *
 * An AF_UNIX SOCK_SEQPACKET pair, one struct snapshot_word per packet.  While the tree stands still:
 *
 *   dump -> plugin  PLAN   before criu stops anything: what may be done
 *   plugin -> dump  TAKEN  there is a snapshot process; with it a memfd, an array of struct snapshot_area; and perhaps
 *                          another one, the smaps that were believed although they were read before (smaps.h)
 *   dump -> plugin  HELD   dump traces it, and will write these areas from it: CRIU is to leave them out
 *                   LEFT   dump cannot: the plugin ends it, and CRIU writes everything
 *   plugin -> dump  LEFT   (unasked, no answer) this process has none, and why
 *                   SEEN   (unasked, no answer) this process stands still
 *                   TOUCH  (unasked, no answer) from here on this process is made to run calls (inject.h); child: one of
 *                          its children that is ours and that it has yet to be rid of.  pid 0: all is as it was.  Should
 *                          criu end in between, dump sees to it: snapshot_loss.h
 *
 * A plugin without the socket or without a PLAN does nothing.  Where no snapshot is to be made, bytes in PLAN is UINT64_MAX:
 * then it only tells what it sees.
 */
#ifndef DUMP_SNAPSHOT_WIRE_H
#define DUMP_SNAPSHOT_WIRE_H

#include <stdint.h>

#define SNAPSHOT_MAGIC 0x434f5731u /* "COW1" */

enum snapshot_verb {
    SNAPSHOT_PLAN = 1,
    SNAPSHOT_TAKEN,
    SNAPSHOT_HELD,
    SNAPSHOT_LEFT,
    SNAPSHOT_TOUCH,
    SNAPSHOT_SEEN
};

struct snapshot_word {
    uint32_t magic, verb;
    int32_t pid;   /* the job's process; PLAN: the root of the tree */
    int32_t child; /* TAKEN: the snapshot process */
    uint64_t site; /* TAKEN: a system call instruction in it (inject.h) */
    uint64_t
        bytes; /* TAKEN: memory in the areas; PLAN: of a process, below which it is not worth it */
    uint64_t rest_max;   /* PLAN: memory beside the areas, above which it is not worth it */
    uint64_t room;       /* PLAN: bytes of areas in all that there is room for */
    uint64_t tasks;      /* PLAN: threads that the user has on this node (RLIMIT_NPROC) */
    uint64_t vdso_start; /* TAKEN */
    uint64_t vdso_end;
    char why[96]; /* LEFT: printable ASCII */
};

#endif
