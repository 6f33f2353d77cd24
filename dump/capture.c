/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/capture.h"

#include "common/crimg.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/runclock.h"
#include "dump/cut.h"
#include "dump/requests.h"
#include "dump/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIPE_BYTES (1 << 20)
#define OPEN_MAX 4096u /* pipes at once */

enum {
    AT_RUN = 0,
    AT_STREAM = CRIURUN_NFDS,
    AT_DRAIN,
    AT_SNAPSHOT,
    AT_PACK,
    AT_WANTED,
    AT_PIPES = AT_WANTED + WANTED_FDS
};

/* One image on its way. */
struct flow {
    int fd;
    char name[CRIMG_NAME_MAX + 1];
    struct image *image;           /* small: into memory */
    struct snapshot_process *held; /* to be merged with a snapshot: into memory */
    bool bulk;                     /* into the pack */
    struct pack_frame *frame;      /* being filled; NULL: a new one is needed.  Neither: dropped */
    struct cut cut;
    size_t split; /* the frame ends there, what is behind it begins the next one; 0: it does not */
};

struct capture {
    const struct capture_opts *o;
    struct requests requests;
    struct flow *flows;
    size_t n, room;
    struct pollfd *fds;
    uint8_t *scratch;
    pid_t pagemap; /* whose pagemap image was opened last: CRIU opens that of its pages next */
    bool starving; /* a bulk image waits for a frame */
    bool deaf;     /* nothing will come from CRIU's plugin any more */
    bool draining; /* CRIU waits for the pipes to be empty */
    bool drained;  /* and was told that they are */
};

int64_t capture_now_ms(void)
{
    return runclock_ms();
}

static int grow_flows(struct capture *c, struct err *err)
{
    size_t room = c->room ? 2 * c->room : 64;
    struct flow *flows;
    struct pollfd *fds;

    if (c->n < c->room)
        return 0;
    if (room > OPEN_MAX) {
        errno = EMFILE;
        return err_set(err, "CRIU has more than %u images open at once", OPEN_MAX);
    }
    flows = realloc(c->flows, room * sizeof *flows);
    if (flows)
        c->flows = flows;
    fds = realloc(c->fds, (AT_PIPES + room) * sizeof *fds);
    if (fds)
        c->fds = fds;
    if (!flows || !fds)
        return err_sys(err, "capture");
    c->room = room;
    return 0;
}

/* The pages of a process that has a snapshot. */
static struct snapshot_process *held_for(const struct capture *c, const struct crimg_name *parsed,
                                         const char *name)
{
    struct snapshot_process *p = NULL;

    if (c->o->snapshot && c->pagemap && !strcmp(parsed->prefix, "pages-"))
        p = snapshot_of(c->o->snapshot, c->pagemap);
    if (p)
        snprintf(p->pages, sizeof p->pages, "%s", name);
    return p;
}

