/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * daemon - leaves a daemon behind, as daemon(3) does it: two forks, a session of its own, parent gone.
 *
 *   daemon STOP OUTPUT
 *
 * The daemon counts in OUTPUT, and sees to it that its session stays and its parent is never pid 1 of the
 * machine's (it then would have been lost to the job).
 */
#include "prog.h"

#include <fcntl.h>
#include <sys/wait.h>

static int count(const char *stop, const char *output)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t parent, sid = getsid(0);

    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
        return 1;
    dup2(fd, STDERR_FILENO);
    close(fd);
    prog_sleep_ms(200); /* the one in the middle is gone by now */
    parent = getppid();
    prog_print("start pid %d ppid %d sid %d\n", (int)getpid(), (int)parent, (int)sid);
    for (unsigned n = 1; !prog_stop(stop); n++) {
        if (getppid() != parent)
            prog_broken("parent %d instead of %d", (int)getppid(), (int)parent);
        if (getsid(0) != sid)
            prog_broken("session %d instead of %d", (int)getsid(0), (int)sid);
        prog_step(n);
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    return 0;
}

int main(int argc, char **argv)
{
    pid_t pid;

    prog_need(argc, 2, "daemon STOP OUTPUT");
    pid = fork();
    if (pid < 0)
        return 1;
    if (pid > 0)
        return waitpid(pid, NULL, 0) == pid ? 0 : 1;
    setsid();
    pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    return count(argv[1], argv[2]);
}
