/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/request.h"

#include "common/beneath.h"
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

#define NAME_BYTES 48 /* ".ID.json" */
/* Of one scan; a flood of requests may wait, it must not hold up the clerk. */
#define MAX_SCAN 1024
/* Answers that nobody fetched, and files whose writer died, are removed after this many seconds. */
#define STALE_SECONDS (7 * 86400)

static bool one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(s, *list))
            return true;
    return false;
}

static const char *const verbs[] = {"create",  "vacate", "requeue", "able",
                                    "disable", "enable", "stop",    NULL};
static const char *const states[] = {"running", "done", "failed", "refused", NULL};

static bool id_ok(const char *id)
{
    size_t n = strnlen(id, 33);

    return n >= 16 && n <= 32 && strspn(id, "0123456789abcdef") == n;
}

static bool generation_ok(const char *s)
{
    struct gendir_id id;

    return *s == '\0' || gendir_parse_name(s, &id, NULL);
}

/* "ID.json" back to ID. */
static bool parse_name(const char *name, char id[33])
{
    const char *dot = strchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : 0;

    if (n < 16 || n > 32 || strcmp(dot, ".json") != 0)
        return false;
    memcpy(id, name, n);
    id[n] = '\0';
    return id_ok(id);
}

static void time_now(char out[32])
{
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "1970-01-01T00:00:00Z", 21);
}

static int open_sub(int taskfd, const char *name, bool create, struct err *err)
{
    if (create && mkdirat(taskfd, name, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "cannot make %s", name);
    return gendir_open_dir(taskfd, name, err);
}

/* Copies a member that has to be there; false when it is not text of ours or too long. */
static bool copy_text(const json_t *o, const char *key, char *out, size_t size)
{
    const char *s = jsonread_string(o, key);

    if (!s || !jsonread_printable(s, size))
        return false;
    memcpy(out, s, strlen(s) + 1);
    return true;
}

/* The JSON object in dirfd/name.  NULL: ENOENT, EPERM (no file of ours), EBADMSG (not JSON), EFBIG.
 */
static json_t *read_json(int dirfd, const char *name, size_t most, struct stat *st, struct err *err)
{
    int fd = gendir_open_file(dirfd, name, O_RDONLY, 0, err);
    json_t *o = NULL;
    char *text = NULL;
    size_t len;

    if (fd < 0)
        return NULL;
    if (fstat(fd, st) < 0)
        err_sys(err, "%s", name);
    else
        text = io_slurp(fd, most, &len, err);
    if (text)
        o = jsonread_object(text, len, err);
    if (!o)
        err_prefix(err, "%s", name);
    free(text);
    io_close(&fd);
    return o;
}

/* Writes o (whose reference it takes) as dirfd/ID.json, whole or not at all. */
static int write_json(int dirfd, const char *id, json_t *o, struct err *err)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    char name[NAME_BYTES], temp[NAME_BYTES];
    int fd = -1, rc = -1;

    json_decref(o);
    if (!text) {
        errno = EINVAL;
        return err_set(err, "%s: a text that is not printable, or no memory", id);
    }
    snprintf(name, sizeof name, "%s.json", id);
    snprintf(temp, sizeof temp, ".%s.json", id);
    (void)unlinkat(dirfd, temp, 0); /* of a writer that died */
    fd = gendir_open_file(dirfd, temp, O_WRONLY | O_CREAT, 0600, err);
    if (fd < 0)
        goto out;
    if (io_write_full(fd, text, strlen(text)) < 0 || io_write_full(fd, "\n", 1) < 0 ||
        fsync(fd) < 0 || renameat(dirfd, temp, dirfd, name) < 0) {
        int saved = errno;

        err_sys(err, "cannot write %s", name);
        (void)unlinkat(dirfd, temp, 0);
        errno = saved;
        goto out;
    }
    rc = 0;
out:
    io_close(&fd);
    free(text);
    return rc;
}

/* Called for each name but "." and ".."; the directory may change meanwhile. */
static int each_name(int dirfd, void (*fn)(int, const char *, void *), void *arg, struct err *err)
{
    DIR *d = beneath_list(dirfd, err);
    struct dirent *e;

    if (!d)
        return -1;
    for (int n = 0; n < MAX_SCAN && (e = readdir(d)); n++)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            fn(dirfd, e->d_name, arg);
    beneath_end(d);
    return 0;
}

static void remove_stale(int dirfd, const char *name, void *arg)
{
    char id[33];
    struct stat st;

    (void)arg;
    if (!parse_name(*name == '.' ? name + 1 : name, id))
        return;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtime < time(NULL) - STALE_SECONDS)
        (void)unlinkat(dirfd, name, 0);
}

/* ---- requests ---- */

