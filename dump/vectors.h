/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * vectors - registers that CRIU would lose.
 *
 * On 64-bit ARM CRIU 4.2 saves and puts back the 128 bits of NEON, and neither the scalable vectors (SVE: Z, P, FFR) nor
 * the matrix (SME: ZA).  Worse, its code in a thread ends in a signal return without them, which clears them
 * in a job that runs on, too: wrong results, and nobody is told.  A thread that is inside a system call has given them up
 * already, by the kernel's calling convention; one that computes with them has not.
 *
 * Sources: the kernel's Documentation/arch/arm64/sve.rst, sme.rst.
 */
#ifndef DUMP_VECTORS_H
#define DUMP_VECTORS_H

/* Every thread of process pid stands still, traced by the caller.  0: CRIU saves all that they have.  -1: one has more; an error
 * line in CRIU's form (common/criuwhy.c) is on standard error, which is CRIU's log.  Elsewhere always 0. */
int vectors_check(int pid);

#endif
