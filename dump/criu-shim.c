/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * criu-shim.so - preloaded into criu: its streamer is a socket that it inherited, not one that it finds
 * by name.
 *
 * With --stream CRIU 4.2 connects to IMAGE_DIR/streamer-capture.sock (dump) or streamer-serve.sock
 * (restore) and looks at no peer.  In a directory of the job's user any process of that user could put
 * its own socket there.  Here the first such connect() is answered with the descriptor named by
 * CKPT_STREAM_FD; every other one is the kernel's.
 *
 * While it dumps, openat() goes through shim-maps.h: shared memory under isolation=private.
 *
 * An ioctl PAGEMAP_SCAN goes to our plugin when it wants it (snapshot_take.h): memory of which there is a
 * copy-on-write snapshot is not CRIU's to save.
 *
 * Where AppArmor is on, CRIU wants a directory for the policies of its namespaces: see mkdtemp() below.
 *
 * At a restore memory is faulted in before it is read from a pipe: see read() below.
 *
 * And the root of a restored tree is a child subreaper from its birth: see setsid() below.
 */
#include "dump/pagemap_scan.h"
#include "dump/shim-maps.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *addr, socklen_t len);
int openat64(int dirfd, const char *path, int flags, ...);
int ioctl(int fd, unsigned long request, ...);

/* Linux 5.14; C libraries have it later. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define POPULATE ((size_t)1 << 20) /* about what a pipe of the streamer holds */

#define AA_POLICY ".criu.temp-aa-policy."

/* The plugin's to set. */
extern int (*ckpt_pagemap_scan)(int fd, void *arg);
int (*ckpt_pagemap_scan)(int fd, void *arg);

static int stream_fd = -1;
static pid_t criu_pid;
static bool dumping;

/* When memory runs out, the kernel is to take criu and not the job; but the helper (1000) before criu, which may hold
 * the job stopped with code of its own in it: when the helper is gone, criu puts all back and ends.  criu is dumpable by
 * now, the helper that started it is not and cannot do this from outside.  At a restore the job inherits the
 * value until CRIU sets the one from the image, so there it is left alone. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "990", 3) < 0)
        errno = 0; /* only a preference */
    close(fd);
}

__attribute__((constructor)) static void shim_init(void)
{
    const char *number = getenv("CKPT_STREAM_FD");

    criu_pid = getpid();
    if (number && *number >= '3' && *number <= '9' && !number[1])
        stream_fd = *number - '0';
    if (getenv("CKPT_OOM")) {
        offer_to_oom_killer();
        dumping = true;
    }
    unsetenv("CKPT_STREAM_FD");
    unsetenv("CKPT_OOM");
    unsetenv("LD_PRELOAD");
}

static int ends_with(const char *s, size_t len, const char *tail)
{
    size_t n = strlen(tail);

    return len >= n && !memcmp(s + len - n, tail, n);
}

static int is_streamer(const struct sockaddr *addr, socklen_t len)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)addr;
    size_t off = offsetof(struct sockaddr_un, sun_path), n;

    if (len <= off || len > sizeof *un || addr->sa_family != AF_UNIX)
        return 0;
    n = strnlen(un->sun_path, len - off);
    return ends_with(un->sun_path, n, "/streamer-capture.sock") ||
           ends_with(un->sun_path, n, "/streamer-serve.sock");
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (stream_fd >= 0 && addr && is_streamer(addr, len)) {
        int given = stream_fd;

        stream_fd = -1;
        if (dup2(given, fd) < 0)
            return -1;
        close(given);
        return 0;
    }
    return (int)syscall(SYS_connect, fd, addr, len);
}

/* criu is built with 64-bit file offsets: this is the name under which it calls openat(). */
int openat64(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    if (dumping)
        return maps_openat(dirfd, path, flags, mode);
    return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    void *arg;
    va_list ap;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (request == SCAN_IOCTL && ckpt_pagemap_scan)
        return ckpt_pagemap_scan(fd, arg);
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* On every host with AppArmor CRIU makes a directory at a dump, below its working directory, which is "/" here, and
 * removes it (apparmor.c, suspend_aa).  It is for the policies of namespaces of AppArmor, which need root; a tree
 * that is in none writes nothing into it, and one that is in one fails when it wants to. */
char *mkdtemp(char *template)
{
    char *(*next)(char *) = (char *(*)(char *))dlsym(RTLD_NEXT, "mkdtemp");

    if (dumping && strncmp(template, AA_POLICY, strlen(AA_POLICY)) == 0)
        return template;
    if (next)
        return next(template);
    errno = ENOSYS;
    return NULL;
}

/* CRIU's tasks read what they had in memory from pipes into fresh pages (pagemap.c, maybe_read_page_img_streamer, which
 * goes on after a short read).  Page by page the kernel takes a fault for each, in the midst of the copy and with the pipe
 * locked; all at once it takes a fifth less of the time of the whole.  All of it is about to be written.  Where the kernel cannot, or
 * memory is short, the read itself tells. */
ssize_t read(int fd, void *buf, size_t len)
{
    static bool never;

    if (len >= POPULATE && !dumping && !never) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        const int saved = errno;

        len = POPULATE;
        if ((uintptr_t)buf % page == 0 && madvise(buf, len, MADV_POPULATE_WRITE) < 0)
            never = true;
        errno = saved;
    }
    return syscall(SYS_read, fd, buf, len);
}

/* CRIU 4.2 gives PR_SET_CHILD_SUBREAPER back to a task at the very end (pie/restorer.c), after its temporary
 * session leaders have ended.  Their children, daemons that have a session of their own, would by then have gone
 * past the root (ckpt-init) to the keeper and be missing in the next dump.  The root is a session leader and calls
 * this right after its birth. */
pid_t setsid(void)
{
    if (getppid() == criu_pid)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return (pid_t)syscall(SYS_setsid);
}
