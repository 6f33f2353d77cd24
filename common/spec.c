/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spec.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAX_SECONDS (10u * 365 * 86400)
#define MAX_KEEP 100
#define MAX_HOOK_SECONDS 3600
#define HOOK_ALLOWED "the absolute path of a program, without '..'"

/* With a prefix of its own, and the wrong piece before it, it must fit into an err. */
const char spec_help[] =
    "TIME (minutes, hours:minutes:seconds, days-hours, ...), auto, or off alone; or, with commas "
    "between them, interval=TIME|auto, overhead=, max-runtime=, keep=1..100, compress=, "
    "isolation=private|host, name=, restore=, files=PATH, files-limit=, files-small=, files-over=, "
    "inputs=, snapshot=, incremental=, hook-{before,after,restored,timeout}= (see "
    "spank-checkpoint(8))";

/* Digits to a number, which they must be from first to last; *p stands behind them afterwards. */
static bool take_number(const char **p, uint64_t *v)
{
    const char *s = *p;

    for (*v = 0; *s >= '0' && *s <= '9'; s++) {
        *v = *v * 10 + (uint64_t)(*s - '0');
        if (*v > MAX_SECONDS)
            return false;
    }
    if (s == *p)
        return false;
    *p = s;
    return true;
}

bool spec_parse_time(const char *text, uint32_t *seconds)
{
    /* How many seconds each number stands for, by how many there are. */
    static const unsigned plain[4][3] = {{0}, {60}, {60, 1}, {3600, 60, 1}};
    static const unsigned after_days[3] = {3600, 60, 1};
    uint64_t days = 0, v[3], sum;
    const char *p = text;
    size_t n = 0;
    bool has_days = strchr(text, '-') != NULL;

    if (has_days && (!take_number(&p, &days) || *p++ != '-'))
        return false;
    do {
        if (n == 3 || !take_number(&p, &v[n++]))
            return false;
    } while (*p == ':' && p++);
    if (*p)
        return false;
    sum = days * 86400;
    for (size_t i = 0; i < n; i++)
        sum += v[i] * (has_days ? after_days[i] : plain[n][i]);
    if (sum > MAX_SECONDS)
        return false;
    *seconds = (uint32_t)sum;
    return true;
}

bool spec_parse_compress(const char *text, enum facts_compress *c, int *level)
{
    uint64_t v = 1;

    enum facts_compress got = COMPRESS_ZSTD;

    if (strncmp(text, "zstd:", 5) == 0) {
        text += 5;
        if (!take_number(&text, &v) || *text || v < 1 || v > 19)
            return false;
    } else if (!facts_compress_parse(text, &got)) {
        return false;
    }
    *c = got;
    *level = (int)v;
    return true;
}

static bool set_interval(struct spec *s, const char *value)
{
    s->has_interval = true;
    if (!strcmp(value, "auto")) {
        s->interval_auto = true;
        return true;
    }
    return spec_parse_time(value, &s->interval);
}

/* "1%", "0.5%": thousandths. */
static bool set_overhead(struct spec *s, const char *value)
{
    uint64_t whole, tenth = 0;

    s->has_overhead = s->interval_auto = true;
    if (!take_number(&value, &whole) || whole > 50)
        return false;
    if (*value == '.' && (value++, *value >= '0' && *value <= '9'))
        tenth = (uint64_t)(*value++ - '0');
    s->overhead = (uint32_t)(whole * 10 + tenth);
    return !strcmp(value, "%") && s->overhead >= 1 && s->overhead <= 500;
}

static bool set_max_runtime(struct spec *s, const char *value)
{
    s->has_max_runtime = true;
    return spec_parse_time(value, &s->max_runtime) && s->max_runtime > 0;
}

static bool set_keep(struct spec *s, const char *value)
{
    uint64_t v;

    s->has_keep = true;
    if (!take_number(&value, &v) || *value || v < 1 || v > MAX_KEEP)
        return false;
    s->keep = (uint32_t)v;
    return true;
}

static bool set_compress(struct spec *s, const char *value)
{
    s->has_compress = true;
    return spec_parse_compress(value, &s->compress, &s->compress_level);
}

static bool set_isolation(struct spec *s, const char *value)
{
    s->has_isolation = true;
    s->isolation = !strcmp(value, "host") ? ISOLATION_HOST : ISOLATION_PRIVATE;
    return !strcmp(value, "host") || !strcmp(value, "private");
}

bool spec_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGTkmgt";
    uint64_t v = 0;
    unsigned shift = 0;
    const char *unit, *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (v > (uint64_t)INT64_MAX / 10 - 1)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (p == text)
        return false;
    if (*p) {
        unit = strchr(units, *p);
        if (!unit || p[1])
            return false;
        shift = 10 * ((unsigned)(unit - units) % 4 + 1);
    }
    if (v > (uint64_t)INT64_MAX >> shift)
        return false;
    *bytes = v << shift;
    return true;
}

