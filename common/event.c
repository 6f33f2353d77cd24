/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/event.h"

#include "common/gendir.h"
#include "common/io.h"
#include "common/jsonread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static const char *const names[] = {
    "started",    "checkpoint", "checkpoint-failed", "restored",  "restore-failed",
    "scratch",    "rerun",      "requeue",           "ended",     "cancelled",
    "held",       "note",       "skipped",           "elsewhere", "vetoed",
    "last-begun",
};

static bool name_ok(const char *s)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(s, names[i]))
            return true;
    return false;
}

static bool event_ok(const struct event *e)
{
    struct gendir_id id;

    return jsonread_printable(e->time, sizeof e->time) &&
           jsonread_printable(e->node, sizeof e->node) &&
           jsonread_printable(e->event, sizeof e->event) && name_ok(e->event) &&
           jsonread_printable(e->generation, sizeof e->generation) &&
           (!e->generation[0] || gendir_parse_name(e->generation, &id, NULL)) &&
           e->stored_bytes <= INT64_MAX && strnlen(e->text, sizeof e->text) < sizeof e->text;
}

/* A line starts at the beginning of a line, even when the last one was cut short.  NULL: no memory.
 */
static char *encode(const struct event *e, bool torn)
{
    char now[32] = "", text[sizeof e->text], *json, *line = NULL;
    time_t t = time(NULL);
    struct tm tm;
    json_t *o;

    if (!e->time[0] &&
        (!gmtime_r(&t, &tm) || !strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm)))
        return NULL;
    memcpy(text, e->text, sizeof text);
    err_clean(text);
    o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "time",
                  e->time[0] ? e->time : now, "epoch", (json_int_t)e->epoch, "node", e->node,
                  "event", e->event, "generation", e->generation, "text", text, "pause_us",
                  (json_int_t)e->pause_us, "stored_bytes", (json_int_t)e->stored_bytes, "total_ms",
                  (json_int_t)e->total_ms);
    json = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(o);
    if (json && asprintf(&line, "%s%s\n", torn ? "\n" : "", json) < 0)
        line = NULL;
    free(json);
    return line;
}

/* The events file for appending; one that has grown enough is put aside first. */
static int open_events(int taskfd, struct err *err)
{
    int fd = gendir_open_file(taskfd, EVENTS_FILE, O_RDWR | O_APPEND, 0, err);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_size < (off_t)EVENTS_MAX_BYTES))
        return fd;
    if (fd < 0 && errno != ENOENT)
        return -1;
    if (fd >= 0) {
        io_close(&fd);
        if (renameat(taskfd, EVENTS_FILE, taskfd, EVENTS_OLD) < 0)
            return err_sys(err, "cannot put %s aside", EVENTS_FILE);
    }
    return gendir_open_file(taskfd, EVENTS_FILE, O_RDWR | O_APPEND | O_CREAT, 0600, err);
}

static bool is_torn(int fd)
{
    struct stat st;
    char last = '\n';

    return fstat(fd, &st) == 0 && st.st_size > 0 &&
           io_pread_full(fd, &last, 1, st.st_size - 1) == 0 && last != '\n';
}

int event_add(int taskfd, const struct event *e, struct err *err)
{
    char *line;
    int fd, rc = 0;

    if (!event_ok(e)) {
        errno = EINVAL;
        return err_set(err, "event: a bad field");
    }
    fd = open_events(taskfd, err);
    if (fd < 0)
        return err_prefix(err, "event");
    line = encode(e, is_torn(fd));
    if (!line) {
        errno = ENOMEM;
        rc = err_set(err, "event: no memory");
    } else if (io_write_full(fd, line, strlen(line)) < 0 || fdatasync(fd) < 0) {
        rc = err_sys(err, "event: write");
    }
    free(line);
    io_close(&fd);
    return rc;
}

static bool get(const json_t *o, const char *key, char *out, size_t size)
{
    const char *s = jsonread_string(o, key);

    if (!s || !jsonread_printable(s, size))
        return false;
    memcpy(out, s, strlen(s) + 1);
    return true;
}

static bool decode(const char *line, size_t len, struct event *e)
{
    json_t *o = len <= LINE_MAX_BYTES ? jsonread_object(line, len, NULL) : NULL;
    bool ok;

    memset(e, 0, sizeof *e);
    ok = o && get(o, "time", e->time, sizeof e->time) && get(o, "node", e->node, sizeof e->node) &&
         get(o, "event", e->event, sizeof e->event) &&
         get(o, "generation", e->generation, sizeof e->generation) &&
         get(o, "text", e->text, sizeof e->text) &&
         jsonread_u32(o, "epoch", 0, UINT32_MAX, &e->epoch) &&
         jsonread_u32(o, "pause_us", 0, UINT32_MAX, &e->pause_us) &&
         jsonread_u32(o, "total_ms", 0, UINT32_MAX, &e->total_ms) &&
         jsonread_u64(o, "stored_bytes", 0, INT64_MAX, &e->stored_bytes) && event_ok(e);
    json_decref(o);
    return ok;
}

/* 1: fn has had enough. */
static int each_of(int taskfd, const char *name, int (*fn)(const struct event *, void *), void *arg,
                   struct err *err)
{
    int fd = gendir_open_file(taskfd, name, O_RDONLY, 0, err), rc = 0;
    char *text, *end;
    size_t len;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    text = io_slurp(fd, EVENTS_MAX_BYTES + LINE_MAX_BYTES, &len, err);
    io_close(&fd);
    if (!text)
        return err_prefix(err, "%s", name);
    for (char *line = text; rc == 0 && line < text + len; line = end + 1) {
        struct event e;

        end = memchr(line, '\n', len - (size_t)(line - text));
        if (!end)
            end = text + len;
        if (decode(line, (size_t)(end - line), &e) && fn(&e, arg) != 0)
            rc = 1;
    }
    free(text);
    return rc;
}

int event_each(int taskfd, int (*fn)(const struct event *, void *), void *arg, struct err *err)
{
    int rc = each_of(taskfd, EVENTS_OLD, fn, arg, err);

    if (rc == 0)
        rc = each_of(taskfd, EVENTS_FILE, fn, arg, err);
    return rc < 0 ? -1 : 0;
}
