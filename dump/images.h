/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * images - CRIU's small images of one dump: kept in memory while the tree stands still, then written as
 * images.tar.zst.
 *
 * images.tar.zst is one zstd frame (whatever the generation's compression is) around a ustar archive:
 * regular files only, in the order in which CRIU opened them, mode 0600, uid, gid and mtime 0, no names of
 * owners, no extended headers, no name longer than CRIMG_NAME_MAX, none twice; two zero blocks and nothing else
 * at the end.
 */
#ifndef DUMP_IMAGES_H
#define DUMP_IMAGES_H

#include "common/err.h"
#include "common/manifest.h"

#include <stddef.h>
#include <stdint.h>

struct images;
struct image;

struct images *images_create(void); /* NULL: no memory */
void images_destroy(struct images *im);

/* A new empty image.  EEXIST: there is one of that name; EFBIG: more than CRIMG_COUNT_MAX. */
struct image *images_add(struct images *im, const char *name, struct err *err);
/* EFBIG: all images together exceed CRIMG_TOTAL_MAX. */
int images_append(struct images *im, struct image *img, const void *data, size_t len,
                  struct err *err);
/* Other contents for an image that is there; data is taken over (malloc'ed), on failure too. */
int images_replace(struct images *im, const char *name, uint8_t *data, size_t len, struct err *err);
uint64_t images_bytes(const struct images *im);
/* Contents of an image, or NULL. */
const uint8_t *images_find(const struct images *im, const char *name, size_t *len);

/* Write images.tar.zst to fd; *bytes and sha256 of what was written. */
int images_write(const struct images *im, int fd, int level, uint64_t *bytes, char sha256[65],
                 struct err *err);

/* State of a process when it was dumped: core's task_state. */
enum { IMAGES_ALIVE = 1, IMAGES_DEAD = 2, IMAGES_STOPPED = 3 };

/* The processes as pstree.img and core-*.img tell them, root first: malloc'ed, also the thread arrays, in the
 * form that manifest_free() frees.  states: malloc'ed, one each, the caller frees it. */
int images_processes(const struct images *im, struct manifest_process **list, size_t *n,
                     uint32_t **states, struct err *err);

#endif
