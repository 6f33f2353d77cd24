/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * run-helper - root's stand-in for Slurm, checkpoint.so, keeper and shepherd: runs libexec dump and restore on a
 * program of an ordinary user.  For tests only; not installed.
 *
 *   run-helper OPTION... --do 'COMMAND;COMMAND;...' [-- PROGRAM ARG...]
 *
 * PROGRAM is started as the user in a session of its own, its output appended to --out.  With --do - the
 * commands come from standard input, one a line.  Commands:
 *   dump [stop]          checkpoint it; prints the reply as one line of key=value
 *   restore [GEN]        restore the newest generation (or exactly GEN); the result becomes the tree
 *   sleep MS             wait
 *   signal NAME          STOP, CONT, TERM, KILL or USR1 to the root of the tree; after KILL it is reaped
 *   start                start PROGRAM (done by itself at first, unless --no-start)
 *   wait MS              wait for the end of the tree's root and print its status
 *   compress HOW         from now on, as --compress
 *   snapshot HOW         the same, as --snapshot
 *   old-kernel           helpers from now on live under a kernel without PAGEMAP_SCAN
 *   kill-helper MS       the next helper gets SIGKILL after so many milliseconds
 *   term-helper MS       ... SIGTERM
 * Exit status: 0 when every dump and restore was answered with error 0, 1 when not, 2 wrong usage.
 */
#include "common/facts.h"
#include "common/gendir.h"
#include "common/helper.h"
#include "common/io.h"
#include "common/proto.h"
#include "t/helpers/run-options.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static pid_t tree = -1;
static int facts_fd = -1;
static int kill_after = -1, kill_signal;
static bool failed;

static uint64_t start_time(void)
{
    char buf[1024];
    unsigned long long v = 0;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, buf, sizeof buf - 1);
    char *p;

    io_close(&fd);
    buf[n > 0 ? n : 0] = '\0';
    p = strrchr(buf, ')');
    for (int i = 0; p && i < 20; i++)
        p = strchr(p + 1, ' ');
    if (p)
        v = strtoull(p, NULL, 10);
    return v;
}

static void make_facts(void)
{
    const struct passwd *pw = getpwnam(o.user);
    struct err err = {""};

    if (!pw) {
        errno = ENOENT;
        die(o.user);
    }
    o.facts.uid = pw->pw_uid;
    o.facts.gid = pw->pw_gid;
    TEXT(user, o.user);
    o.facts.task_pid = getpid();
    o.facts.task_start = start_time();
    if (o.user_facts && seteuid(o.facts.uid) < 0)
        die("seteuid");
    facts_fd = facts_store(&o.facts, &err);
    if (o.user_facts)
        (void)!seteuid(0);
    if (facts_fd < 0) {
        fprintf(stderr, "run-helper: %s\n", err.text);
        exit(2);
    }
}

static void become_user(void)
{
    if (initgroups(o.user, o.facts.gid) < 0 ||
        setresgid(o.facts.gid, o.facts.gid, o.facts.gid) < 0 ||
        setresuid(o.facts.uid, o.facts.uid, o.facts.uid) < 0)
        die("become the user");
}

