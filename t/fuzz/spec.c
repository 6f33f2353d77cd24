/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The argument of --checkpoint.
 */
#include "common/spec.h"

#include "t/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = fuzz_text(data, len);
    enum facts_compress compress;
    struct err err = {""};
    struct spec s;
    uint32_t seconds;
    int level;

    if (spec_parse(text, &s, &err) == 0 && s.has_compress && s.compress != COMPRESS_NONE)
        FUZZ_ASSERT(s.compress_level >= 1 && s.compress_level <= 19);
    (void)spec_parse_time(text, &seconds);
    (void)spec_parse_compress(text, &compress, &level);
    free(text);
    return 0;
}
