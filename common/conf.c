/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/conf.h"

#include "common/io.h"
#include "common/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_KEEP 100
#define MAX_FILE_BYTES 65536

enum kind {
    TEMPLATE,
    PATHNAME,
    TEXT,
    DURATION,
    COUNT,
    SIZE,
    ISOLATION,
    ALLOW,
    COMPRESS,
    CHOICE,
    SNAPSHOT,
    TIGHT
};

/* One row per key of checkpoint.conf(5). Numbers are within [min, max]. */
struct row {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint32_t min, max;
};

#define ROW(key, field, kind, min, max)                                                            \
    {                                                                                              \
        key, kind, offsetof(struct conf, field), sizeof(((struct conf *)0)->field), min, max       \
    }

static const struct row rows[] = {
    ROW("Dir", dir, TEMPLATE, 0, 0),
    ROW("StateDir", state_dir, PATHNAME, 0, 0),
    ROW("HelperDir", helper_dir, PATHNAME, 0, 0),
    ROW("Criu", criu, PATHNAME, 0, 0),
    ROW("MungeSocket", munge_socket, PATHNAME, 0, 0),
    ROW("Log", log_dir, PATHNAME, 0, 0),
    ROW("Isolation", isolation, ISOLATION, 0, 0),
    ROW("AllowIsolation", allow_host, ALLOW, 0, 0),
    ROW("HostUsers", host_users, TEXT, 0, 0),
    ROW("Interval", interval, DURATION, 0, UINT32_MAX),
    ROW("Keep", keep, COUNT, 1, MAX_KEEP),
    ROW("MaxKeep", max_keep, COUNT, 1, MAX_KEEP),
    ROW("Compress", compress, COMPRESS, 0, 0),
    ROW("DumpTimeout", dump_timeout, DURATION, 1, UINT32_MAX),
    ROW("RestoreTimeout", restore_timeout, DURATION, 1, UINT32_MAX),
    ROW("Threads", threads, COUNT, 0, 256),
    ROW("MaxSize", max_size, SIZE, 0, 0),
    ROW("MaxUserSize", max_user_size, SIZE, 0, 0),
    ROW("MaxSiteSize", max_site_size, SIZE, 0, 0),
    ROW("MinFree", min_free, SIZE, 0, 0),
    ROW("ExpireDays", expire_days, COUNT, 0, 36500),
    ROW("MaxDumps", max_dumps, COUNT, 0, FACTS_DUMPS_MAX),
    ROW("MaxRestarts", max_restarts, COUNT, 0, UINT32_MAX),
    ROW("BusyWait", busy_wait, COUNT, 0, 3600),
    ROW("BusyRetries", busy_retries, COUNT, 0, 1000),
    ROW("Mtbf", mtbf, DURATION, 60, UINT32_MAX),
    ROW("FilesLimit", files_limit, SIZE, 0, 0),
    ROW("FilesOver", files_over, CHOICE, 0, 0),
    ROW("Inputs", inputs, CHOICE, 0, 0),
    ROW("Snapshot", snapshot, SNAPSHOT, 0, 0),
    ROW("SnapshotTight", snapshot_tight, TIGHT, 0, 0),
};
#define NROWS (sizeof rows / sizeof rows[0])
_Static_assert(NROWS <= 64, "one bit per row in state.seen");

/* What the reader and the handler that inih calls have to know of each other. */
struct state {
    FILE *file;
    struct conf *conf;
    uint64_t seen;
    unsigned line;
    unsigned bad_line; /* 0: none */
    char why[300];
};

void conf_defaults(struct conf *c)
{
    memset(c, 0, sizeof *c);
    snprintf(c->state_dir, sizeof c->state_dir, "/run/slurm-spank-checkpoint");
    snprintf(c->helper_dir, sizeof c->helper_dir, "%s", CKPT_HELPERDIR);
    snprintf(c->criu, sizeof c->criu, "/usr/sbin/criu");
    c->isolation = ISOLATION_PRIVATE;
    c->allow_host = c->allow_private = true;
    c->interval = 3600;
    c->keep = 2;
    c->max_keep = 10;
    c->compress = COMPRESS_ZSTD;
    c->compress_level = 1;
    c->dump_timeout = c->restore_timeout = 3600;
    c->max_dumps = 4;
    c->max_restarts = 20;
    c->expire_days = 14;
    c->busy_wait = c->busy_retries = 5;
    c->mtbf = 30 * 86400;
    c->files_limit = UINT64_C(2) << 30;
}