int request_put(int taskfd, const struct request *r, struct err *err)
{
    char now[32];
    int fd, rc;

    if (!id_ok(r->id) || !jsonread_printable(r->verb, sizeof r->verb) || !one_of(r->verb, verbs)) {
        errno = EINVAL;
        return err_set(err, "request: bad id or verb");
    }
    fd = open_sub(taskfd, REQUEST_DIR, true, err);
    if (fd < 0)
        return err_prefix(err, "request");
    time_now(now);
    rc = write_json(fd, r->id,
                    json_pack("{s:s, s:s, s:s}", "id", r->id, "verb", r->verb, "time", now), err);
    io_close(&fd);
    return rc < 0 ? err_prefix(err, "request") : 0;
}

static int decode_request(const json_t *o, const char *id, struct request *r)
{
    const char *when = jsonread_string(o, "time");

    if (json_object_size(o) == 3 && copy_text(o, "id", r->id, sizeof r->id) &&
        copy_text(o, "verb", r->verb, sizeof r->verb) && when && jsonread_printable(when, 40) &&
        !strcmp(r->id, id) && one_of(r->verb, verbs))
        return 0;
    errno = EBADMSG;
    return -1;
}

struct oldest {
    uid_t uid;
    bool found;
    struct timespec when;
    struct request request;
};

static bool before(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

static void look_at_request(int dirfd, const char *name, void *arg)
{
    struct oldest *best = arg;
    struct request r;
    struct stat st;
    char id[33];
    int rc = -1;

    if (*name == '.') {
        remove_stale(dirfd, name, NULL);
        return;
    }
    errno = EBADMSG;
    if (parse_name(name, id)) {
        json_t *o = read_json(dirfd, name, REQUEST_MAX_BYTES, &st, NULL);

        if (o) {
            rc = decode_request(o, id, &r);
            json_decref(o);
            if (st.st_uid != best->uid) {
                rc = -1;
                errno = EPERM;
            }
        }
    }
    if (rc < 0) {
        /* Not for a passing trouble of the filesystem. */
        if (errno == EBADMSG || errno == EPERM || errno == EFBIG || errno == ELOOP)
            (void)unlinkat(dirfd, name, 0);
        return;
    }
    if (!best->found || before(st.st_mtim, best->when)) {
        best->found = true;
        best->when = st.st_mtim;
        best->request = r;
    }
}

int request_take(int taskfd, uid_t uid, struct request *r, struct err *err)
{
    struct oldest best = {.uid = uid};
    int fd = open_sub(taskfd, REQUEST_DIR, false, err);
    int rc;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_prefix(err, "request");
    rc = each_name(fd, look_at_request, &best, err);
    if (rc == 0 && best.found) {
        char name[NAME_BYTES];

        snprintf(name, sizeof name, "%s.json", best.request.id);
        rc = 1;
        /* One that stays would be taken for ever. */
        if (unlinkat(fd, name, 0) < 0)
            rc = err_sys(err, "request: cannot remove %s", name);
    }
    io_close(&fd);
    if (rc == 1)
        *r = best.request;
    return rc;
}

/* ---- answers ---- */

static bool finding_ok(const json_t *o)
{
    static const char *const texts[] = {"program", "where", "kind", "what", "remedy"};
    uint32_t pid;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *s = jsonread_string(o, texts[i]);

        if (!s || !jsonread_printable(s, 512))
            return false;
    }
    return json_object_size(o) == 7 && jsonread_u32(o, "process", 0, INT32_MAX, &pid) &&
           json_is_boolean(json_object_get(o, "passing"));
}

static bool findings_ok(const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) > 1000)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!finding_ok(json_array_get(list, i)))
            return false;
    return true;
}

static json_t *load_findings(const char *text)
{
    json_t *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (list && findings_ok(list))
        return list;
    json_decref(list);
    return NULL;
}

/* Of an answer that has some; true also when it has none. */
static bool take_findings(const json_t *o, struct answer *a)
{
    const json_t *list = json_object_get(o, "findings");

    if (!list)
        return json_object_size(o) == 10;
    if (json_object_size(o) != 11 || !findings_ok(list))
        return false;
    a->findings = json_dumps(list, JSON_COMPACT | JSON_ENSURE_ASCII);
    return a->findings != NULL;
}

