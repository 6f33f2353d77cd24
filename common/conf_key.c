/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/conf_key.h"

#include "common/spec.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_KEEP 100

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
    TIGHT,
    INCREMENTAL,
    YESNO
};

/* One row per key of checkpoint.conf(5). Numbers are within [min, max]; sizes up to max, 0: any. */
struct conf_key {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint32_t min, max;
};

#define ROW(key, field, kind, min, max)                                                            \
    {                                                                                              \
        key, kind, offsetof(struct conf, field), sizeof(((struct conf *)0)->field), min, max       \
    }

static const struct conf_key rows[] = {
    ROW("Dir", dir, TEMPLATE, 0, 0),
    ROW("StateDir", state_dir, PATHNAME, 0, 0),
    ROW("HelperDir", helper_dir, PATHNAME, 0, 0),
    ROW("Criu", criu, PATHNAME, 0, 0),
    ROW("MungeSocket", munge_socket, PATHNAME, 0, 0),
    ROW("Log", log_dir, PATHNAME, 0, 0),
    ROW("MetricsDir", metrics_dir, PATHNAME, 0, 0),
    ROW("EventSocket", event_socket, PATHNAME, 0, 0),
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
    ROW("JobClock", job_clock, YESNO, 0, 0),
    ROW("MaxRestarts", max_restarts, COUNT, 0, UINT32_MAX),
    ROW("BusyWait", busy_wait, COUNT, 0, 3600),
    ROW("BusyRetries", busy_retries, COUNT, 0, 1000),
    ROW("Mtbf", mtbf, DURATION, 60, UINT32_MAX),
    ROW("FilesLimit", files_limit, SIZE, 0, 0),
    ROW("FilesSmall", files_small, SIZE, 0, FACTS_SMALL_MAX),
    ROW("FilesOver", files_over, CHOICE, 0, 0),
    ROW("Inputs", inputs, CHOICE, 0, 0),
    ROW("Snapshot", snapshot, SNAPSHOT, 0, 0),
    ROW("SnapshotTight", snapshot_tight, TIGHT, 0, 0),
    ROW("Incremental", incremental, INCREMENTAL, 0, 0),
    ROW("HookBefore", hooks.before, PATHNAME, 0, 0),
    ROW("HookAfter", hooks.after, PATHNAME, 0, 0),
    ROW("HookRestored", hooks.restored, PATHNAME, 0, 0),
    ROW("HookTimeout", hook_timeout, DURATION, 1, 3600),
};
#define NROWS (sizeof rows / sizeof rows[0])
_Static_assert(NROWS <= CONF_KEYS_MAX, "the reader has one bit per key");

static int set_path(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    char *at = (char *)c + row->offset;

    if (row->kind == TEMPLATE) {
        char out[PATH_MAX];

        if (conf_expand_dir(value, "user", 1, "/home/user", "cluster", out, err) < 0) {
            err_prefix(err, "%s", row->key);
            return -1;
        }
    } else if (!conf_path_ok(value)) {
        return err_set(err, "%s must be an absolute path without '..'", row->key);
    }
    if (strlen(value) >= row->size)
        return err_set(err, "%s is too long", row->key);
    memcpy(at, value, strlen(value) + 1);
    return 0;
}

static int set_text(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    if (strlen(value) >= row->size || !conf_text_ok(value) || strpbrk(value, " \t"))
        return err_set(err, "%s must be names separated by commas, without blanks", row->key);
    memcpy((char *)c + row->offset, value, strlen(value) + 1);
    return 0;
}

static bool parse_digits(const char *s, char **end, unsigned long long *v)
{
    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *v = strtoull(s, end, 10);
    return errno == 0;
}

static int set_u32(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    unsigned long long v = 0;
    uint32_t n;
    char *end;

    if (row->kind == DURATION) {
        if (!spec_parse_time(value, &n) || n < row->min)
            return err_set(err, "%s must be a Slurm time (minutes, hours:minutes:seconds, ...)%s",
                           row->key, row->min ? " over 0" : "");
        if (n > row->max)
            return err_set(err, "%s must be at most %u seconds", row->key, row->max);
    } else {
        if (!parse_digits(value, &end, &v) || *end || v < row->min || v > row->max)
            return err_set(err, "%s must be a number from %u to %u", row->key, row->min, row->max);
        n = (uint32_t)v;
    }
    memcpy((char *)c + row->offset, &n, sizeof n);
    return 0;
}

