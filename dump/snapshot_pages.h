/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapshot_pages - CRIU's pages of a process and those of its snapshot, put together as CRIU would have saved them
 * all: one pagemap image, sorted by address, and one image of pages in that order.
 *
 * A page belongs to it when CRIU would have taken it: present or swapped, private, not the zero page, no guard.
 */
#ifndef DUMP_SNAPSHOT_PAGES_H
#define DUMP_SNAPSHOT_PAGES_H

#include "common/err.h"
#include "dump/images.h"
#include "dump/snapshot.h"

#include <stdint.h>

struct snapshot_pages;

/* Reads the snapshot's page tables and makes pagemap-PID.img anew.  p must outlive it. */
struct snapshot_pages *snapshot_pages_create(const struct snapshot_process *p,
                                             struct images *images, struct err *err);
void snapshot_pages_destroy(struct snapshot_pages *sp); /* NULL is fine */

uint64_t snapshot_pages_bytes(const struct snapshot_pages *sp); /* of the image of pages */

/* How many bytes from `at` on make a frame, `room` at most, so that memory that stays makes the same ones next time,
 * whatever comes or goes before it: cut where addresses are multiples of SNAPSHOT_PAGES_WINDOW; of areas with little in them
 * several go together. */
#define SNAPSHOT_PAGES_WINDOW (1u << 20)
size_t snapshot_pages_cut(const struct snapshot_pages *sp, uint64_t at, size_t room);

/* For pack_frame.fill; arg: the struct snapshot_pages. */
int snapshot_pages_fill(const void *arg, uint64_t at, uint8_t *raw, size_t len);

/* The proof: read the page tables again; every page in the areas must be in images' pagemap-PID.img, and that must
 * account for as many bytes as the image of pages has. */
int snapshot_pages_prove(const struct snapshot_pages *sp, const struct images *images,
                         struct err *err);

/* Does this kernel have what all that needs?  pid: of any process whose page tables we may read; our own are closed
 * to us, who are not dumpable. */
bool snapshot_pages_possible(pid_t pid);

#endif
