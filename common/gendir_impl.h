/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * gendir_impl - what the parts of gendir share.  Not for others: gendir.h is the interface.
 */
#ifndef COMMON_GENDIR_IMPL_H
#define COMMON_GENDIR_IMPL_H

#include "common/gendir.h"

/* 0: in the generation's directory there is nothing but regular files with names of ours; else -1 (ENOTEMPTY: there is)
 * with a text, in which `gen` stands for it. */
int gendir_check_parts(int genfd, const char *gen, struct err *err);

/* gendir_fence.c: the directory above a task's.  ENOENT: it is not a job's. */
int gendir_open_job(int taskfd, struct err *err);

#endif
