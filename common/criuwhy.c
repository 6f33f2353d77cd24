/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What CRIU's error lines mean for the owner of a job.  The texts looked for are those of CRIU 4.1 to 4.2;
 * a line that is not known is shown as it is.
 */
#include "common/criurun.h"

#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_DIR "log"
#define LINE_MAX_BYTES 400

struct known {
    const char *needle; /* in an error line */
    const char *text;   /* put before the line's own words */
};

/* The first row that fits any error line wins: the particular before the general. */
static const struct known known[] = {
    /* both */
    {"The criu itself is within dumped tree", "the checkpoint helper is inside the tree"},
    {"failed when initializing kerndat", "CRIU cannot work on this kernel or without the "
                                         "capability CAP_CHECKPOINT_RESTORE"},
    {"Could not initialize kernel features", "CRIU cannot work on this kernel or without the "
                                             "capability CAP_CHECKPOINT_RESTORE"},
    {"Can't find mount", "a file lies in another mount namespace (a private /tmp?)"},
    /* dump */
    {"Unseizable non-zombie",
     "a process cannot be stopped: a debugger is attached, or its program may "
     "be run but not read"},
    {"Unable to detach from",
     "a process cannot be stopped: a debugger is attached, or its program may "
     "be run but not read"},
    {"Timeout reached",
     "a process did not stop in time: it waits for a disk or network filesystem"},
    {"Zombies with threads are not", "a process is just ending: try again"},
    {"Zombie thread not", "a process is just ending: try again"},
    {"Task pid reused while", "a process is just ending: try again"},
    {"Unexpected child", "a process is just ending: try again"},
    {"Can't lookup mount=",
     "a file was opened in another mount namespace (before a private /tmp was "
     "set up?)"},
    {"Open files on overmounted", "an open file lies under another mount"},
    {"consider using --tcp-established",
     "an open TCP connection: only connections that the job can "
     "do without may be open at a checkpoint"},
    {"In-flight connection", "a TCP connection is just being made: try again"},
    {"Can't dump half of stream unix",
     "a connection to a service outside the job through a Unix socket "
     "(munge, sssd, dbus, nscd: mostly short, try again)"},
    {"External socket is used",
     "a connection to a service outside the job through a Unix socket (munge, "
     "sssd, dbus, nscd: mostly short, try again)"},
    {"Can't dump name-less external", "a connection to a service outside the job"},
    {"io_uring", "a process uses io_uring, which CRIU cannot save"},
    {"send_fds failed", "an open file cannot be handed on (io_uring?), which CRIU cannot save"},
    {"fsnotify", "a process watches files (inotify, fanotify), which CRIU cannot save without more "
                 "privilege"},
    {"Can't stat path", "an open file lies where the job's user may not look"},
    {"perf_event", "a process uses performance counters (perf), which CRIU cannot save"},
    {"userfaultfd", "a process uses userfaultfd, which CRIU cannot save"},
    {"computes with",
     "a program uses vector registers (SVE, SME) that CRIU does not save: build it for NEON "
     "(-march=armv8-a), and keep the C library from them (GLIBC_TUNABLES=glibc.cpu.name=generic); "
     "it is tried again"},
    {"infiniband", "a process uses RDMA (InfiniBand), which CRIU cannot save"},
    {"Can't handle non-regular mapping",
     "a process has a device mapped (GPU, RDMA), which CRIU cannot "
     "save"},
    {"nvidia", "a process uses a GPU, which CRIU cannot save"},
    {"/dev/kfd", "a process uses a GPU, which CRIU cannot save"},
    {"of that type [", "an open file is of a kind that CRIU cannot save"},
    {"Can't open mapped", "a program, library or file that a process uses was deleted or replaced "
                          "meanwhile"},
    {"SysVIPC shmem map",
     "System V shared memory (shmget) is attached, which CRIU cannot save here"},
    {"Unable to set a pipe size",
     "the user's pipes on this node hold too much just now (other checkpoints at the same time; "
     "fs.pipe-user-pages-soft): it is tried again"},
    {"suspending seccomp", "a process has restricted its system calls (seccomp)"},
    {"Use link-remap option", "an open file was deleted under its name, but has other names"},
    {"increase limit", "a deleted but open file is too large"},
    {"Some file locks are hold", "a file lock is shared with a process outside the job"},
    {"A session leader of", "a process belongs to a session from outside the job"},
    {"doesn't have a controlling terminal", "a terminal from outside the job is open"},
    {"Found dangling tty", "a terminal from outside the job is open"},
    {"Nested mount namespaces", "a process has made namespaces of its own (a container?)"},
    {"namespaces are not supported", "a process has made namespaces of its own (a container?)"},
    {"Can't dump nested", "a process has made namespaces of its own (a container?)"},
    /* restore */
    {"has bad size", "a file was changed after the checkpoint"},
    {"has bad mode", "a file's permissions were changed after the checkpoint"},
    {"has bad build-ID", "a program or library was replaced after the checkpoint"},
    {"Can't fork for", "a process id is taken"},
    {"on restore: No such file", "a file of the job is missing"},
    {"Can't open file", "a file of the job cannot be opened"},
    {"Unable to open", "a file of the job cannot be opened"},
    {"Can't bind", "a port or socket of the job is taken"},
    {"CPU", "this node's processor lacks something that the other one had"},
};

