/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/snapshot.h"

#include "common/io.h"
#include "dump/inject.h"
#include "dump/snapshot_loss.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AREAS_MAX (1u << 20)
#define PROCESSES_MAX 100000u
#define UNSHARE_FILES 2u /* CLOSE_RANGE_UNSHARE */
#define REAP_MS 5000
#define READ_MAX (1u << 30)

struct snapshot {
    int fd;
    struct snapshot_process **list;
    size_t n, room;
    bool planned, ended, required;
    pid_t *seen; /* stopped by criu */
    size_t nseen;
    pid_t touched, touched_child; /* by the plugin, at this moment */
    unsigned left;                /* processes that have none */
    uint32_t held_ms;
    char why[160]; /* of the first of them */
    char how[224];
};

struct snapshot *snapshot_create(int fd)
{
    struct snapshot *s = calloc(1, sizeof *s);

    if (s)
        s->fd = fd;
    return s;
}

void snapshot_require(struct snapshot *s)
{
    s->required = true;
}

int snapshot_plan(struct snapshot *s, const struct snapshot_word *plan, struct err *err)
{
    struct snapshot_word w = *plan;

    w.magic = SNAPSHOT_MAGIC;
    w.verb = SNAPSHOT_PLAN;
    s->planned = true;
    /* EPIPE: criu has ended already, which whoever waits for it will find and explain. */
    if (send(s->fd, &w, sizeof w, MSG_NOSIGNAL) != (ssize_t)sizeof w && errno != EPIPE &&
        errno != ECONNRESET)
        return err_sys(err, "CRIU's plugin cannot be told of the snapshot");
    return 0;
}

void snapshot_hang_up(const struct snapshot *s)
{
    int saved = errno;

    (void)shutdown(s->fd, SHUT_WR);
    errno = saved;
}

int snapshot_forgo(struct snapshot *s, const char *why, struct err *err)
{
    const struct snapshot_word only_look = {.bytes = UINT64_MAX};

    snprintf(s->why, sizeof s->why, "%s", why);
    return snapshot_plan(s, &only_look, err);
}

int snapshot_fd(const struct snapshot *s)
{
    return s->planned ? s->fd : -1;
}

static void let_go(struct snapshot_process *p)
{
    if (!p)
        return;
    io_close(&p->pidfd);
    io_close(&p->memfd);
    io_close(&p->pagemapfd);
    io_close(&p->smapsfd);
    io_close(&p->earlyfd);
    free(p->areas);
    free(p->held);
    free(p);
}

static int open_proc(pid_t pid, const char *name, int flags)
{
    char path[48];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return open(path, flags | O_CLOEXEC);
}

static int read_areas(struct snapshot_process *p, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    p->n = (size_t)st.st_size / sizeof *p->areas;
    errno = EBADMSG;
    if (!S_ISREG(st.st_mode) || p->n < 1 || p->n > AREAS_MAX ||
        (size_t)st.st_size != p->n * sizeof *p->areas)
        return -1;
    p->areas = malloc(p->n * sizeof *p->areas);
    if (!p->areas || io_pread_full(fd, p->areas, p->n * sizeof *p->areas, 0) < 0)
        return -1;
    errno = EBADMSG;
    for (size_t i = 0; i < p->n; i++)
        if (p->areas[i].end <= p->areas[i].start || p->areas[i].start % 4096 ||
            p->areas[i].end % 4096 || (i > 0 && p->areas[i].start < p->areas[i - 1].end))
            return -1;
    return 0;
}

/* Only a preference. */
static void offer_to_oom_killer(pid_t pid)
{
    int fd = open_proc(pid, "oom_score_adj", O_WRONLY);

    if (fd >= 0 && write(fd, "1000", 4) < 0)
        errno = 0;
    io_close(&fd);
}

/* All that it will be read through is opened now: the tree stands still, ckpt-init reaps nobody, the pid is its. */
static int seize(struct snapshot_process *p)
{
    const unsigned options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;

    p->pidfd = (int)syscall(SYS_pidfd_open, p->child, 0);
    p->memfd = open_proc(p->child, "mem", O_RDONLY);
    p->pagemapfd = open_proc(p->child, "pagemap", O_RDONLY);
    if (p->earlyfd >= 0)
        p->smapsfd = open_proc(p->child, "smaps", O_RDONLY);
    if (p->pidfd < 0 || p->memfd < 0 || p->pagemapfd < 0 || (p->earlyfd >= 0 && p->smapsfd < 0))
        return -1;
    if (ptrace(PTRACE_SEIZE, p->child, NULL, (void *)(uintptr_t)options) < 0 ||
        ptrace(PTRACE_INTERRUPT, p->child, NULL, NULL) < 0 || inject_wait_born(p->child) < 0)
        return -1;
    offer_to_oom_killer(p->child);
    return 0;
}

