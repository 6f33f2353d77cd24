/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * locks - holds three kinds of lock on FILE.flock, FILE.posix and FILE.ofd, or tries to take them.
 *
 *   locks hold STOP FILE
 *   locks try FILE        prints "KIND held" or "KIND free" for each
 */
#include "prog.h"

#include <fcntl.h>
#include <sys/file.h>

static int open_one(const char *file, const char *kind)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s.%s", file, kind);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        prog_broken("%s: %s", path, strerror(errno));
    return fd;
}

static int take(const char *file, const char *kind, int cmd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
    int fd = open_one(file, kind);

    return cmd ? fcntl(fd, cmd, &l) : flock(fd, LOCK_EX | LOCK_NB);
}

static const struct {
    const char *name;
    int cmd;
} kinds[] = {{"flock", 0}, {"posix", F_SETLK}, {"ofd", F_OFD_SETLK}};

static int try_all(const char *file)
{
    for (int i = 0; i < 3; i++)
        prog_print("%s %s\n", kinds[i].name,
                   take(file, kinds[i].name, kinds[i].cmd) < 0 ? "held" : "free");
    return 0;
}

int main(int argc, char **argv)
{
    prog_need(argc, 2, "locks hold STOP FILE | locks try FILE");
    if (strcmp(argv[1], "try") == 0)
        return try_all(argv[2]);
    prog_need(argc, 3, "locks hold STOP FILE");
    for (int i = 0; i < 3; i++)
        if (take(argv[3], kinds[i].name, kinds[i].cmd) < 0)
            prog_broken("%s: %s", kinds[i].name, strerror(errno));
    prog_print("start, locks held\n");
    for (unsigned n = 1; !prog_stop(argv[2]); n++) {
        prog_step(n);
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    return 0;
}