/* Digits up to a value; *p stands behind them afterwards. */
static bool take_u32(const char **p, uint32_t max, uint32_t *value)
{
    uint64_t v = 0;
    const char *s = *p;

    for (; *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > max)
            return false;
    }
    if (s == *p)
        return false;
    *p = s;
    *value = (uint32_t)v;
    return true;
}

bool spec_parse_generation(const char *text, char name[32])
{
    bool is_long = strncmp(text, "gen-", 4) == 0;
    const char *p = is_long ? text + 4 : text;
    uint32_t epoch, sequence;
    char got[32];

    if (!take_u32(&p, 9999, &epoch) || *p++ != (is_long ? '-' : '.') ||
        !take_u32(&p, UINT32_MAX, &sequence) || *p || sequence < 1)
        return false;
    snprintf(got, sizeof got, "gen-%04u-%06u", epoch, sequence);
    if (is_long && strcmp(got, text) != 0)
        return false;
    memcpy(name, got, sizeof got);
    return true;
}

/* JOBID[.GENERATION] */
static bool set_restore(struct spec *s, const char *value)
{
    const char *p = value;

    s->has_restore = true;
    s->restore_task = 0;
    if (*value == '0' || !take_u32(&p, UINT32_MAX - 1, &s->restore_job))
        return false;
    if (*p == '_') {
        p++;
        if (!take_u32(&p, UINT32_MAX - 2, &s->restore_task))
            return false;
        s->restore_task++;
    }
    return !*p || (*p == '.' &&
                   (!strcmp(p + 1, "last") || spec_parse_generation(p + 1, s->restore_generation)));
}

bool spec_parse_choice(const char *text, enum facts_choice *c)
{
    *c = !strcmp(text, "warn") ? CHOICE_WARN : CHOICE_REFUSE;
    return !strcmp(text, "refuse") || !strcmp(text, "warn");
}

/* No component "..": what a path means must not depend on links on the way. */
static bool path_ok(const char *s, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    for (size_t i = 0; i + 1 < len; i++)
        if (s[i] == '.' && s[i + 1] == '.' && (i == 0 || s[i - 1] == '/') &&
            (i + 2 == len || s[i + 2] == '/'))
            return false;
    return true;
}

static bool add_files(struct spec *s, const char *value)
{
    size_t have = strlen(s->files), len = strlen(value);

    for (const char *p = value;; p++) {
        size_t n = strcspn(p, ":");

        if (!path_ok(p, n))
            return false;
        p += n;
        if (!*p)
            break;
    }
    if (have + 1 + len >= sizeof s->files)
        return false;
    if (have > 0)
        s->files[have++] = ':';
    memcpy(s->files + have, value, len + 1);
    return true;
}

static bool set_files(struct spec *s, const char *value)
{
    s->has_files = true;
    return add_files(s, value);
}

static bool set_files_limit(struct spec *s, const char *value)
{
    s->has_files_limit = true;
    return spec_parse_size(value, &s->files_limit);
}

static bool set_files_small(struct spec *s, const char *value)
{
    s->has_files_small = true;
    return spec_parse_size(value, &s->files_small) && s->files_small <= FACTS_SMALL_MAX;
}

static bool set_files_over(struct spec *s, const char *value)
{
    s->has_files_over = true;
    return spec_parse_choice(value, &s->files_over);
}

static bool set_inputs(struct spec *s, const char *value)
{
    s->has_inputs = true;
    return spec_parse_choice(value, &s->inputs);
}

static bool set_name(struct spec *s, const char *value)
{
    size_t n = strlen(value);

    s->has_name = true;
    if (n < 1 || n >= sizeof s->name ||
        strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != n)
        return false;
    memcpy(s->name, value, n + 1);
    return true;
}

static bool set_snapshot(struct spec *s, const char *value)
{
    s->has_snapshot = true;
    return facts_snapshot_parse(value, &s->snapshot);
}

bool spec_parse_hook(const char *text, char path[FACTS_HOOK_MAX])
{
    size_t len = strlen(text);

    if (*text != '/' || len < 2 || len >= FACTS_HOOK_MAX || !path_ok(text, len))
        return false;
    memcpy(path, text, len + 1);
    return true;
}

static bool set_hook_before(struct spec *s, const char *value)
{
    s->has_hook_before = true;
    return spec_parse_hook(value, s->hooks.before);
}

static bool set_hook_after(struct spec *s, const char *value)
{
    s->has_hook_after = true;
    return spec_parse_hook(value, s->hooks.after);
}

static bool set_hook_restored(struct spec *s, const char *value)
{
    s->has_hook_restored = true;
    return spec_parse_hook(value, s->hooks.restored);
}

static bool set_hook_timeout(struct spec *s, const char *value)
{
    s->has_hook_timeout = true;
    return spec_parse_time(value, &s->hook_timeout) && s->hook_timeout > 0 &&
           s->hook_timeout <= MAX_HOOK_SECONDS;
}

