/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nsattack - a process of a job under isolation=private that tries to get out of it, or at its init, the keeper.
 *
 *   nsattack [PID-OF-A-HOST-PROCESS]
 *
 * Prints a line for each try: "WHAT: denied (...)" or "WHAT: ALLOWED".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *prefix = "";

static void tell(const char *what, long rc)
{
    if (rc < 0)
        printf("%s%s: denied (%s)\n", prefix, what, strerror(errno));
    else
        printf("%s%s: ALLOWED\n", prefix, what);
    fflush(stdout);
}

static long open_and_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd;
}

static long write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -1;
    rc = (int)write(fd, text, strlen(text));
    close(fd);
    return rc;
}

static long chosen_pid(pid_t pid)
{
    pid_t pids[] = {pid};
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)pids,
                              .set_tid_size = 1};
    long rc = syscall(SYS_clone3, &args, sizeof args);

    if (rc == 0)
        _exit(0);
    if (rc > 0)
        waitpid((pid_t)rc, NULL, 0);
    return rc;
}

static long enter(const char *path, int type)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long rc;

    if (fd < 0)
        return -1;
    rc = setns(fd, type);
    close(fd);
    return rc;
}

/* In a child: what succeeds must not change what is tried next. */
static void in_child(const char *what, long (*try)(void))
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        tell(what, try());
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static long mount_tmpfs(void) { return mount("t", "/tmp", "tmpfs", 0, NULL); }
static long mount_bind(void) { return mount("/tmp", "/etc", NULL, MS_BIND, NULL); }
static long remount(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL); }
static long make_shared(void) { return mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL); }
static long uncover_proc(void) { return umount2("/proc", MNT_DETACH); }
static long change_root(void) { return chroot("/tmp"); }
static long new_mounts(void) { return unshare(CLONE_NEWNS); }
static long new_pids(void) { return unshare(CLONE_NEWPID); }
static long become_root(void) { return setresuid(0, 0, 0); }
static long change_group(void) { return setresgid(0, 0, 0); }
static long rename_host(void) { return sethostname("x", 1); }
static long join_user(void) { return enter("/proc/1/ns/user", CLONE_NEWUSER); }
static long join_mounts(void) { return enter("/proc/1/ns/mnt", CLONE_NEWNS); }
static long join_pids(void) { return enter("/proc/1/ns/pid", CLONE_NEWPID); }
static long rejoin_user(void) { return enter("/proc/self/ns/user", CLONE_NEWUSER); }
static long last_pid(void) { return write_file("/proc/sys/kernel/ns_last_pid", "5000"); }
static long shm_id(void) { return write_file("/proc/sys/kernel/shm_next_id", "5"); }
static long small_pid(void) { return chosen_pid(250); }
static long raise_nofile(void)
{
    struct rlimit r;

    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_max += 1000;
    r.rlim_cur = r.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &r);
}

static const struct {
    const char *what;
    long (*try)(void);
} tries[] = {
    {"mount a tmpfs", mount_tmpfs},        {"mount over /etc", mount_bind},
    {"remount /", remount},                {"make / shared", make_shared},
    {"unmount /proc", uncover_proc},       {"chroot", change_root},
    {"new mount namespace", new_mounts},   {"new pid namespace", new_pids},
    {"uid 0", become_root},                {"gid 0", change_group},
    {"host name", rename_host},            {"join init's user namespace", join_user},
    {"join init's mounts", join_mounts},   {"join init's pids", join_pids},
    {"ns_last_pid", last_pid},             {"shm_next_id", shm_id},
    {"choose a pid", small_pid},           {"raise a hard limit", raise_nofile},
    {"rejoin own user namespace", rejoin_user},
};

static void at_init(void)
{
    static const char *const files[] = {"mem", "environ", "maps", "fd", "fdinfo", "exe", "root", "cwd",
                                        "ns/user", "syscall", "stack", "auxv", "timers"};
    char path[64], what[64];
    int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "/proc/1/%s", files[i]);
        snprintf(what, sizeof what, "init's %s", files[i]);
        tell(what, open_and_close(path, O_RDONLY));
    }
    tell("init's memory for writing", open_and_close("/proc/1/mem", O_RDWR));
    tell("trace init", ptrace(PTRACE_SEIZE, 1, 0, 0));
    for (int fd = 0; fd < 6; fd++) {
        snprintf(what, sizeof what, "init's descriptor %d", fd);
        tell(what, syscall(SYS_pidfd_getfd, pidfd, fd, 0));
    }
    close(pidfd);
    /* Allowed for the same uid, but the init of a namespace takes only what it has a handler for. */
    for (int sig = 1; sig < 65; sig++)
        kill(1, sig);
    usleep(300000);
    tell("kill init", kill(1, 0) == 0 ? (errno = EPERM, -1) : 0);
}

/* With every capability, but in a namespace of his own. */
static void nested(void)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (unshare(CLONE_NEWUSER) < 0) {
        tell("nested: new user namespace", -1);
        return;
    }
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
    prefix = "nested: ";
    tell("trace init", ptrace(PTRACE_SEIZE, 1, 0, 0));
    tell("init's memory", open_and_close("/proc/1/mem", O_RDONLY));
    in_child("ns_last_pid", last_pid);
    in_child("choose a pid", small_pid);
    in_child("mount a tmpfs", mount_tmpfs);
    in_child("unmount /proc", uncover_proc);
    in_child("host name", rename_host);
    in_child("join init's user namespace", join_user);
    in_child("join init's mounts", join_mounts);
    if (unshare(CLONE_NEWNS) == 0) {
        in_child("unmount /proc in own mounts", uncover_proc);
        in_child("make / shared", make_shared);
    }
}

int main(int argc, char **argv)
{
    pid_t pid;

    if (argc > 1) {
        char path[64];

        snprintf(path, sizeof path, "/proc/%s/status", argv[1]);
        tell("see a process of the host", open_and_close(path, O_RDONLY));
    }
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++)
        in_child(tries[i].what, tries[i].try);
    at_init();
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        nested();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    printf("done\n");
    return 0;
}
