/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * checkpoint.conf, and the Dir template in it.
 */
#include "common/conf.h"

#include "t/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct conf c;
    char path[64], out[PATH_MAX];
    struct err err = {""};
    int fd = memfd_create("conf", MFD_CLOEXEC);

    FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, 0644) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (conf_load(path, &c, &err) == 0) {
        FUZZ_ASSERT(c.keep >= 1 && c.keep <= c.max_keep);
        FUZZ_ASSERT(*c.criu == '/' && *c.helper_dir == '/' && *c.state_dir == '/');
        if (*c.dir && conf_expand_dir(c.dir, "user", 1000, "/home/user", "cluster", out, &err) == 0)
            FUZZ_ASSERT(*out == '/' && !strstr(out, "/../"));
    }
    close(fd);
    return 0;
}
