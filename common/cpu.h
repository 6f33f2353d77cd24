/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cpu - the instruction sets of this machine, as the kernel names them.
 *
 * A program that runs has chosen its code by what its first CPU could do (the C library's own functions among it),
 * and a restored one goes on with it: a CPU with fewer of these would stop it with SIGILL.
 */
#ifndef COMMON_CPU_H
#define COMMON_CPU_H

#include <stddef.h>

#define CPU_FEATURES_MAX 1024

/* Those words of /proc/cpuinfo's first "flags" (x86) or "Features" (arm64) that are instruction sets a program may
 * use, one blank between; "" when it is not known.  text: contents of that file, or NULL to read it. */
void cpu_features(const char *text, char out[CPU_FEATURES_MAX]);

/* The words of `before` that are not in `now`, one blank between (cut at size); their number. */
size_t cpu_missing(const char *before, const char *now, char *out, size_t size);

#endif
