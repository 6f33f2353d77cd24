/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * trust - whose word is taken by the programs that hold the capability.
 *
 * There are two of each, of the same sources, and the linker decides which of two versions of these functions, and of
 * helper_path_trusted(), it has:
 *
 *   trust_root.c  keeper, dump, restore: facts and programs are root's.
 *   trust_own.c   own-keeper, own-dump, own-restore, which `scheckpoint run` starts in a user namespace that its caller
 *                 made: all of it is the user's own word.  They refuse to run anywhere but in a user namespace in
 *                 which nobody but that user exists, so that the capability is one over his own processes only.
 *
 * No program has both, and none can be told which to take.
 */
#ifndef COMMON_TRUST_H
#define COMMON_TRUST_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>

/* facts_load() of what may be believed. */
int trust_facts(int fd, struct facts *f, struct err *err);

/* The isolation as manifests name it: a checkpoint fits the same one only. */
#define TRUST_OWN "own"
const char *trust_isolation(const struct facts *f);

/* The keeper's helper in HelperDir. */
const char *trust_helper(bool dump);

#endif