static void start(void)
{
    if (!o.program[0])
        usage("no program");
    fflush(NULL);
    tree = fork();
    if (tree < 0)
        die("fork");
    if (tree == 0) {
        int in, out;

        become_user();
        setsid();
        in = open("/dev/null", O_RDONLY);
        out = open(o.out, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            die(o.out);
        syscall(SYS_close_range, 3U, ~0U, 0);
        execvp(o.program[0], o.program);
        _exit(127);
    }
}

/* The capability through the change of user and into the ambient set, as the keeper hands it on. */
static void take_cap(void)
{
    static const cap_value_t c[] = {CAP_CHECKPOINT_RESTORE};
    cap_t caps = cap_init();

    cap_set_flag(caps, CAP_PERMITTED, 1, c, CAP_SET);
    cap_set_flag(caps, CAP_INHERITABLE, 1, c, CAP_SET);
    if (cap_set_proc(caps) < 0 || cap_set_ambient(CAP_CHECKPOINT_RESTORE, CAP_SET) < 0)
        die("capability");
    cap_free(caps);
}

static void exec_helper(const char *name, int request, int result, int pidfd)
{
    char path[PATH_MAX + 16], *argv[] = {(char[]){"helper"}, NULL}, *envp[] = {NULL};
    int fds[] = {facts_fd, request, result, pidfd};
    struct err err = {""};

    if (o.helper)
        snprintf(path, sizeof path, "%s", o.helper);
    else
        snprintf(path, sizeof path, "%s/%s", o.facts.helper_dir, name);
    if (!o.no_cap)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    become_user();
    if (!o.no_cap)
        take_cap();
    setpgid(0, 0);
    if (helper_fds_place(fds, pidfd >= 0 ? 4 : 3, &err) == 0)
        execve(path, argv, o.keep_env ? environ : envp);
    die(path);
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void show(const struct proto_reply *r)
{
    printf("verb=%u error=%d pid=%u pause_us=%u total_ms=%u processes=%u raw=%llu stored=%llu "
           "generation=%s text=%s\n",
           r->verb, r->error, r->pid, r->pause_us, r->total_ms, r->processes,
           (unsigned long long)r->raw_bytes, (unsigned long long)r->stored_bytes, r->generation,
           r->text);
    fflush(stdout);
    if (r->error)
        failed = true;
}

static int target_fd(void)
{
    pid_t pid = o.target ? o.target : tree;
    int fd;

    if (o.bad_fd)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        die("pidfd_open");
    return fd;
}

static void shoot(pid_t pid)
{
    if (kill_after < 0)
        return;
    sleep_ms(kill_after);
    kill(-pid, kill_signal);
    kill_after = -1;
}

static void run(const char *name, const struct proto_request *r, struct proto_reply *reply)
{
    int request[2], result[2], pidfd = r->verb == PROTO_DUMP ? target_fd() : -1, status;
    pid_t pid;

    if (pipe2(request, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0 ||
        io_write_full(request[1], r, sizeof *r - (o.bad_request ? 1 : 0)) < 0)
        die("pipe");
    io_close(&request[1]);
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        exec_helper(name, request[0], result[1], pidfd);
    setpgid(pid, pid);
    io_close(&request[0]);
    io_close(&result[1]);
    io_close(&pidfd);
    shoot(pid);
    proto_reply_init(reply, r);
    /* Read before reaping: the answer counts, not the end. */
    if (io_read_full(result[0], reply, sizeof *reply) < 0)
        proto_reply_fail(reply, EIO, "no answer");
    else if (!proto_reply_ok(reply))
        proto_reply_fail(reply, EBADMSG, "malformed answer");
    io_close(&result[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        printf("helper: signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        printf("helper: status %d\n", WEXITSTATUS(status));
    show(reply);
}

static void request_init(struct proto_request *r, uint32_t verb)
{
    static uint32_t id;

    memset(r, 0, sizeof *r);
    r->magic = PROTO_MAGIC;
    r->version = PROTO_VERSION;
    r->verb = verb;
    r->id = ++id;
    snprintf(r->reason, sizeof r->reason, "request");
}

/* As the shepherd does before the job starts; dump makes no directory. */
static void make_task_dir(void)
{
    struct err err = {""};
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        become_user();
        if (gendir_open_task(&o.facts, true, &err) < 0)
            fprintf(stderr, "run-helper: %s\n", err.text);
        _exit(0);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void do_dump(const char *arg)
{
    struct proto_request r;
    struct proto_reply reply;

    make_task_dir();
    request_init(&r, PROTO_DUMP);
    if (!strcmp(arg, "stop"))
        r.flags = PROTO_F_STOP;
    run("dump", &r, &reply);
}

static void do_restore(const char *arg)
{
    struct proto_request r;
    struct proto_reply reply;

    request_init(&r, PROTO_RESTORE);
    if (*arg) {
        r.flags = PROTO_F_EXACT;
        text(r.generation, sizeof r.generation, arg);
    }
    run("restore", &r, &reply);
    if (reply.error == 0)
        tree = (pid_t)reply.pid;
}

static void do_wait(long ms)
{
    int status;

    for (long t = 0; t <= ms; t += 10, sleep_ms(10))
        if (waitpid(tree, &status, WNOHANG) == tree) {
            if (WIFEXITED(status))
                printf("tree: exit %d\n", WEXITSTATUS(status));
            else
                printf("tree: signal %d\n", WTERMSIG(status));
            fflush(stdout);
            return;
        }
    printf("tree: runs\n");
    fflush(stdout);
}

static void do_signal(const char *name)
{
    static const struct {
        const char *name;
        int sig;
    } table[] = {
        {"STOP", SIGSTOP}, {"CONT", SIGCONT}, {"TERM", SIGTERM},
        {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].name, name)) {
            kill(table[i].sig == SIGKILL ? -tree : tree, table[i].sig);
            if (table[i].sig == SIGKILL)
                while (waitpid(-1, NULL, 0) > 0)
                    ;
            return;
        }
    usage("unknown signal");
}

static void do_compress(const char *how)
{
    set_compress(how);
    io_close(&facts_fd);
    make_facts();
}

static void do_snapshot(const char *how)
{
    set_snapshot(how);
    io_close(&facts_fd);
    make_facts();
}

/* As before Linux 6.7.  Inherited by the helpers; the program, which was started before, has no filter. */
static void do_old_kernel(void)
{
    const unsigned scan = _IOWR('f', 16, char[96]);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, scan, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        die("seccomp");
}

static void command(char *line)
{
    char *arg;

    line += strspn(line, " ");
    arg = line + strcspn(line, " ");
    if (*arg)
        *arg++ = '\0';
    if (!strcmp(line, "dump"))
        do_dump(arg);
    else if (!strcmp(line, "restore"))
        do_restore(arg);
    else if (!strcmp(line, "sleep"))
        sleep_ms((long)number(arg));
    else if (!strcmp(line, "wait"))
        do_wait((long)number(arg));
    else if (!strcmp(line, "signal"))
        do_signal(arg);
    else if (!strcmp(line, "start"))
        start();
    else if (!strcmp(line, "compress"))
        do_compress(arg);
    else if (!strcmp(line, "old-kernel"))
        do_old_kernel();
    else if (!strcmp(line, "snapshot"))
        do_snapshot(arg);
    else if (!strcmp(line, "kill-helper") || !strcmp(line, "term-helper")) {
        kill_signal = *line == 'k' ? SIGKILL : SIGTERM;
        kill_after = (int)number(arg);
    } else if (*line)
        usage("unknown command");
}

static void commands_from_input(void)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        command(line);
    }
    free(line);
}

static void commands_from_option(void)
{
    char *script = strdup(o.script), *save = NULL;

    for (char *line = strtok_r(script, ";", &save); line; line = strtok_r(NULL, ";", &save))
        command(line);
    free(script);
}

int main(int argc, char **argv)
{
    run_options_parse(argc, argv);
    if (geteuid() != 0)
        usage("needs root");
    /* What a dead keeper would inherit comes to us. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    make_facts();
    if (o.program[0] && !o.no_start)
        start();
    if (!strcmp(o.script, "-"))
        commands_from_input();
    else
        commands_from_option();
    return failed;
}
