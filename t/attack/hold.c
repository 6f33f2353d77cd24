/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * hold - keeps dump and restore at their start, just after exec, where they hold their capability, until the
 * attackers have met them: what else would be a matter of luck is then met in each run.
 *
 *   hold LIBRARY GROUP FILE REPORT...
 *
 * LIBRARY: one that both load.  The kernel asks us before it is opened (fanotify(7), FAN_OPEN_PERM), by whatever path and
 *          in whatever mount namespace; everybody else is let through at once.
 * GROUP: as for spin.  FILE: ends when it exists.
 * REPORT: those of spin: a helper goes on when each has the line "met NAME", or after LONGEST.
 *
 * Needs root.  When it ends, however it does, the kernel lets everybody go on.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <time.h>
#include <unistd.h>

#define LONGEST 20 /* seconds */

static bool slurp(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The name of a helper of our job, or NULL */
static const char *helper(int pid, const char *group)
{
    static const char *const names[] = {"dump\n", "restore\n"};
    static char comm[32];
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    if (!slurp(path, text, sizeof text) || !strstr(text, group))
        return NULL;
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    if (!slurp(path, comm, sizeof comm))
        return NULL;
    for (size_t i = 0; i < 2; i++)
        if (strcmp(comm, names[i]) == 0)
            return comm;
    return NULL;
}

static bool met(const char *name, char **reports)
{
    static char text[1 << 16];
    char line[64];

    snprintf(line, sizeof line, "met %s", name);
    for (; *reports; reports++)
        if (!slurp(*reports, text, sizeof text) || !strstr(text, line))
            return false;
    return true;
}

static void wait_until_met(const char *name, const char *halt, char **reports)
{
    const struct timespec pause = {0, 10000000};
    time_t end = time(NULL) + LONGEST;

    while (!met(name, reports) && time(NULL) < end && access(halt, F_OK) < 0)
        nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
    int fan = fanotify_init(FAN_CLOEXEC | FAN_CLASS_CONTENT, O_RDONLY | O_CLOEXEC);
    char buf[4096] __attribute__((aligned(8)));
    struct pollfd p = {.fd = fan, .events = POLLIN};

    if (argc < 5 || fan < 0 || fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, argv[1]) < 0) {
        fprintf(stderr, "usage: hold LIBRARY GROUP FILE REPORT... (as root): %m\n");
        return 2;
    }
    puts("holding");
    fflush(stdout);
    while (access(argv[3], F_OK) < 0) {
        struct fanotify_event_metadata *e = (void *)buf;
        ssize_t n;

        if (poll(&p, 1, 100) <= 0 || (n = read(fan, buf, sizeof buf)) <= 0)
            continue;
        for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
            struct fanotify_response answer = {.fd = e->fd, .response = FAN_ALLOW};
            const char *name = helper(e->pid, argv[2]);

            if (name) {
                wait_until_met(name, argv[3], argv + 4);
                printf("held %s", name);
                fflush(stdout);
            }
            if (write(fan, &answer, sizeof answer) < 0)
                perror("hold: answer");
            close(e->fd);
        }
    }
    return 0;
}
