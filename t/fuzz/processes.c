/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What dump reads of CRIU's own images for the manifest.
 */
#include "dump/images.h"

#include "t/fuzz/fuzz.h"

#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
    return fuzz_images_mutate(data, len, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct fuzz_image list[FUZZ_IMAGES_MAX];
    size_t n = fuzz_images(data, len, list), nprocesses;
    struct images *im = images_create();
    struct manifest m;
    uint32_t *states;

    FUZZ_ASSERT(im);
    for (size_t i = 0; i < n; i++) {
        struct image *one = images_add(im, list[i].name, NULL);

        if (one && list[i].len > 0)
            FUZZ_ASSERT(images_append(im, one, list[i].data, list[i].len, NULL) == 0);
    }
    memset(&m, 0, sizeof m);
    if (images_processes(im, &m.processes, &nprocesses, &states, NULL) == 0) {
        FUZZ_ASSERT(nprocesses > 0);
        m.nprocesses = nprocesses;
        for (size_t i = 0; i < nprocesses; i++)
            FUZZ_ASSERT(memchr(m.processes[i].comm, '\0', sizeof m.processes[i].comm));
        manifest_free(&m);
        free(states);
    }
    images_destroy(im);
    return 0;
}
