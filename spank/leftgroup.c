/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/leftgroup.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* CgroupMountpoint's default (cgroup.conf); elsewhere the directory stays, as it did. */
#define MOUNT "/sys/fs/cgroup"

int leftgroup_path(const char *text, char *path, size_t size)
{
    static const char own[] = "/slurm", left[] = "/user/task_special";
    const char *line = text, *end, *step;
    size_t len;

    errno = ENOENT;
    while (strncmp(line, "0::/", 4) != 0) {
        line = strchr(line, '\n');
        if (!line)
            return -1;
        line++;
    }
    line += 3;
    end = strchrnul(line, '\n');
    len = (size_t)(end - line);
    if (len < strlen(own) || memcmp(end - strlen(own), own, strlen(own)) != 0)
        return -1;
    len -= strlen(own);
    step = memrchr(line, '/', len);
    if (!step || strncmp(step, "/step_", 6) != 0)
        return -1;
    return (size_t)snprintf(path, size, "%.*s%s", (int)len, line, left) < size ? 0 : -1;
}

void leftgroup_remove(void)
{
    char text[PATH_MAX + 256], path[PATH_MAX];
    struct statfs fs;
    int mount;

    if (io_read_start("/proc/self/cgroup", text, sizeof text) <= 0 ||
        leftgroup_path(text, path, sizeof path) < 0)
        return;
    mount = open(MOUNT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mount >= 0 && fstatfs(mount, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
        (void)unlinkat(mount, path + 1, AT_REMOVEDIR);
    io_close(&mount);
}
