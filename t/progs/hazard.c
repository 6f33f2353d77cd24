/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * hazard - does one thing that cannot be checkpointed, in a child, and counts.
 *
 *   hazard STOP THING [ARGUMENT]
 *
 * A file STOP.undo makes the child undo it, by ending; the program counts on.  What the kernel here refuses ends it
 * with "cannot: REASON" and status 7.
 */
#include "prog.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static int thing_uring(const char *arg)
{
    char params[120] = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 8U, params);

    (void)arg;
    /* as liburing has it: the submission ring is mapped */
    if (fd >= 0 && mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        return -1;
    return fd;
}

static int thing_perf(const char *arg)
{
    struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
                                .size = sizeof a,
                                .config = PERF_COUNT_SW_TASK_CLOCK,
                                .exclude_kernel = 1,
                                .exclude_hv = 1};

    (void)arg;
    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0UL);
}

static int thing_userfaultfd(const char *arg)
{
    (void)arg;
    return (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
}

static int thing_inotify(const char *arg)
{
    int fd = inotify_init1(IN_CLOEXEC);

    return fd < 0 ? -1 : inotify_add_watch(fd, arg, IN_CREATE);
}

static int thing_inotify_idle(const char *arg)
{
    (void)arg;
    return inotify_init1(IN_CLOEXEC);
}

static int thing_sysv(const char *arg)
{
    int id = shmget(IPC_PRIVATE, 65536, IPC_CREAT | 0600);
    char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

    (void)arg;
    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
    if (at == (void *)-1)
        return -1;
    *at = 'x';
    return 0;
}

/* ADDRESS:PORT */
static int thing_tcp(const char *arg)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    const char *colon = arg ? strchr(arg, ':') : NULL;
    char host[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (!colon)
        return -1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - arg), arg);
    a.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return -1;
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int thing_listen(const char *arg)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)arg;
    return bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : listen(fd, 5);
}

static int connect_unix(const char *path, int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path ? path : "");
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int thing_unix(const char *arg)
{
    return connect_unix(arg, SOCK_STREAM);
}

static int thing_datagram(const char *arg)
{
    return connect_unix(arg, SOCK_DGRAM);
}

static int thing_namespace(const char *arg)
{
    (void)arg;
    return unshare(CLONE_NEWUSER | CLONE_NEWUTS);
}

static int thing_seccomp(const char *arg)
{
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};

    (void)arg;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int thing_closed(const char *arg)
{
    (void)arg;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int thing_traced(const char *arg)
{
    pid_t pid = fork();

    (void)arg;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid < 0 ? -1 : (int)ptrace(PTRACE_SEIZE, pid, NULL, NULL);
}

static int thing_device(const char *arg)
{
    return open(arg, O_RDWR | O_CLOEXEC);
}

/* A program that may be run and not read. */
static int thing_exec(const char *arg)
{
    execl(arg, arg, "600", (char *)NULL);
    return -1;
}

static int open_deleted(const char *file, const char *other, off_t size)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || (size > 0 && posix_fallocate(fd, 0, size) != 0) ||
        (other && link(file, other) < 0))
        return -1;
    return unlink(file);
}

static int thing_renamed(const char *arg)
{
    char other[300];

    snprintf(other, sizeof other, "%s.other", arg);
    return open_deleted(arg, other, 4096);
}

static int thing_ghost(const char *arg)
{
    return open_deleted(arg, NULL, (off_t)1100 << 20);
}

static int thing_deleted(const char *arg)
{
    return open_deleted(arg, NULL, 4096);
}

static const struct {
    const char *name;
    int (*fn)(const char *);
} things[] = {
    {"io_uring", thing_uring},
    {"perf", thing_perf},
    {"userfaultfd", thing_userfaultfd},
    {"inotify", thing_inotify},
    {"inotify-idle", thing_inotify_idle},
    {"sysv", thing_sysv},
    {"tcp", thing_tcp},
    {"listen", thing_listen},
    {"unix", thing_unix},
    {"datagram", thing_datagram},
    {"namespace", thing_namespace},
    {"seccomp", thing_seccomp},
    {"closed", thing_closed},
    {"traced", thing_traced},
    {"device", thing_device},
    {"exec", thing_exec},
    {"renamed", thing_renamed},
    {"ghost", thing_ghost},
    {"deleted", thing_deleted},
};

/* Does it, tells through `ready` ('y', or errno), and lives until it is killed. */
static void child(int ready, int (*fn)(const char *), const char *arg)
{
    int error = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fcntl(ready, F_SETFD, FD_CLOEXEC);
    if (fn == thing_exec) { /* a pipe that closes: it runs */
        fn(arg);
        error = errno;
    } else if (fn(arg) < 0)
        error = errno ? errno : EINVAL;
    if (write(ready, &error, sizeof error) == sizeof error && error == 0) {
        close(ready);
        for (;;)
            pause();
    }
    _exit(7);
}

static pid_t start(const char *name, const char *arg)
{
    int ready[2], error = 0;
    pid_t pid;

    if (pipe(ready) < 0)
        exit(7);
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
        if (strcmp(things[i].name, name) != 0)
            continue;
        pid = fork();
        if (pid == 0) {
            close(ready[0]);
            child(ready[1], things[i].fn, arg);
        }
        close(ready[1]);
        if (read(ready[0], &error, sizeof error) == sizeof error && error != 0) {
            prog_print("cannot: %s\n", strerror(error));
            exit(7);
        }
        close(ready[0]);
        return pid;
    }
    fprintf(stderr, "hazard: what is %s?\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    char undo[300];
    pid_t pid;

    prog_need(argc, 2, "hazard STOP THING [ARGUMENT]");
    snprintf(undo, sizeof undo, "%s.undo", argv[1]);
    pid = start(argv[2], argc > 3 ? argv[3] : NULL);
    prog_print("start pid %d child %d\n", (int)getpid(), (int)pid);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        prog_step(n);
        if (pid > 0 && prog_stop(undo)) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            pid = 0;
            prog_print("undone\n");
        }
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    return 0;
}
