/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * manifest.json; what is accepted can be written again and is then the same.
 */
#include "common/manifest.h"

#include "t/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct manifest m, again;
    struct err err = {""};
    char *text, *once, *twice;

    text = fuzz_text(data, len);
    if (manifest_decode(text, len, &m, &err) == 0) {
        once = manifest_encode(&m, &err);
        FUZZ_ASSERT(once);
        FUZZ_ASSERT(manifest_decode(once, strlen(once), &again, &err) == 0);
        twice = manifest_encode(&again, &err);
        FUZZ_ASSERT(twice && !strcmp(once, twice));
        free(once);
        free(twice);
        manifest_free(&again);
        manifest_free(&m);
    }
    free(text);
    return 0;
}
