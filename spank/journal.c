/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/journal.h"

#include "common/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define NAME "slurm-checkpoint"
#define BATCH "batch"

struct words {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct words *w, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(w->at, w->left, fmt, ap);
    va_end(ap);
    /* What does not fit is left out, whole. */
    if (n < 0 || (size_t)n >= w->left) {
        *w->at = '\0';
        return;
    }
    w->at += n;
    w->left -= (size_t)n;
}

/* NULL: nothing that anybody wants to know. */
static const char *event_of(const struct proto_reply *r)
{
    if (r->error == ECANCELED || r->error == EUSERS)
        return NULL;
    if (r->verb == PROTO_DUMP)
        return r->error ? "checkpoint-failed" : "checkpoint";
    if (r->verb == PROTO_RESTORE && r->error != ENOENT)
        return r->error ? "restore-failed" : "restored";
    return NULL;
}

static void message(struct words *w, const struct facts *f, const struct proto_reply *r,
                    const char *event)
{
    put(w, "job %u %s: %s", f->job, f->task, event);
    if (r->generation[0])
        put(w, " %s", r->generation);
    if (r->error)
        put(w, ": %s", r->text);
    else if (r->verb == PROTO_DUMP)
        put(w, ", stood still for %" PRIu32 ".%03" PRIu32 " s, %" PRIu64 " bytes",
            r->pause_us / 1000000, r->pause_us / 1000 % 1000, r->stored_bytes);
}

/* The values have no line breaks: proto_reply_ok() and facts_load() let none pass. */
static void native_fields(struct words *w, const struct facts *f, const struct proto_reply *r,
                          const char *event)
{
    put(w, "MESSAGE=");
    message(w, f, r, event);
    put(w, "\nPRIORITY=%d\nSYSLOG_IDENTIFIER=" NAME "\n", r->error ? LOG_WARNING : LOG_INFO);
    put(w, "SLURM_CLUSTER_NAME=%s\nSLURM_JOB_ID=%u\n", f->cluster, f->job);
    if (strcmp(f->task, BATCH) == 0)
        put(w, "SLURM_STEP_ID=" BATCH "\n");
    else
        put(w, "SLURM_STEP_ID=%u\n", f->step);
    put(w, "SLURM_RESTART_COUNT=%u\nCHECKPOINT_TASK=%s\nCHECKPOINT_EVENT=%s\n", f->epoch, f->task,
        event);
    if (r->generation[0])
        put(w, "CHECKPOINT_GENERATION=%s\n", r->generation);
    if (r->verb == PROTO_DUMP && !r->error)
        put(w, "CHECKPOINT_PAUSE_USEC=%" PRIu32 "\nCHECKPOINT_BYTES=%" PRIu64 "\n", r->pause_us,
            r->stored_bytes);
}

static void syslog_line(struct words *w, const struct facts *f, const struct proto_reply *r,
                        const char *event)
{
    time_t now = time(NULL);
    struct tm tm;
    char when[32] = "";

    if (localtime_r(&now, &tm) && strftime(when, sizeof when, "%b %e %H:%M:%S ", &tm) == 0)
        when[0] = '\0';
    put(w, "<%d>%s" NAME ": ", LOG_DAEMON | (r->error ? LOG_WARNING : LOG_INFO), when);
    message(w, f, r, event);
    put(w, " cluster=%s job=%u step=", f->cluster, f->job);
    if (strcmp(f->task, BATCH) == 0)
        put(w, BATCH);
    else
        put(w, "%u", f->step);
    put(w, " task=%s event=%s", f->task, event);
}

size_t journal_format(const struct facts *f, const struct proto_reply *reply, bool native,
                      char *out, size_t size)
{
    const char *event = event_of(reply);
    struct words w = {out, size};

    *out = '\0';
    if (!event)
        return 0;
    if (native)
        native_fields(&w, f, reply, event);
    else
        syslog_line(&w, f, reply, event);
    return size - w.left;
}

static int send_to(const char *path, const char *text, size_t len)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    rc = sendto(fd, text, len, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : 0;
    io_close(&fd);
    return rc;
}

void journal_tell(const struct facts *f, const struct proto_reply *reply)
{
    char text[2048];
    size_t len = journal_format(f, reply, true, text, sizeof text);
    const char *socket = f->event_socket[0] ? f->event_socket : "/run/systemd/journal/socket";

    if (len == 0 || send_to(socket, text, len) == 0 || f->event_socket[0])
        return;
    len = journal_format(f, reply, false, text, sizeof text);
    (void)send_to("/dev/log", text, len);
}
