/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * shim-maps - shared memory of a job whose /proc/PID/map_files is closed to criu (in criu-shim.so).
 *
 * The kernel lets only CAP_CHECKPOINT_RESTORE of the initial user namespace follow the links in map_files, and
 * under isolation=private nobody has that.  CRIU 4.2 (vma_get_mapfile_user, dump_one_shmem) then opens mapped files
 * by name and reads shared memory through /proc/PID/mem from where one process has it mapped.  So
 *
 * - a deleted file that is mapped cannot be saved: every lock of Python's multiprocessing is one (sem_open);
 * - shared memory is saved wrongly when that process has another part of it mapped than the beginning, or less
 *   of it than another process: silently, or the dump fails;
 * - a memfd or deleted file that is open and mapped comes back as two.
 *
 * Here, when and only when map_files refuses:
 *
 * - a mapping of a deleted file or a memfd that some process of this /proc has open is answered with that file;
 * - a shared mapping of a deleted file that nobody has open is shown to CRIU as shared anonymous memory, which is
 *   what it is: nobody can open it any more.  It gets a number that no such memory has;
 * - the contents of shared anonymous memory are put together from all mappings of it in the tree, and given to CRIU
 *   as a file with holes.
 *
 * Pages that no process of the tree has mapped are lost then, as are changes to a page that has just been read: the
 * tree is stopped, so there are none of its own.
 */
#ifndef DUMP_SHIM_MAPS_H
#define DUMP_SHIM_MAPS_H

#include <sys/types.h>

/* The plugin's to set: a file that has what it read from that process's smaps, given away; -1: none.  The tree stood still
 * all the time since.  For each page of the process the kernel takes its time for smaps, so once is enough. */
extern int (*ckpt_smaps)(pid_t pid);

/* openat(), as CRIU is to see it while it dumps. */
int maps_openat(int dirfd, const char *path, int flags, mode_t mode);

#endif
