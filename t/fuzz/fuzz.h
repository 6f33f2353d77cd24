/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fuzz - what the fuzz targets share.
 *
 * A target is one LLVMFuzzerTestOneInput.  Beside the sanitizers' findings it may state what must hold of accepted
 * input, with FUZZ_ASSERT.  t/fuzz/run builds and runs them.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed);

#define FUZZ_ASSERT(c)                                                                             \
    do {                                                                                           \
        if (!(c)) {                                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #c);                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy with a NUL behind it; the caller frees it. */
char *fuzz_text(const uint8_t *data, size_t len);

/* Descriptor of a directory (0700) that is removed when the process ends. */
int fuzz_dir(void);
/* (Re)write dirfd/name. */
void fuzz_write(int dirfd, const char *name, const uint8_t *data, size_t len);

/* Several CRIU images in one input: again and again a byte with the length of the name, the name, two bytes
 * (little-endian) with the length of the contents, the contents.  What is cut short ends the list. */
struct fuzz_image {
    char name[64];
    const uint8_t *data; /* into the input */
    size_t len;
};

#define FUZZ_IMAGES_MAX 256

size_t fuzz_images(const uint8_t *data, size_t len, struct fuzz_image list[FUZZ_IMAGES_MAX]);

/* LLVMFuzzerCustomMutator for such inputs: mostly changes the inside of one message of one image and puts its
 * length right, so that the decoders behind the framing are reached. */
size_t fuzz_images_mutate(uint8_t *data, size_t len, size_t max, unsigned seed);

#endif
