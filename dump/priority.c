/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/priority.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NICE 10
#define NICE_TEXT "10"

/* Where the kernel makes a group of each session (CONFIG_SCHED_AUTOGROUP, and no control group of its own for the
 * processor), nice values count within a session only, and each session gets as much as any other: the nice value of the
 * session is what counts then (sched(7)).  The helper is a session of its own.  The file belongs to root as soon as the
 * process is closed to others. */
static int session = -1;

void priority_prepare(int fd)
{
    int opened;

    close(fd);
    opened = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (opened >= 0 && (opened == fd || dup3(opened, fd, O_CLOEXEC) >= 0))
        session = fd;
    if (opened >= 0 && opened != fd)
        close(opened);
}

static void lower_session(void)
{
    const struct timespec nap = {0, 30 * 1000000L};

    if (session < 0 || getsid(0) != getpid())
        return;
    /* The kernel takes ten such changes a second from all of the node's users together. */
    for (int i = 0;
         i < 10 && write(session, NICE_TEXT, sizeof NICE_TEXT - 1) < 0 && errno == EAGAIN; i++)
        nanosleep(&nap, NULL);
    close(session);
    session = -1;
}

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
    lower_session();
}