static bool set_incremental(struct spec *s, const char *value)
{
    s->has_incremental = true;
    return facts_incremental_parse(value, &s->incremental);
}

static const struct row {
    const char *key;
    const char *allowed;
    bool (*set)(struct spec *, const char *);
    size_t has;
} rows[] = {
    {"interval", "a time, 0 for none by the clock, or auto", set_interval,
     offsetof(struct spec, has_interval)},
    {"overhead", "0.1% to 50%", set_overhead, offsetof(struct spec, has_overhead)},
    {"max-runtime", "a time", set_max_runtime, offsetof(struct spec, has_max_runtime)},
    {"keep", "1..100", set_keep, offsetof(struct spec, has_keep)},
    {"compress", "none, lz4, zstd or zstd:1..19", set_compress,
     offsetof(struct spec, has_compress)},
    {"isolation", "private or host", set_isolation, offsetof(struct spec, has_isolation)},
    {"name", "1 to 24 letters, digits and _", set_name, offsetof(struct spec, has_name)},
    {"restore",
     "a job's id (12, or 12_3), or with a generation as in 12.0.3, 12.gen-0000-000003 or 12.last",
     set_restore, offsetof(struct spec, has_restore)},
    {"files", "a path, or several with ':' between them, without '..'", set_files,
     offsetof(struct spec, has_files)},
    {"files-limit", "a number of bytes, with K, M, G or T if wanted", set_files_limit,
     offsetof(struct spec, has_files_limit)},
    {"files-small", "a number of bytes up to 64M", set_files_small,
     offsetof(struct spec, has_files_small)},
    {"files-over", "refuse or warn", set_files_over, offsetof(struct spec, has_files_over)},
    {"inputs", "refuse or warn", set_inputs, offsetof(struct spec, has_inputs)},
    {"snapshot", "yes, no or require", set_snapshot, offsetof(struct spec, has_snapshot)},
    {"hook-before", HOOK_ALLOWED, set_hook_before, offsetof(struct spec, has_hook_before)},
    {"hook-after", HOOK_ALLOWED, set_hook_after, offsetof(struct spec, has_hook_after)},
    {"hook-restored", HOOK_ALLOWED, set_hook_restored, offsetof(struct spec, has_hook_restored)},
    {"hook-timeout", "a time from 0:01 to 60 (minutes)", set_hook_timeout,
     offsetof(struct spec, has_hook_timeout)},
    {"incremental", "yes, no or 2..64", set_incremental, offsetof(struct spec, has_incremental)},
};
#define NROWS (sizeof rows / sizeof rows[0])

static int wrong(struct err *err, const char *piece)
{
    errno = EINVAL;
    return err_set(err, "'%.60s' is not understood; allowed: %s", piece, spec_help);
}

/* piece is KEY=VALUE, or a time. */
static int parse_piece(char *piece, struct spec *s, struct err *err)
{
    char *value = strchr(piece, '=');
    size_t i = 0;
    bool has;

    if (s->has_files && (*piece == '/' || !strncmp(piece, "./", 2))) {
        errno = EINVAL;
        return add_files(s, piece) ? 0 : wrong(err, piece);
    }
    if (value) {
        for (; i < NROWS; i++)
            if (strlen(rows[i].key) == (size_t)(value - piece) &&
                !strncmp(rows[i].key, piece, (size_t)(value - piece)))
                break;
        value++;
    }
    if (i == NROWS)
        return wrong(err, piece);
    memcpy(&has, (const char *)s + rows[i].has, sizeof has);
    if (!rows[i].set(s, value ? value : piece)) {
        errno = EINVAL;
        return value ? err_set(err, "'%.60s': %s must be %s", piece, rows[i].key, rows[i].allowed)
                     : wrong(err, piece);
    }
    errno = EINVAL;
    if (has && rows[i].set != set_files)
        return err_set(err, "'%.60s': %s is given twice", piece, rows[i].key);
    /* A bare 0 is more likely a slip than the wish for no clock at all. */
    if (!value && s->interval == 0 && strcmp(piece, "auto") != 0)
        return err_set(err, "'%.60s': write interval=0 for no checkpoints by the clock", piece);
    return 0;
}

int spec_parse(const char *text, struct spec *s, struct err *err)
{
    char copy[FACTS_FILES_MAX + 3 * FACTS_HOOK_MAX + 256], *piece = copy, *comma;
    struct spec got;

    memset(&got, 0, sizeof got);
    if (!text || !*text || !strcmp(text, "(null)")) {
        *s = got;
        return 0;
    }
    if (strlen(text) >= sizeof copy)
        return wrong(err, text);
    memcpy(copy, text, strlen(text) + 1);
    do {
        comma = strchr(piece, ',');
        if (comma)
            *comma = '\0';
        if (parse_piece(piece, &got, err) < 0)
            return -1;
        piece = comma ? comma + 1 : NULL;
    } while (piece);
    *s = got;
    return 0;
}