int answer_put(int taskfd, const struct answer *a, struct err *err)
{
    char text[sizeof a->text];
    json_t *o, *findings = NULL;
    int fd, rc;

    if (!id_ok(a->id) || !jsonread_printable(a->verb, sizeof a->verb) || !one_of(a->verb, verbs) ||
        !jsonread_printable(a->state, sizeof a->state) || !one_of(a->state, states) ||
        !jsonread_printable(a->generation, sizeof a->generation) || !generation_ok(a->generation) ||
        strnlen(a->text, sizeof text) == sizeof text || a->raw_bytes > INT64_MAX ||
        a->stored_bytes > INT64_MAX) {
        errno = EINVAL;
        return err_set(err, "answer: a bad field");
    }
    if (a->findings && !(findings = load_findings(a->findings))) {
        errno = EINVAL;
        return err_set(err, "answer: bad findings");
    }
    memcpy(text, a->text, sizeof text);
    err_clean(text);
    fd = open_sub(taskfd, ANSWER_DIR, true, err);
    if (fd < 0) {
        json_decref(findings);
        return err_prefix(err, "answer");
    }
    (void)each_name(fd, remove_stale, NULL, NULL);
    o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "id", a->id, "verb",
                  a->verb, "state", a->state, "generation", a->generation, "pause_us",
                  (json_int_t)a->pause_us, "raw_bytes", (json_int_t)a->raw_bytes, "stored_bytes",
                  (json_int_t)a->stored_bytes, "total_ms", (json_int_t)a->total_ms, "disabled",
                  (json_int_t)a->disabled, "text", text);
    if (findings && (!o || json_object_set_new(o, "findings", findings) < 0)) {
        json_decref(o);
        o = NULL;
    }
    rc = write_json(fd, a->id, o, err);
    io_close(&fd);
    return rc < 0 ? err_prefix(err, "answer") : 0;
}

static int decode_answer(const json_t *o, const char *id, struct answer *out, struct err *err)
{
    struct answer a;

    memset(&a, 0, sizeof a);
    if (copy_text(o, "id", a.id, sizeof a.id) && !strcmp(a.id, id) &&
        copy_text(o, "verb", a.verb, sizeof a.verb) && one_of(a.verb, verbs) &&
        copy_text(o, "state", a.state, sizeof a.state) && one_of(a.state, states) &&
        copy_text(o, "generation", a.generation, sizeof a.generation) &&
        generation_ok(a.generation) && copy_text(o, "text", a.text, sizeof a.text) &&
        jsonread_u32(o, "pause_us", 0, UINT32_MAX, &a.pause_us) &&
        jsonread_u32(o, "total_ms", 0, UINT32_MAX, &a.total_ms) &&
        jsonread_u32(o, "disabled", 0, UINT32_MAX, &a.disabled) &&
        jsonread_u64(o, "raw_bytes", 0, INT64_MAX, &a.raw_bytes) &&
        jsonread_u64(o, "stored_bytes", 0, INT64_MAX, &a.stored_bytes) && take_findings(o, &a)) {
        *out = a;
        return 0;
    }
    errno = EBADMSG;
    return err_set(err, "answer: not a well-formed answer");
}

int answer_get(int taskfd, const char *id, struct answer *a, struct err *err)
{
    char name[NAME_BYTES];
    struct stat st;
    json_t *o;
    int fd, rc;

    if (!id_ok(id)) {
        errno = EINVAL;
        return err_set(err, "answer: bad id");
    }
    fd = open_sub(taskfd, ANSWER_DIR, false, err);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_prefix(err, "answer");
    snprintf(name, sizeof name, "%s.json", id);
    o = read_json(fd, name, ANSWER_MAX_BYTES, &st, err);
    io_close(&fd);
    if (!o)
        return errno == ENOENT ? 0 : err_prefix(err, "answer");
    rc = decode_answer(o, id, a, err);
    json_decref(o);
    return rc < 0 ? -1 : 1;
}

int answer_remove(int taskfd, const char *id)
{
    char name[NAME_BYTES];
    int fd, rc;

    if (!id_ok(id)) {
        errno = EINVAL;
        return -1;
    }
    fd = open_sub(taskfd, ANSWER_DIR, false, NULL);
    if (fd < 0)
        return -1;
    snprintf(name, sizeof name, "%s.json", id);
    rc = unlinkat(fd, name, 0);
    io_close(&fd);
    return rc;
}

static void forget(int dirfd, const char *name, void *arg)
{
    struct answer a;
    struct stat st;
    json_t *o;
    char id[33];

    if (!parse_name(name, id))
        return;
    o = read_json(dirfd, name, ANSWER_MAX_BYTES, &st, NULL);
    if (o && decode_answer(o, id, &a, NULL) == 0 && !strcmp(a.verb, (const char *)arg))
        (void)unlinkat(dirfd, name, 0);
    json_decref(o);
}

void answer_forget(int taskfd, const char *verb)
{
    int fd = open_sub(taskfd, ANSWER_DIR, false, NULL);

    if (fd >= 0)
        (void)each_name(fd, forget, (void *)(uintptr_t)verb, NULL);
    io_close(&fd);
}
