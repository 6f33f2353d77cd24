/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * withbit - stands where the Slurm task stands between task_init_privileged and task_init: the job's user,
 * with the inheritable bit and genuine facts; starts the keeper under one hostile condition and tells what came
 * of it.  For root.
 *
 *   withbit VARIANT HELPERDIR UID GID
 *
 *   plain            as checkpoint.so does it: the control, the keeper must work
 *   no-bit           without the inheritable bit
 *   no-new-privs, traced, shared-fs (a CLONE_FS sibling), user-namespace
 *   facts-unsealed, facts-of-user, facts-of-other-uid, facts-no-memfd
 *   peer-of-root, peer-of-other-process, peer-stream
 *   decoy            no keeper at all: a plain process of that name with the bit, which stays for 20 s; what an
 *                    attacker must be able to seize, or he proves nothing
 *
 * Prints what the keeper writes, and "withbit: keeper answers ERROR" or "withbit: keeper ended".
 */
#include "common/facts.h"
#include "common/helper.h"
#include "common/io.h"
#include "common/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static const char *variant, *helper_dir;
static uid_t uid;
static gid_t gid;

static bool is(const char *name)
{
    return strcmp(variant, name) == 0;
}

static void die(const char *what)
{
    fprintf(stderr, "withbit: %s: %s\n", what, strerror(errno));
    exit(3);
}

static int make_facts(void)
{
    static struct facts f = {.cluster = "c",
                             .node = "n",
                             .job = 1,
                             .task = "batch",
                             .nonce = "0123456789abcdef",
                             .user = "u",
                             .proctrack = "cgroup",
                             .dir = "/nonexistent",
                             .criu = "/nonexistent",
                             .keep = 1,
                             .compress_level = 1,
                             .dump_timeout = 5,
                             .restore_timeout = 5,
                             .mtbf = 3600,
                             .hook_timeout = 30};
    struct err err = {{0}};
    int fd, plain;
    char buf[FACTS_MAX_BYTES];
    ssize_t n;

    f.uid = is("facts-of-other-uid") ? uid + 1 : uid;
    f.gid = gid;
    f.task_pid = getpid();
    snprintf(f.helper_dir, sizeof f.helper_dir, "%s", helper_dir);
    fd = facts_store(&f, &err);
    if (fd < 0) {
        fprintf(stderr, "withbit: %s\n", err.text);
        exit(3);
    }
    if (!is("facts-unsealed") && !is("facts-of-user") && !is("facts-no-memfd"))
        return fd;
    n = pread(fd, buf, sizeof buf, 0);
    if (is("facts-of-user") && setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
        die("seteuid");
    plain = is("facts-no-memfd") ? open("/tmp", O_TMPFILE | O_RDWR, 0600)
                                 : memfd_create("facts", MFD_ALLOW_SEALING);
    if (plain < 0 || write(plain, buf, (size_t)n) != n)
        die("forged facts");
    if (is("facts-of-user")) {
        fcntl(plain, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
        if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0)
            die("seteuid");
    }
    return plain;
}

static void set_bit(cap_flag_value_t value)
{
    static const cap_value_t bit[] = {CAP_CHECKPOINT_RESTORE};
    cap_t caps = cap_get_proc();

    if (!caps || cap_set_flag(caps, CAP_INHERITABLE, 1, bit, value) < 0 || cap_set_proc(caps) < 0)
        die("inheritable bit");
    cap_free(caps);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die(path);
    close(fd);
}

/* The user is root in a namespace of his own, with every capability there; the maps are his to write. */
static void enter_user_namespace(void)
{
    char map[64];

    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else the maps are root's to write */
    if (unshare(CLONE_NEWUSER) < 0)
        die("unshare");
    snprintf(map, sizeof map, "%u %u 1\n", uid, uid);
    write_text("/proc/self/uid_map", map);
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1\n", gid, gid);
    write_text("/proc/self/gid_map", map);
    set_bit(CAP_SET);
}

static void be_decoy(void)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    prctl(PR_SET_NAME, "keeper", 0, 0, 0);
    sleep(20);
    exit(0);
}

/* In the child that becomes the keeper. */
static void hostile_child(int facts, int sock)
{
    char path[4096];
    char *argv[] = {(char[]){"keeper"}, NULL}, *envp[] = {NULL};
    int fds[] = {facts, sock};

    snprintf(path, sizeof path, "%s/keeper", helper_dir);
    if (is("no-bit"))
        set_bit(CAP_CLEAR);
    if (is("no-new-privs") && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        die("no_new_privs");
    if (is("user-namespace"))
        enter_user_namespace();
    if (is("traced") && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
        die("PTRACE_TRACEME");
    if (is("shared-fs")) {
        pid_t parent = getpid();
        long pid = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);

        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            /* It may have ended before that; whoever reads our output would wait for ever. */
            while (getppid() == parent)
                pause();
            _exit(0);
        }
    }
    if (helper_fds_place(fds, 2, NULL) < 0)
        die("descriptors");
    execve(path, argv, envp);
    die(path);
}

static void make_socket(int pair[2])
{
    int type = is("peer-stream") ? SOCK_STREAM : SOCK_SEQPACKET;

    if (is("peer-of-other-process")) {
        pid_t pid = -1;
        int to[2];

        /* A pair made by a child of the task and handed up. */
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) < 0)
            die("socketpair");
        pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
            if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0 ||
                write(to[1], pair, 2 * sizeof(int)) != 2 * sizeof(int))
                _exit(1);
            _exit(0);
        }
        if (pid < 0 || read(to[0], pair, 2 * sizeof(int)) != 2 * sizeof(int))
            die("pair of another process");
        waitpid(pid, NULL, 0);
        return;
    }
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
        die("socketpair");
}

/* A traced child stops at its exec: let it go on, as a tracer would. */
static void run_traced(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        int sig = WSTOPSIG(status);

        ptrace(PTRACE_CONT, child, 0, sig == SIGTRAP ? 0 : sig);
    }
}

static void ask(int sock)
{
    struct proto_request r = {
        .magic = PROTO_MAGIC, .version = PROTO_VERSION, .verb = PROTO_PING, .id = 7};
    struct proto_reply reply;
    struct pollfd p = {.fd = sock, .events = POLLIN};

    if (send(sock, &r, sizeof r, MSG_NOSIGNAL) == (ssize_t)sizeof r && poll(&p, 1, 10000) == 1 &&
        recv(sock, &reply, sizeof reply, 0) == (ssize_t)sizeof reply)
        printf("withbit: keeper answers %d\n", reply.error);
    else
        printf("withbit: keeper ended\n");
}

int main(int argc, char **argv)
{
    int facts, pair[2];
    pid_t child;

    if (argc != 5 || geteuid() != 0) {
        fprintf(stderr, "usage (as root): withbit VARIANT HELPERDIR UID GID\n");
        return 2;
    }
    variant = argv[1];
    helper_dir = argv[2];
    uid = (uid_t)strtoul(argv[3], NULL, 10);
    gid = (gid_t)strtoul(argv[4], NULL, 10);
    setvbuf(stdout, NULL, _IONBF, 0);
    dup2(1, 2);
    facts = make_facts();
    if (is("peer-of-root"))
        make_socket(pair);
    set_bit(CAP_SET);
    alarm(30);
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        die("setresuid");
    if (is("decoy"))
        be_decoy();
    if (!is("peer-of-root"))
        make_socket(pair);
    child = fork();
    if (child == 0)
        hostile_child(facts, pair[1]);
    close(pair[1]);
    set_bit(CAP_CLEAR);
    if (is("traced"))
        run_traced(child);
    ask(pair[0]);
    close(pair[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