/* The first complaint counts; inih goes on reading. */
__attribute__((format(printf, 2, 3))) static bool refuse(struct state *st, const char *fmt, ...)
{
    va_list ap;

    if (st->bad_line)
        return false;
    st->bad_line = st->line ? st->line : 1;
    va_start(ap, fmt);
    if (vsnprintf(st->why, sizeof st->why, fmt, ap) < 0)
        st->why[0] = '\0';
    va_end(ap);
    return false;
}

static bool has_dotdot(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")); p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return false;
}

static bool no_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static bool absolute(const char *s)
{
    return *s == '/' && s[1] != '\0' && !has_dotdot(s) && no_control(s);
}

static bool set_path(struct state *st, const struct row *row, const char *value)
{
    char *at = (char *)st->conf + row->offset;

    if (row->kind == TEMPLATE) {
        char out[PATH_MAX];
        struct err why;

        if (conf_expand_dir(value, "user", 1, "/home/user", "cluster", out, &why) < 0)
            return refuse(st, "%s: %s", row->key, why.text);
    } else if (!absolute(value)) {
        return refuse(st, "%s must be an absolute path without '..'", row->key);
    }
    if (strlen(value) >= row->size)
        return refuse(st, "%s is too long", row->key);
    memcpy(at, value, strlen(value) + 1);
    return true;
}

static bool set_text(struct state *st, const struct row *row, const char *value)
{
    if (strlen(value) >= row->size || !no_control(value) || strpbrk(value, " \t"))
        return refuse(st, "%s must be names separated by commas, without blanks", row->key);
    memcpy((char *)st->conf + row->offset, value, strlen(value) + 1);
    return true;
}

static bool parse_digits(const char *s, char **end, unsigned long long *v)
{
    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *v = strtoull(s, end, 10);
    return errno == 0;
}

static bool set_u32(struct state *st, const struct row *row, const char *value)
{
    unsigned long long v = 0;
    uint32_t n;
    char *end;

    if (row->kind == DURATION) {
        if (!spec_parse_time(value, &n) || n < row->min)
            return refuse(st, "%s must be a Slurm time (minutes, hours:minutes:seconds, ...)%s",
                          row->key, row->min ? " over 0" : "");
    } else {
        if (!parse_digits(value, &end, &v) || *end || v < row->min || v > row->max)
            return refuse(st, "%s must be a number from %u to %u", row->key, row->min, row->max);
        n = (uint32_t)v;
    }
    memcpy((char *)st->conf + row->offset, &n, sizeof n);
    return true;
}

static bool set_size(struct state *st, const struct row *row, const char *value)
{
    uint64_t bytes;

    if (!spec_parse_size(value, &bytes))
        return refuse(st, "%s must be a number of bytes, with K, M, G or T if wanted", row->key);
    memcpy((char *)st->conf + row->offset, &bytes, sizeof bytes);
    return true;
}

static bool set_choice(struct state *st, const struct row *row, const char *value)
{
    enum facts_choice c;

    if (!spec_parse_choice(value, &c))
        return refuse(st, "%s must be refuse or warn", row->key);
    memcpy((char *)st->conf + row->offset, &c, sizeof c);
    return true;
}

static bool parse_isolation(const char *s, size_t len, enum facts_isolation *i)
{
    if (len == 4 && !strncasecmp(s, "host", 4))
        *i = ISOLATION_HOST;
    else if (len == 7 && !strncasecmp(s, "private", 7))
        *i = ISOLATION_PRIVATE;
    else
        return false;
    return true;
}

static bool set_isolation(struct state *st, const struct row *row, const char *value)
{
    if (!parse_isolation(value, strlen(value), &st->conf->isolation))
        return refuse(st, "%s must be private or host", row->key);
    return true;
}

