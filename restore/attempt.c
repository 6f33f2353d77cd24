/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/attempt.h"

#include "common/helper.h"
#include "common/runclock.h"
#include "restore/procs.h"
#include "restore/serve.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_MS 10000
#define THREADS_MOST 8

/* Each checked in CRIU 4.2's source:
 *   --restore-detached     end when the tree runs
 *   --file-locks           as at the dump, else an image with locks is refused
 *   --skip-file-rwx-check  modes may have been changed by the job itself; access is checked by
 * open()
 *   --manage-cgroups=ignore  the tree stays in criu's cgroup, which is the task's
 *   --display-stats        to stdout: the work directory cannot be written
 * Never --tcp-established, --ext-unix-sk, --inherit-fd, --external, --exec-cmd, --action-script,
 * --lazy-pages,
 * --auto-dedup, --lsm-profile, --join-ns. */
static const char *const args[] = {
    "restore",
    "--restore-detached",
    "--file-locks",
    "--skip-file-rwx-check",
    "--manage-cgroups=ignore",
    "--display-stats",
    NULL,
};

int64_t attempt_now_ms(void)
{
    return runclock_ms();
}

struct criurun *attempt_prepare(const struct facts *f, struct err *err)
{
    const struct criurun_opts opts = {.criu = f->criu, .helper_dir = f->helper_dir, .args = args};
    char plugin[PATH_MAX];
    int n = snprintf(plugin, sizeof plugin, "%s/criu-plugins/ckpt-restore.so", f->helper_dir);

    /* CRIU loads what is there; without this one the restore would work, and be open to abuse. */
    if (n < 0 || (size_t)n >= sizeof plugin) {
        errno = ENAMETOOLONG;
        err_set(err, "helper directory: name too long");
        return NULL;
    }
    if (helper_path_trusted(plugin, "helper directory", err) < 0)
        return NULL;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        err_sys(err, "PR_SET_CHILD_SUBREAPER");
        return NULL;
    }
    return criurun_prepare(&opts, err);
}

static unsigned threads(const struct facts *f)
{
    cpu_set_t set;
    int n = f->threads ? (int)f->threads : 0;

    if (n == 0 && sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set) < THREADS_MOST ? CPU_COUNT(&set) : THREADS_MOST;
    return n > 0 ? (unsigned)n : 1;
}

/* Until criu has ended: 0, or -1 and why it must be. */
static int drive(struct attempt *a, struct serve *s, struct err *err)
{
    while (!criurun_pump(a->run)) {
        struct pollfd fds[CRIURUN_NFDS + 2];
        int64_t left = a->deadline - attempt_now_ms();

        if (left <= 0) {
            errno = ETIMEDOUT;
            return err_set(err, "the restore did not end within %u s", a->f->restore_timeout);
        }
        criurun_pollfds(a->run, fds);
        fds[CRIURUN_NFDS] = (struct pollfd){.fd = serve_fd(s), .events = POLLIN};
        fds[CRIURUN_NFDS + 1] = (struct pollfd){.fd = a->cancelfd, .events = POLLIN};
        if (poll(fds, CRIURUN_NFDS + 2, left < RUNCLOCK_TICK_MS ? (int)left : RUNCLOCK_TICK_MS) <
                0 &&
            errno != EINTR)
            return err_sys(err, "poll");
        if (fds[CRIURUN_NFDS + 1].revents) {
            errno = ECANCELED;
            return err_set(err, "the restore was cancelled");
        }
        if (fds[CRIURUN_NFDS].revents && serve_step(s, err) < 0)
            return -1;
    }
    return 0;
}

static int judge_criu(const struct attempt *a, struct err *err)
{
    const int status = criurun_exit_status(a->run);
    /* What the plugin has killed may look like success to CRIU. */
    const bool refused = strstr(criurun_log(a->run, NULL), "Error (ckpt-restore)") != NULL;
    char text[400];

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !refused)
        return 0;
    criurun_explain(a->run, text, sizeof text);
    errno = refused ? EPERM : strstr(text, "Can't fork for") ? EBUSY : EIO;
    return err_set(err, "%s", text);
}

/* The root is ours to hand on, running or already ended. */
static int check_root(const struct attempt *a, struct err *err)
{
    siginfo_t info;
    const pid_t root = (pid_t)a->t->procs[0].pid;

    if (waitid(P_PID, (id_t)root, &info, WEXITED | WNOWAIT | WNOHANG) == 0)
        return 0;
    return err_sys(err, "the restored root, process %d, is not a child of this helper", (int)root);
}

static int prove(const struct attempt *a, struct err *err)
{
    const pid_t holders[] = {getpid(), getppid()}; /* the keeper holds it by design */
    unsigned n;

    return procs_prove_harmless(a->f->uid, holders, sizeof holders / sizeof holders[0], &n, err);
}

static void end_all(struct attempt *a, struct err *err)
{
    const int saved = errno;
    struct err why = {""};

    criurun_kill(a->run);
    (void)criurun_wait(a->run, KILL_MS);
    if (procs_kill_descendants(KILL_MS, &why) < 0)
        err_prefix(err, "%s", why.text);
    errno = saved;
}

int attempt_run(struct attempt *a, struct err *err)
{
    const struct serve_opts o = {.sock = criurun_take_stream(a->run),
                                 .bundle = &a->c->b,
                                 .index = &a->c->ix,
                                 .pages = &a->c->pages,
                                 .compress = manifest_compress(&a->c->m),
                                 .threads = threads(a->f)};
    struct serve *s = serve_create(&o, err);
    const uint32_t last = a->f->isolation == ISOLATION_PRIVATE ? tree_max_id(a->t) : 0;
    int rc = s ? criurun_go(a->run, last, err) : -1;

    if (rc == 0)
        rc = drive(a, s, err);
    if (rc == 0)
        rc = judge_criu(a, err);
    if (rc == 0 && (prove(a, err) < 0 || check_root(a, err) < 0))
        rc = -1;
    if (rc < 0)
        end_all(a, err);
    a->hung = !serve_destroy(s);
    return rc;
}