/* Until now it shared the job's table of descriptors. */
static int drop_files(const struct snapshot_process *p)
{
    const uint64_t args[5] = {0, UINT32_MAX, UNSHARE_FILES, 0, 0};
    struct inject in;
    long rc;

    if (inject_begin(&in, p->child, p->site, 0) < 0)
        return -1;
    rc = inject_call(&in, NULL, SYS_close_range, args);
    if (rc == 0)
        return 0;
    errno = rc == INJECT_LOST ? ESRCH : (int)-rc;
    return -1;
}

/* early is taken over. */
static struct snapshot_process *take_over(const struct snapshot_word *w, int fd, int *early)
{
    struct snapshot_process *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    *p = (struct snapshot_process){.pid = w->pid,
                                   .child = w->child,
                                   .pidfd = -1,
                                   .memfd = -1,
                                   .pagemapfd = -1,
                                   .smapsfd = -1,
                                   .earlyfd = *early,
                                   .site = w->site,
                                   .vdso_start = w->vdso_start,
                                   .vdso_end = w->vdso_end,
                                   .bytes = w->bytes};
    *early = -1;
    if (w->child > 1 && w->pid > 0 && fd >= 0 && read_areas(p, fd) == 0 && seize(p) == 0)
        return p;
    let_go(p);
    return NULL;
}

static bool grow(struct snapshot *s)
{
    size_t room = s->room ? 2 * s->room : 16;
    struct snapshot_process **list;

    if (s->n < s->room)
        return true;
    list = s->n < PROCESSES_MAX ? realloc(s->list, room * sizeof(struct snapshot_process *)) : NULL;
    if (!list)
        return false;
    s->list = list;
    s->room = room;
    return true;
}

static int note_left(struct snapshot *s, pid_t pid, const char *why, struct err *err)
{
    if (s->left++ == 0)
        snprintf(s->why, sizeof s->why, "process %d: %s", (int)pid, why);
    err_clean(s->why);
    if (!s->required)
        return 0;
    errno = ENOTSUP;
    return err_set(err, "snapshot=require, but none can be made of %s", s->why);
}

static int taken(struct snapshot *s, const struct snapshot_word *w, int fds[2], struct err *err)
{
    struct snapshot_process *p = grow(s) ? take_over(w, fds[0], &fds[1]) : NULL;
    struct snapshot_word answer = {.magic = SNAPSHOT_MAGIC,
                                   .verb = p ? SNAPSHOT_HELD : SNAPSHOT_LEFT,
                                   .pid = w->pid,
                                   .child = w->child};

    if (p)
        s->list[s->n++] = p;
    else if (note_left(s, w->pid, strerror(errno), err) < 0)
        return -1;
    if (send(s->fd, &answer, sizeof answer, MSG_NOSIGNAL) != (ssize_t)sizeof answer)
        return err_sys(err, "CRIU's plugin cannot be answered");
    /* After the answer: criu goes on meanwhile. Before the tree is let go: this thread answers that, too. */
    if (p && drop_files(p) < 0)
        return err_sys(err, "the snapshot of process %d keeps its files open", (int)p->pid);
    return 0;
}

/* For snapshot_criu_ended.  False: the word is another. */
static bool note(struct snapshot *s, const struct snapshot_word *w)
{
    if (w->verb == SNAPSHOT_TOUCH) {
        s->touched = w->pid;
        s->touched_child = w->child;
    } else if (w->verb == SNAPSHOT_SEEN) {
        pid_t *more =
            s->nseen < PROCESSES_MAX ? realloc(s->seen, (s->nseen + 1) * sizeof *s->seen) : NULL;

        if (more) {
            s->seen = more;
            s->seen[s->nseen++] = w->pid;
        }
    }
    return w->verb == SNAPSHOT_TOUCH || w->verb == SNAPSHOT_SEEN;
}

int snapshot_serve(struct snapshot *s, struct err *err)
{
    char control[CMSG_SPACE(2 * sizeof(int))];
    struct snapshot_word w;
    struct iovec iov = {&w, sizeof w};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c;
    ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fds[2] = {-1, -1}, rc = 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        io_close(&s->fd);
        return 0;
    }
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        (c->cmsg_len == CMSG_LEN(sizeof(int)) || c->cmsg_len == CMSG_LEN(sizeof fds)))
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (n != (ssize_t)sizeof w || w.magic != SNAPSHOT_MAGIC) {
        errno = EBADMSG;
        rc = err_set(err, "CRIU's plugin sent something strange");
    } else if (w.verb == SNAPSHOT_TAKEN) {
        rc = taken(s, &w, fds, err);
    } else if (!note(s, &w) && w.verb == SNAPSHOT_LEFT) {
        w.why[sizeof w.why - 1] = '\0';
        rc = note_left(s, w.pid, w.why, err);
    }
    io_close(&fds[0]);
    io_close(&fds[1]);
    return rc;
}

/* Its last words.  Of a snapshot process that nobody took over we are told nothing but the number, and it lives until its
 * alarm (snapshot_take.c) at least. */
