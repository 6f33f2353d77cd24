/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ckpt-restore.so - CRIU plugin: the last look at a restored tree before it runs.
 *
 * CRIU 4.2 calls the hook RESUME_DEVICES_LATE for each live process when all of them have given up
 * the capability and are stopped at their last system call, traced by CRIU, which itself still
 * holds it.
 *
 *   - No thread may hold a capability.  Whatever an image has done to CRIU's restorer, what kept one is
 *     killed before it runs.
 *   - CRIU gives its own capability up.  What follows, PTRACE_DETACH, needs none; and a task that
 * runs now finds no process to take it from.
 *   - No file of the tree may be the memory of a process.  Files are opened while a task holds the
 *     capability, by names that the image chose and that may be symbolic links: /proc/PID/mem of
 * CRIU (or of another CRIU of the same user) could be opened then and written to later, because
 * access is only checked at open.  Such a tree is killed as a whole.
 *
 * A process that is not dumpable would hide its descriptors; restore/filter.c lets none pass, nor
 * files in flight in a socket.
 */
#include "common/criu_plugin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool dropped, refused;
static int *seen; /* processes that have been looked at */
static size_t nseen, room;

/* "Error (" is how the helper tells an error line in CRIU's log. */
static void complain(int pid, const char *what)
{
    char line[160];
    int n = snprintf(line, sizeof line, "Error (ckpt-restore): process %d: %s\n", pid, what);

    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        errno = 0;
}

static int drop(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3], now[_LINUX_CAPABILITY_U32S_3];

    memset(none, 0, sizeof none);
    memset(now, 0xff, sizeof now);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &head, none) < 0 || syscall(SYS_capget, &head, now) < 0)
        return -1;
    return memcmp(now, none, sizeof now) == 0 ? 0 : -1;
}

/* The tracer's death would let the others run: all go, those that are still to come too. */
static void refuse(int pid, const char *what)
{
    if (!refused)
        complain(pid, what);
    refused = true;
    for (size_t i = 0; i < nseen; i++)
        kill(seen[i], SIGKILL);
}

static bool remember(int pid)
{
    if (nseen == room) {
        size_t more = room ? 2 * room : 64;
        int *bigger = realloc(seen, more * sizeof *bigger);

        if (!bigger)
            return false;
        seen = bigger;
        room = more;
    }
    seen[nseen++] = pid;
    return true;
}

/* "/proc/17/mem", "/proc/17/task/18/mem": the kernel's own name of it, whatever link led there. */
static bool is_memory(const char *link, const char *target)
{
    const char *base = strrchr(target, '/');
    struct statfs fs;

    if (!base || strncmp(base, "/mem", 4) != 0)
        return false;
    return statfs(link, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

/* 0: no such file; 1: there is one; -1: cannot be seen. */
static int has_memory_open(int pid)
{
    char dir[40], link[320], target[4096];
    struct dirent *e;
    int found = 0;
    DIR *d;

    snprintf(dir, sizeof dir, "/proc/%d/fd", pid);
    d = opendir(dir);
    if (!d)
        return -1;
    while (found == 0 && (errno = 0, e = readdir(d))) {
        ssize_t n;

        if (*e->d_name == '.')
            continue;
        snprintf(link, sizeof link, "%s/%s", dir, e->d_name);
        n = readlink(link, target, sizeof target - 1);
        if (n < 0) {
            found = -1;
            break;
        }
        target[n] = '\0';
        found = is_memory(link, target);
    }
    if (!e && errno)
        found = -1;
    closedir(d);
    return found;
}

/* 0: none in any of the four sets; 1: some; -1: cannot be seen. */
static int thread_holds(int pid, int tid)
{
    static const char *const sets[] = {"\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapAmb:"};
    char path[64], text[8192];
    size_t used = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while ((n = read(fd, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    close(fd);
    text[used] = '\0';
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *line = strstr(text, sets[i]);

        if (!line)
            return -1;
        if (strtoull(line + strlen(sets[i]), NULL, 16) != 0)
            return 1;
    }
    return 0;
}

static int process_holds(int pid)
{
    char dir[40];
    struct dirent *e = NULL;
    int held = 0, threads = 0;
    DIR *d;

    snprintf(dir, sizeof dir, "/proc/%d/task", pid);
    d = opendir(dir);
    if (!d)
        return -1;
    while (held == 0 && (errno = 0, e = readdir(d)))
        if (*e->d_name >= '1' && *e->d_name <= '9') {
            held = thread_holds(pid, (int)strtol(e->d_name, NULL, 10));
            threads++;
        }
    if (held == 0 && (errno || threads == 0))
        held = -1;
    closedir(d);
    return held;
}

static int resume_devices_late(int pid)
{
    int found;

    if (!remember(pid)) {
        kill(pid, SIGKILL);
        refuse(pid, "no memory to look at it");
        return -ENOTSUP;
    }
    if (!dropped && drop() < 0)
        refuse(pid, "CRIU's capability cannot be given up");
    dropped = true;
    if (refused) {
        kill(pid, SIGKILL);
        return -ENOTSUP;
    }
    found = process_holds(pid);
    if (found != 0)
        refuse(pid, found > 0 ? "holds a capability after the restore"
                              : "its capabilities cannot be seen");
    found = has_memory_open(pid);
    if (found != 0)
        refuse(pid, found > 0 ? "has the memory of a process open (/proc/PID/mem): not restored"
                              : "its open files cannot be seen");
    return -ENOTSUP; /* "nothing of mine" */
}

static int plugin_init(int stage)
{
    if (stage != CRIU_STAGE_RESTORE)
        CR_PLUGIN_DESC.hooks[CRIU_HOOK_RESUME_DEVICES_LATE] = NULL;
    return 0;
}

static void plugin_exit(int stage, int ret)
{
    (void)stage;
    (void)ret;
}

struct plugin_desc CR_PLUGIN_DESC = {
    .name = "ckpt-restore",
    .init = plugin_init,
    .exit = plugin_exit,
    .version = CRIU_PLUGIN_VERSION,
    .max_hooks = CRIU_HOOK_RESUME_DEVICES_LATE + 1,
    .hooks = {[CRIU_HOOK_RESUME_DEVICES_LATE] = (void *)(uintptr_t)resume_devices_late},
};