static bool set_allow(struct state *st, const struct row *row, const char *value)
{
    bool host = false, priv = false;
    const char *p = value;

    for (;;) {
        size_t len = strcspn(p, ",");
        enum facts_isolation i;

        if (!parse_isolation(p, len, &i))
            return refuse(st, "%s must be private, host or private,host", row->key);
        host = host || i == ISOLATION_HOST;
        priv = priv || i == ISOLATION_PRIVATE;
        if (!p[len])
            break;
        p += len + 1;
    }
    st->conf->allow_host = host;
    st->conf->allow_private = priv;
    return true;
}

static bool set_compress(struct state *st, const struct row *row, const char *value)
{
    if (!spec_parse_compress(value, &st->conf->compress, &st->conf->compress_level))
        return refuse(st, "%s must be none, lz4, zstd or zstd:1..19", row->key);
    return true;
}

static bool set_snapshot(struct state *st, const struct row *row, const char *value)
{
    if (!facts_snapshot_parse(value, &st->conf->snapshot))
        return refuse(st, "%s must be yes, no or require", row->key);
    return true;
}

static bool set_tight(struct state *st, const struct row *row, const char *value)
{
    if (!facts_tight_parse(value, &st->conf->snapshot_tight))
        return refuse(st, "%s must be hold or drop", row->key);
    return true;
}

static bool set_row(struct state *st, const struct row *row, const char *value)
{
    if (!*value)
        return refuse(st, "%s has no value", row->key);
    switch (row->kind) {
    case TEMPLATE:
    case PATHNAME:
        return set_path(st, row, value);
    case TEXT:
        return set_text(st, row, value);
    case DURATION:
    case COUNT:
        return set_u32(st, row, value);
    case SIZE:
        return set_size(st, row, value);
    case ISOLATION:
        return set_isolation(st, row, value);
    case ALLOW:
        return set_allow(st, row, value);
    case COMPRESS:
        return set_compress(st, row, value);
    case CHOICE:
        return set_choice(st, row, value);
    case SNAPSHOT:
        return set_snapshot(st, row, value);
    case TIGHT:
        return set_tight(st, row, value);
    }
    return false;
}

static const struct row *row_of(const char *key)
{
    for (size_t i = 0; i < NROWS; i++)
        if (!strcasecmp(rows[i].key, key))
            return &rows[i];
    return NULL;
}

static uint64_t bit(const struct row *row)
{
    return UINT64_C(1) << (row - rows);
}

static int handler(void *user, const char *section, const char *name, const char *value)
{
    struct state *st = user;
    const struct row *row = row_of(name);
    char copy[INI_MAX_LINE];
    size_t len = 0;

    if (*section)
        return refuse(st, "[%s]: this file has no sections", section);
    if (!row)
        return refuse(st, "unknown key '%s'", name);
    if (st->seen & bit(row))
        return refuse(st, "%s is given twice", row->key);
    st->seen |= bit(row);
    /* A comment behind the value, as in slurm.conf; inih only knows that of ';'. */
    while (value[len] && !(strchr(" \t", value[len]) && value[len + 1] == '#'))
        len++;
    while (len > 0 && strchr(" \t", value[len - 1]))
        len--;
    if (len >= sizeof copy)
        return refuse(st, "%s is too long", row->key);
    memcpy(copy, value, len);
    copy[len] = '\0';
    return set_row(st, row, copy);
}

/* fgets for inih, which would cut a long line in two without a word, and would take an indented
 * line for a part of the one before. */
static char *reader(char *buf, int size, void *stream)
{
    struct state *st = stream;
    size_t len, blanks;

    if (!fgets(buf, size, st->file))
        return NULL;
    st->line++;
    len = strlen(buf);
    if ((len == 0 || buf[len - 1] != '\n') && !feof(st->file)) {
        refuse(st, "the line is too long (over %d bytes), or has a zero byte in it", size - 2);
        return NULL;
    }
    blanks = strspn(buf, " \t");
    memmove(buf, buf + blanks, len - blanks + 1);
    return buf;
}