bool snapshot_criu_ended(struct snapshot *s)
{
    struct snapshot_word w;
    ssize_t n;

    while (s->fd >= 0 && (n = recv(s->fd, &w, sizeof w, MSG_DONTWAIT)) > 0) {
        if (n != (ssize_t)sizeof w || w.magic != SNAPSHOT_MAGIC || note(s, &w))
            continue;
        if (w.verb == SNAPSHOT_TAKEN && w.child > 1) {
            kill(w.child, SIGKILL);
        }
    }
    if (s->touched > 0 && s->touched_child > 0 && !snapshot_loss_reap(s->touched, s->touched_child))
        return true;
    return snapshot_loss_any(s->seen, s->nseen);
}

struct snapshot_process *snapshot_of(struct snapshot *s, pid_t pid)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (s->list[i]->pid == pid)
            return s->list[i];
    return NULL;
}

size_t snapshot_count(const struct snapshot *s)
{
    return s->n;
}

struct snapshot_process *snapshot_at(struct snapshot *s, size_t i)
{
    return s->list[i];
}

int snapshot_hold(struct snapshot_process *p, const void *data, size_t len, struct err *err)
{
    if (len > SNAPSHOT_HELD_MAX - p->held_len) {
        errno = EFBIG;
        return err_set(err, "CRIU saved more of process %d itself than was expected", (int)p->pid);
    }
    if (p->held_len + len > p->held_room) {
        size_t room = p->held_room ? p->held_room : 1u << 20;
        uint8_t *more;

        while (room < p->held_len + len)
            room *= 2;
        more = realloc(p->held, room);
        if (!more)
            return err_sys(err, "pages of process %d", (int)p->pid);
        p->held = more;
        p->held_room = room;
    }
    memcpy(p->held + p->held_len, data, len);
    p->held_len += len;
    return 0;
}

int snapshot_read(const struct snapshot_process *p, uint64_t at, void *to, size_t len)
{
    uint8_t *dest = to;

    while (len > 0) {
        size_t want = len < READ_MAX ? len : READ_MAX;
        /* Not process_vm_readv: that pins pages, for which the kernel first gives the snapshot a copy of its own of each
         * (mm/gup.c, gup_must_unshare, Linux 5.19): twice the memory in the end, whether the job writes or not. */
        ssize_t n = pread(p->memfd, dest, want, (off_t)at);

        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0)
                errno = ESRCH;
            return -1;
        }
        dest += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int snapshot_alive(const struct snapshot *s, struct err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        unsigned long message;

        /* Not by its pidfd, which tells of the end only after the memory has gone: page tables that are empty for that reason
         * must not pass for a proof.  What has been killed stands in no stop of ours any more. */
        if (ptrace(PTRACE_GETEVENTMSG, s->list[i]->child, NULL, &message) < 0) {
            errno = ESRCH;
            return err_set(err, "the snapshot of process %d was killed while it was being written",
                           (int)s->list[i]->pid);
        }
    }
    return 0;
}

void snapshot_note_held(struct snapshot *s, uint32_t ms)
{
    s->held_ms = ms;
}

const char *snapshot_how(struct snapshot *s)
{
    int n;

    const char *why = s->why[0] ? s->why : "no process is large enough";

    if (s->n == 0)
        n = snprintf(s->how, sizeof s->how, "none: %s", why);
    else if (s->left)
        n = snprintf(s->how, sizeof s->how, "copy-on-write, but %s", why);
    else
        n = snprintf(s->how, sizeof s->how, "copy-on-write");
    if (s->held_ms && n > 0 && (size_t)n < sizeof s->how)
        snprintf(s->how + n, sizeof s->how - (size_t)n, ", held for %u ms: memory was short",
                 s->held_ms);
    return s->how;
}

void snapshot_kill(const struct snapshot *s)
{
    for (size_t i = 0; s && !s->ended && i < s->n; i++)
        (void)syscall(SYS_pidfd_send_signal, s->list[i]->pidfd, SIGKILL, NULL, 0);
}

/* We are its tracer: ckpt-init can reap it only after us. */
static void take_end(const struct snapshot_process *p)
{
    int status = 0;

    while (!WIFSIGNALED(status) || WIFSTOPPED(status))
        if (waitpid(p->child, &status, __WALL) < 0 && errno != EINTR)
            return;
}

static bool gone(const struct snapshot_process *p)
{
    return syscall(SYS_pidfd_send_signal, p->pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
}

void snapshot_end(struct snapshot *s)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int turns = REAP_MS / 2, saved = errno;

    snapshot_kill(s);
    for (size_t i = 0; s && !s->ended && i < s->n; i++)
        take_end(s->list[i]);
    for (size_t i = 0; s && !s->ended && i < s->n; i++)
        while (!gone(s->list[i]) && turns-- > 0)
            nanosleep(&pause, NULL);
    if (s)
        s->ended = true;
    errno = saved;
}

void snapshot_destroy(struct snapshot *s)
{
    int saved = errno;

    if (!s)
        return;
    snapshot_end(s);
    for (size_t i = 0; i < s->n; i++)
        let_go(s->list[i]);
    io_close(&s->fd);
    free(s->list);
    free(s->seen);
    free(s);
    errno = saved;
}
