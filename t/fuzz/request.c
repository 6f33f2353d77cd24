/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The owner's request and the shepherd's answer, both as files.
 */
#include "common/request.h"

#include "t/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "0123456789abcdef"

static int sub(const char *name)
{
    int fd;

    FUZZ_ASSERT(mkdirat(fuzz_dir(), name, 0700) == 0 || errno == EEXIST);
    fd = openat(fuzz_dir(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_ASSERT(fd >= 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static int requests = -1, answers = -1;
    struct err err = {""};
    struct request r;
    struct answer a;
    struct stat st;
    int rc;

    if (requests < 0) {
        requests = sub(REQUEST_DIR);
        answers = sub(ANSWER_DIR);
    }
    fuzz_write(requests, ID ".json", data, len);
    rc = request_take(fuzz_dir(), geteuid(), &r, &err);
    FUZZ_ASSERT(rc == 0 || (rc == 1 && !strcmp(r.id, ID)));
    FUZZ_ASSERT(fstatat(requests, ID ".json", &st, 0) < 0); /* taken or thrown away */

    fuzz_write(answers, ID ".json", data, len);
    rc = answer_get(fuzz_dir(), ID, &a, &err);
    FUZZ_ASSERT(rc != 0);
    if (rc == 1)
        FUZZ_ASSERT(answer_put(fuzz_dir(), &a, &err) == 0);
    return 0;
}
