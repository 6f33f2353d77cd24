/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Of this open file description, not of the process. */
static int set(int fd, short type, off_t at, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = len};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

bool slots_take(int fd, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++)
        if (set(fd, F_WRLCK, (off_t)i, 1) == 0 || (errno != EAGAIN && errno != EACCES))
            return true;
    return most == 0;
}

void slots_give_back(int fd)
{
    (void)set(fd, F_UNLCK, 0, 0);
}
