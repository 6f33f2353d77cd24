/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * fuse-mount - mount a FUSE filesystem for an ordinary user, as fusermount3 does, but also where /dev/fuse is root's
 * alone.  For tests only.
 *
 *   fuse-mount USER DIR COMMAND [ARG...]
 *
 * Needs root.  Mounts on DIR, becomes USER, and execs COMMAND ARG... /dev/fd/N, N being the open /dev/fuse, which
 * libfuse >= 3.3 takes for a mount point that is mounted already.  Nobody but USER may enter: root gets EACCES.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "fuse-mount: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void become(const struct passwd *pw)
{
    if (initgroups(pw->pw_name, pw->pw_gid) < 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        die("become the user");
}

int main(int argc, char **argv)
{
    char options[128], place[32];
    const struct passwd *pw;
    int fd;

    if (argc < 4) {
        fputs("usage: fuse-mount USER DIR COMMAND [ARG...]\n", stderr);
        return 2;
    }
    pw = getpwnam(argv[1]);
    if (!pw)
        die(argv[1]);
    fd = open("/dev/fuse", O_RDWR); /* not close-on-exec: it is for COMMAND */
    if (fd < 0)
        die("/dev/fuse");
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd, pw->pw_uid,
             pw->pw_gid);
    if (mount("faulty", argv[2], "fuse", MS_NOSUID | MS_NODEV, options) < 0)
        die(argv[2]);
    become(pw);
    snprintf(place, sizeof place, "/dev/fd/%d", fd);
    /* The room of USER DIR and of the end: COMMAND ARG... PLACE NULL. */
    for (int i = 0; i + 3 < argc; i++)
        argv[i] = argv[i + 3];
    argv[argc - 3] = place;
    argv[argc - 2] = NULL;
    execvp(argv[0], argv);
    die(argv[0]);
}