/* What one key alone cannot tell. A default gives way to what was written. */
static bool settle(struct state *st)
{
    struct conf *c = st->conf;

    st->line = 0;
    if (!(st->seen & bit(row_of("Isolation"))) && !c->allow_private)
        c->isolation = ISOLATION_HOST;
    if (c->isolation == ISOLATION_HOST ? !c->allow_host : !c->allow_private)
        return refuse(st, "Isolation is not one of AllowIsolation");
    if (!(st->seen & bit(row_of("Keep"))) && c->keep > c->max_keep)
        c->keep = c->max_keep;
    if (!(st->seen & bit(row_of("MaxKeep"))) && c->keep > c->max_keep)
        c->max_keep = c->keep;
    if (c->keep > c->max_keep)
        return refuse(st, "Keep is greater than MaxKeep");
    return true;
}

static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "%s", path);
    errno = EINVAL;
    if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE_BYTES)
        return err_set(err, "%s: not a regular file of at most %d bytes", path, MAX_FILE_BYTES);
    errno = EPERM;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(err, "%s: belongs to uid %u: chown it to root", path, st.st_uid);
    /* Root must not take a policy from somebody else. */
    if (geteuid() == 0 && (st.st_mode & 022))
        return err_set(err, "%s: writable by others than root: chmod go-w it", path);
    return 0;
}

static int parse(const char *path, FILE *file, struct conf *out, struct err *err)
{
    struct conf c;
    struct state st = {.file = file, .conf = &c};
    int rc;

    conf_defaults(&c);
    rc = ini_parse_stream(reader, &st, handler, &st);
    errno = EINVAL;
    if (rc > 0 && !st.bad_line)
        return err_set(err, "%s:%d: not Key=Value", path, rc);
    if (!st.bad_line && (rc < 0 || ferror(file))) {
        errno = EIO;
        return err_set(err, "%s: cannot be read", path);
    }
    /* A line that inih refused by itself may come before the one that the handler refused. */
    if (st.bad_line && rc > 0 && (unsigned)rc < st.bad_line)
        return err_set(err, "%s:%d: not Key=Value", path, rc);
    if (st.bad_line)
        return err_set(err, "%s:%u: %s", path, st.bad_line, st.why);
    if (!settle(&st))
        return err_set(err, "%s: %s", path, st.why);
    *out = c;
    return 0;
}

int conf_load(const char *path, struct conf *c, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    FILE *file;

    if (fd < 0)
        return err_sys(err, "%s", path);
    if (check_owner(fd, path, err) < 0) {
        io_close(&fd);
        return -1;
    }
    file = fdopen(fd, "r");
    if (!file) {
        err_sys(err, "%s", path);
        io_close(&fd);
        return -1;
    }
    rc = parse(path, file, c, err);
    {
        int saved = errno;

        fclose(file);
        errno = saved;
    }
    return rc;
}

/* A name that stands for one component of a path. */
static bool component_ok(const char *s)
{
    return *s && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0 && no_control(s);
}

int conf_expand_dir(const char *template_, const char *user, uid_t uid, const char *home,
                    const char *cluster, char out[PATH_MAX], struct err *err)
{
    char path[PATH_MAX], number[16];
    size_t n = 0;

    snprintf(number, sizeof number, "%u", uid);
    for (const char *p = template_; *p; p++) {
        char one[2] = {*p, '\0'};
        const char *add = one;

        errno = EINVAL;
        if (*p == '%') {
            switch (*++p) {
            case 'u':
                add = component_ok(user) ? user : NULL;
                break;
            case 'U':
                add = number;
                break;
            case 'h':
                add = absolute(home) ? home : NULL;
                break;
            case 'c':
                add = component_ok(cluster) ? cluster : NULL;
                break;
            case '%':
                break;
            default:
                return err_set(err, "'%s': only %%u, %%U, %%h, %%c and %%%% are known", template_);
            }
            if (!add)
                return err_set(err, "'%s': the value of %%%c cannot stand in a path", template_,
                               *p);
        }
        if (strlen(add) >= sizeof path - n) {
            errno = ENAMETOOLONG;
            return err_set(err, "'%s': the path becomes too long", template_);
        }
        memcpy(path + n, add, strlen(add));
        n += strlen(add);
    }
    path[n] = '\0';
    if (!absolute(path)) {
        errno = EINVAL;
        return err_set(err, "'%s' is not an absolute path without '..'", path);
    }
    memcpy(out, path, n + 1);
    return 0;
}