static int set_size(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    uint64_t bytes;

    if (!spec_parse_size(value, &bytes))
        return err_set(err, "%s must be a number of bytes, with K, M, G or T if wanted", row->key);
    if (row->max && bytes > row->max)
        return err_set(err, "%s must be at most %uM", row->key, row->max >> 20);
    memcpy((char *)c + row->offset, &bytes, sizeof bytes);
    return 0;
}

static int set_choice(const struct conf_key *row, const char *value, struct conf *c,
                      struct err *err)
{
    enum facts_choice choice;

    if (!spec_parse_choice(value, &choice))
        return err_set(err, "%s must be refuse or warn", row->key);
    memcpy((char *)c + row->offset, &choice, sizeof choice);
    return 0;
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

static int set_isolation(const struct conf_key *row, const char *value, struct conf *c,
                         struct err *err)
{
    if (!parse_isolation(value, strlen(value), &c->isolation))
        return err_set(err, "%s must be private or host", row->key);
    return 0;
}

static int set_allow(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    bool host = false, priv = false;
    const char *p = value;

    for (;;) {
        size_t len = strcspn(p, ",");
        enum facts_isolation i;

        if (!parse_isolation(p, len, &i))
            return err_set(err, "%s must be private, host or private,host", row->key);
        host = host || i == ISOLATION_HOST;
        priv = priv || i == ISOLATION_PRIVATE;
        if (!p[len])
            break;
        p += len + 1;
    }
    c->allow_host = host;
    c->allow_private = priv;
    return 0;
}

static int set_compress(const struct conf_key *row, const char *value, struct conf *c,
                        struct err *err)
{
    if (!spec_parse_compress(value, &c->compress, &c->compress_level))
        return err_set(err, "%s must be none, lz4, zstd or zstd:1..19", row->key);
    return 0;
}

static int set_snapshot(const struct conf_key *row, const char *value, struct conf *c,
                        struct err *err)
{
    if (!facts_snapshot_parse(value, &c->snapshot))
        return err_set(err, "%s must be yes, no or require", row->key);
    return 0;
}

static int set_tight(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    if (!facts_tight_parse(value, &c->snapshot_tight))
        return err_set(err, "%s must be hold or drop", row->key);
    return 0;
}

static int set_incremental(const struct conf_key *row, const char *value, struct conf *c,
                           struct err *err)
{
    if (!facts_incremental_parse(value, &c->incremental))
        return err_set(err, "%s must be yes, no or 2..%d", row->key, FACTS_INCREMENTAL_MAX);
    return 0;
}

static int set_yesno(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    bool yes = !strcasecmp(value, "yes");

    if (!yes && strcasecmp(value, "no") != 0)
        return err_set(err, "%s must be yes or no", row->key);
    memcpy((char *)c + row->offset, &yes, sizeof yes);
    return 0;
}

int conf_key_set(const struct conf_key *row, const char *value, struct conf *c, struct err *err)
{
    if (!*value)
        return err_set(err, "%s has no value", row->key);
    switch (row->kind) {
    case TEMPLATE:
    case PATHNAME:
        return set_path(row, value, c, err);
    case TEXT:
        return set_text(row, value, c, err);
    case DURATION:
    case COUNT:
        return set_u32(row, value, c, err);
    case SIZE:
        return set_size(row, value, c, err);
    case ISOLATION:
        return set_isolation(row, value, c, err);
    case ALLOW:
        return set_allow(row, value, c, err);
    case COMPRESS:
        return set_compress(row, value, c, err);
    case CHOICE:
        return set_choice(row, value, c, err);
    case SNAPSHOT:
        return set_snapshot(row, value, c, err);
    case TIGHT:
        return set_tight(row, value, c, err);
    case INCREMENTAL:
        return set_incremental(row, value, c, err);
    case YESNO:
        return set_yesno(row, value, c, err);
    }
    return -1;
}

const struct conf_key *conf_key_find(const char *key)
{
    for (size_t i = 0; i < NROWS; i++)
        if (!strcasecmp(rows[i].key, key))
            return &rows[i];
    return NULL;
}

size_t conf_key_index(const struct conf_key *key)
{
    return (size_t)(key - rows);
}

const char *conf_key_name(const struct conf_key *key)
{
    return key->key;
}