static int open_flow(struct capture *c, int fd, struct err *err)
{
    struct flow f = {.fd = fd};
    struct crimg_name parsed;

    memcpy(f.name, c->requests.name, sizeof f.name);
    if (crimg_parse_name(f.name, &parsed)) {
        f.held = held_for(c, &parsed, f.name);
        f.bulk = parsed.kind == CRIMG_BULK && !f.held;
        c->pagemap = parsed.kind == CRIMG_PAGEMAP ? (pid_t)parsed.id : 0;
        if (parsed.kind != CRIMG_BULK) {
            f.image = images_add(c->o->images, f.name, err);
            if (!f.image)
                return -1;
        }
    } else if (!crimg_ignored(f.name)) {
        errno = ENOTSUP;
        return err_set(err,
                       "CRIU offers %s, an image of a kind that is not restored: the tree uses "
                       "something that is not supported, or this CRIU is too new",
                       f.name);
    }
    /* Larger pipes mean fewer turns.  But all of a user's pipes share fs.pipe-user-pages-soft (64 MiB), and CRIU fails
     * without any left: only where there is much to read. */
    if (f.bulk || f.held)
        (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(err, "pipe of %s", f.name);
    c->flows[c->n++] = f;
    return 0;
}

static int serve_stream(struct capture *c, struct err *err)
{
    int fd, rc;

    while ((rc = requests_next(&c->requests, &fd, err)) == 1)
        if (grow_flows(c, err) < 0 || open_flow(c, fd, err) < 0) {
            io_close(&fd);
            return -1;
        }
    return rc;
}

static void submit(struct capture *c, struct flow *f)
{
    if (!f->frame)
        return;
    pack_submit(c->o->pack, f->frame);
    f->frame = NULL;
    f->cut = (struct cut){0, 0};
    f->split = 0;
    c->starving = false;
}

/* All frames may lie half filled with other images: then the fullest goes off as it is. */
static void submit_fullest(struct capture *c)
{
    struct flow *best = NULL;

    for (size_t i = 0; i < c->n; i++)
        if (c->flows[i].frame && (!best || c->flows[i].frame->len > best->frame->len))
            best = &c->flows[i];
    if (best)
        submit(c, best);
}

/* Where the next bytes of f go; NULL: nowhere yet. */
static uint8_t *place(struct capture *c, struct flow *f, size_t *room)
{
    bool idle;

    *room = MANIFEST_FRAME_MAX;
    if (!f->bulk)
        return c->scratch;
    if (!f->frame) {
        f->frame = pack_get(c->o->pack, &idle);
        if (!f->frame) {
            c->starving = true;
            if (idle)
                submit_fullest(c);
            return NULL;
        }
        memcpy(f->frame->image, f->name, sizeof f->name);
    }
    *room = f->frame->room - f->frame->len;
    return f->frame->raw + f->frame->len;
}

/* False: not yet, as no frame is free. */
static bool split(struct capture *c, struct flow *f)
{
    const size_t at = f->split;
    struct pack_frame *next;
    bool idle;

    if (!at)
        return true;
    next = pack_get(c->o->pack, &idle);
    if (!next) {
        c->starving = true;
        f->split = idle ? 0 : at; /* waiting would be for ever: it goes on as one */
        return idle;
    }
    memcpy(next->image, f->name, sizeof f->name);
    next->len = f->frame->len - at;
    memcpy(next->raw, f->frame->raw + at, next->len);
    f->frame->len = at;
    submit(c, f);
    f->frame = next;
    return true;
}

/* Frames of the base that come again are made to be frames again. */
static void cut(struct capture *c, struct flow *f)
{
    const struct base *base = pack_base(c->o->pack);

    while (base && (f->split = cut_find(&f->cut, base, f->frame->raw, f->frame->len)) &&
           split(c, f))
        ;
}

/* Read once what is in the pipe. */
static int serve_flow(struct capture *c, struct flow *f, struct err *err)
{
    size_t room;
    uint8_t *to;
    ssize_t n;

    if (!split(c, f))
        return 0;
    if (f->frame && f->frame->len == f->frame->room)
        submit(c, f);
    to = place(c, f, &room);
    if (!to)
        return 0;
    do
        n = read(f->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : err_sys(err, "pipe of %s", f->name);
    if (n == 0) {
        submit(c, f);
        io_close(&f->fd);
        return 0;
    }
    if (f->bulk) {
        f->frame->len += (size_t)n;
        cut(c, f);
        if (f->frame->len == f->frame->room && !f->split)
            submit(c, f);
        return 0;
    }
    if (f->held)
        return snapshot_hold(f->held, to, (size_t)n, err);
    return f->image ? images_append(c->o->images, f->image, to, (size_t)n, err) : 0;
}

static void drop_ended(struct capture *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->flows[i].fd >= 0)
            c->flows[kept++] = c->flows[i];
    c->n = kept;
}

/* CRIU's plugin asks once; the end of its socket is criu's end. */
static int hear_plugin(struct capture *c, struct err *err)
{
    char byte, state;
    ssize_t n = recv(c->o->drain_fd, &byte, 1, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    c->deaf = true;
    if (n <= 0)
        return 0;
    /* criu knows it by its number, which is another's once somebody has reaped it. */
    state = target_alive(c->o->root_fd) ? target_state(c->o->root) : '\0';
    if (state != 't') {
        bool gone = state == '\0' || state == 'Z' || state == 'X';

        errno = gone ? ESRCH : EPROTO;
        return err_set(err, gone ? "the job has ended during the checkpoint"
                                 : "this CRIU lets the job go before its memory is saved");
    }
    c->draining = true;
    return 0;
}

static bool pipes_empty(const struct capture *c)
{
    for (size_t i = 0; i < c->n; i++) {
        int bytes;

        if (ioctl(c->flows[i].fd, FIONREAD, &bytes) < 0 || bytes > 0)
            return false;
    }
    return true;
}

/* Every request was sent before the plugin asked, and is in the socket; so when that is empty, we know of
 * all pipes. */
static int answer_plugin(struct capture *c, struct err *err)
{
    if (!c->draining || c->drained || !pipes_empty(c) || !requests_idle(&c->requests))
        return 0;
    if (requests_inside(&c->requests)) {
        errno = EBADMSG;
        return err_set(err, "CRIU waits in the middle of a request");
    }
    /* Half-filled frames would keep the hook waiting for ever. */
    for (size_t i = 0; i < c->n; i++)
        submit(c, &c->flows[i]);
    if (c->o->frozen && c->o->frozen(c->o->frozen_arg, err) < 0)
        return -1;
    if (send(c->o->drain_fd, "d", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        return err_sys(err, "CRIU's plugin cannot be answered");
    c->drained = true;
    return 0;
}

static int check_others(struct capture *c, struct err *err)
{
    if (c->fds[AT_PACK].revents)
        pack_clear_event(c->o->pack);
    if (pack_failed(c->o->pack, err) < 0)
        return -1;
    return wanted_look(&c->o->wanted, c->fds + AT_WANTED, err);
}

static int wait_events(struct capture *c, struct err *err)
{

    criurun_pollfds(c->o->run, c->fds + AT_RUN);
    c->fds[AT_STREAM] = (struct pollfd){.fd = c->requests.sock, .events = POLLIN};
    c->fds[AT_DRAIN] = (struct pollfd){.fd = c->deaf ? -1 : c->o->drain_fd, .events = POLLIN};
    c->fds[AT_SNAPSHOT] =
        (struct pollfd){.fd = c->o->snapshot ? snapshot_fd(c->o->snapshot) : -1, .events = POLLIN};
    c->fds[AT_PACK] = (struct pollfd){.fd = pack_eventfd(c->o->pack), .events = POLLIN};
    wanted_pollfds(&c->o->wanted, c->fds + AT_WANTED);
    for (size_t i = 0; i < c->n; i++) {
        /* Without a place for its bytes a readable pipe would only make us spin. */
        bool held = c->flows[i].bulk && (!c->flows[i].frame || c->flows[i].split) && c->starving;

        c->fds[AT_PIPES + i] = (struct pollfd){.fd = held ? -1 : c->flows[i].fd, .events = POLLIN};
    }
    if (poll(c->fds, AT_PIPES + c->n, runclock_wait(c->o->wanted.deadline)) < 0 && errno != EINTR)
        return err_sys(err, "poll");
    return 0;
}

/* 1: criu has ended and everything is in. */
static int turn(struct capture *c, struct err *err)
{
    size_t n = c->n;
    int ended;

    if (wait_events(c, err) < 0 || check_others(c, err) < 0)
        return -1;
    if (c->fds[AT_PACK].revents)
        c->starving = false;
    /* In this order: criu's end is looked at before its last bytes are read, not after. */
    ended = criurun_pump(c->o->run);
    /* The plugin's byte before the stream: what was requested before it is then seen below. */
    if (c->fds[AT_DRAIN].revents && hear_plugin(c, err) < 0)
        return -1;
    if (c->fds[AT_SNAPSHOT].revents && snapshot_serve(c->o->snapshot, err) < 0)
        return -1;
    if (serve_stream(c, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (c->fds[AT_PIPES + i].revents && serve_flow(c, &c->flows[i], err) < 0)
            return -1;
    drop_ended(c);
    if (answer_plugin(c, err) < 0)
        return -1;
    /* Of one that failed nothing is wanted any more. */
    return ended && (criurun_exit_status(c->o->run) != 0 || (c->n == 0 && c->requests.sock < 0));
}

static int criu_result(const struct capture *c, struct err *err)
{
    const struct criurun *run = c->o->run;
    char why[384];

    if (criurun_exit_status(run) == 0) {
        if (requests_inside(&c->requests)) {
            errno = EBADMSG;
            return err_set(err, "CRIU's stream ended inside a request");
        }
        if (!c->drained) {
            errno = EPROTO;
            return err_set(err, "CRIU's plugin did not wait for the memory to be saved");
        }
        return 0;
    }
    criurun_explain(run, why, sizeof why);
    errno = EIO;
    return err_set(err, "%s", why);
}

/* Closing our ends makes each of criu's writes fail; it then cleans up and ends. */
static void close_all(struct capture *c)
{
    int saved = errno;

    requests_close(&c->requests);
    (void)shutdown(c->o->drain_fd, SHUT_RDWR);
    if (c->o->snapshot)
        snapshot_hang_up(c->o->snapshot);
    for (size_t i = 0; i < c->n; i++) {
        struct flow *f = &c->flows[i];

        if (f->frame) {
            f->frame->len = 0;
            submit(c, f);
        }
        io_close(&f->fd);
    }
    c->n = 0;
    errno = saved;
}

static void end_criu(struct criurun *run, struct err *err)
{
    int saved = errno;

    if (!criurun_wait(run, CAPTURE_GRACE_MS)) {
        criurun_kill(run);
        (void)criurun_wait(run, 2000);
        if (err) {
            size_t len = strlen(err->text);

            if (len < sizeof err->text)
                strncat(err->text,
                        "; criu did not end by itself and was killed, which the job may not "
                        "survive",
                        sizeof err->text - len - 1);
        }
    }
    errno = saved;
}

int capture_run(const struct capture_opts *opts, struct err *err)
{
    struct capture c = {.o = opts};
    int rc = -1;

    requests_init(&c.requests, criurun_take_stream(opts->run));
    c.scratch = malloc(MANIFEST_FRAME_MAX);
    if (!c.scratch || grow_flows(&c, NULL) < 0) {
        err_sys(err, "capture");
    } else {
        do
            rc = turn(&c, err);
        while (rc == 0);
        rc = rc == 1 ? criu_result(&c, err) : -1;
    }
    if (rc < 0) {
        close_all(&c);
        end_criu(opts->run, err);
    }
    free(c.scratch);
    free(c.flows);
    free(c.fds);
    return rc;
}
