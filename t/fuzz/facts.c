/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What root says of a task; what is accepted can be stored again and is then the same.
 */
#include "common/facts.h"

#include "t/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct facts f, again;
    struct err err = {""};
    int fd = memfd_create("facts", MFD_CLOEXEC | MFD_ALLOW_SEALING), copy;

    FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len &&
                fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) ==
                    0);
    if (facts_load(fd, false, &f, &err) == 0) {
        copy = facts_store(&f, &err);
        FUZZ_ASSERT(copy >= 0);
        FUZZ_ASSERT(facts_load(copy, false, &again, &err) == 0);
        FUZZ_ASSERT(!memcmp(&f, &again, sizeof f));
        close(copy);
    }
    close(fd);
    return 0;
}
