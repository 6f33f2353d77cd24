/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/priority.h"

#include <dirent.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 10

void priority_lower(bool all)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *e;

    while (tasks && (e = readdir(tasks))) {
        long tid = strtol(e->d_name, NULL, 10);

        if (tid <= 0 || (!all && tid == getpid()))
            continue;
        (void)setpriority(PRIO_PROCESS, (id_t)tid, NICE);
        (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid,
                      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_NR_LEVELS - 1));
    }
    if (tasks)
        closedir(tasks);
}