static const char *line_end(const char *p)
{
    const char *e = strchr(p, '\n');

    return e ? e : p + strlen(p);
}

/* The next error line at or after p: its message without time, pid and source file. */
static const char *next_error(const char *p, const char **end)
{
    while (*p) {
        const char *e = line_end(p);
        const char *hit = strstr(p, "Error (");

        if (!hit)
            return NULL;
        if (hit < e) {
            const char *msg = strstr(hit, "): ");

            *end = e;
            return msg && msg < e ? msg + 3 : hit;
        }
        p = hit;
        while (p[-1] != '\n')
            p--;
    }
    return NULL;
}

/* Lines that follow from something else or are of no consequence. */
static bool noise(const char *line)
{
    static const char *const quiet[] = {
        "Dumping FAILED", "Restoring FAILED", "stats-dump",
        "stats-restore",  "cgroup", /* "Unable to ..." of parts that --unprivileged does without */
        "policy dir",               /* that criu-shim.so has not made */
    };

    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++)
        if (strstr(line, quiet[i]))
            return true;
    return false;
}

static void copy_line(char *buf, const char *p, const char *end)
{
    size_t n = (size_t)(end - p);

    if (n >= LINE_MAX_BYTES)
        n = LINE_MAX_BYTES - 1;
    memcpy(buf, p, n);
    buf[n] = '\0';
    err_clean(buf);
}

bool criurun_explain_log(const char *log, char *text, size_t size)
{
    char line[LINE_MAX_BYTES], first[LINE_MAX_BYTES] = "";
    const char *p, *end;
    size_t best = sizeof known / sizeof known[0];

    for (p = next_error(log, &end); p; p = next_error(end, &end)) {
        copy_line(line, p, end);
        if (noise(line))
            continue;
        if (!*first)
            memcpy(first, line, sizeof first);
        for (size_t i = 0; i < best; i++)
            if (strstr(line, known[i].needle)) {
                best = i;
                snprintf(text, size, "%s (CRIU: %s)", known[i].text, line);
            }
    }
    if (best < sizeof known / sizeof known[0])
        return true;
    if (*first)
        snprintf(text, size, "CRIU: %s", first);
    return *first != '\0';
}

void criurun_explain(const struct criurun *run, char *text, size_t size)
{
    int status = criurun_exit_status(run);

    if (criurun_explain_log(criurun_log(run, NULL), text, size))
        return;
    if (WIFSIGNALED(status))
        snprintf(text, size, "criu was ended by signal %d%s", WTERMSIG(status),
                 WTERMSIG(status) == SIGKILL ? " (by hand, or out of memory?)" : "");
    else
        snprintf(text, size, "criu ended with status %d and gave no reason", WEXITSTATUS(status));
}

int criurun_save_log(const struct criurun *run, int taskfd, const char *name, struct err *err)
{
    size_t len;
    const char *log = criurun_log(run, &len);
    int dir, fd, rc;

    if (len == 0)
        return 0;
    if (mkdirat(taskfd, LOG_DIR, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "cannot make " LOG_DIR);
    dir = gendir_open_dir(taskfd, LOG_DIR, err);
    if (dir < 0)
        return -1;
    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
        err_sys(err, "cannot replace " LOG_DIR "/%s", name);
        io_close(&dir);
        return -1;
    }
    fd = gendir_open_file(dir, name, O_WRONLY | O_CREAT, 0600, err);
    if (fd < 0) {
        io_close(&dir);
        return -1;
    }
    rc = io_write_full(fd, log, len);
    if (rc < 0) {
        err_sys(err, "cannot write " LOG_DIR "/%s", name);
        (void)unlinkat(dir, name, 0);
    }
    io_close(&fd);
    io_close(&dir);
    return rc;
}
