/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * inputs - have the files that the tree only reads changed since it was saved?
 *
 * A program that goes on over another version of itself, of a library or of its input gives wrong results or
 * dies.  CRIU would say "bad size" or nothing at all.
 */
#ifndef RESTORE_INPUTS_H
#define RESTORE_INPUTS_H

#include "common/err.h"
#include "common/facts.h"
#include "common/filelist.h"

#include <stddef.h>

/* Programs and libraries must be the same: size and build-id, or where there is none, beginning and end.
 * Input files: the same size, beginning and end; with `policy` warn they may differ; one that has only grown or
 * been touched may in any case, and so may root's files below /var and /run.  -1, PROTO_E_HOLD, and a text that names the first one.  0: `note` tells in one
 * line what differs (""). */
int inputs_compare(const struct filelist *l, enum facts_choice policy, char *note, size_t size,
                   struct err *err);

/* The build-id of the ELF file in fd into id: its length, 0 when there is none that can be found. */
size_t inputs_build_id(int fd, uint8_t id[FILELIST_BUILD_ID_MAX]);

#endif
