/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/facts.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum kind { TEXT, LIST, NUM32, NUM64, SIGNED, PATHNAME, NAME, NONCE };

/* One row per field: how it is written, how it is checked. Numbers are within [min, max]. */
struct row {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint64_t min, max;
};

#define HOOK_TIMEOUT_MAX 3600

#define ROW(field, kind, min, max)                                                                 \
    {                                                                                              \
#field, kind, offsetof(struct facts, field), sizeof(((struct facts *)0)->field), min, max  \
    }

static const struct row rows[] = {
    ROW(cluster, NAME, 0, 0),
    ROW(node, NAME, 0, 0),
    ROW(job, NUM32, 1, UINT32_MAX),
    ROW(array_job, NUM32, 0, UINT32_MAX),
    ROW(array_task, NUM32, 0, UINT32_MAX),
    ROW(task, NAME, 0, 0),
    ROW(step, NUM32, 0, UINT32_MAX),
    ROW(ntasks, NUM32, 0, UINT32_MAX),
    ROW(nonce, NONCE, 0, 0),
    ROW(epoch, NUM32, 0, 9999),
    ROW(uid, NUM32, 1, UINT32_MAX - 1),
    ROW(gid, NUM32, 0, UINT32_MAX - 1),
    ROW(user, TEXT, 0, 0),
    ROW(task_pid, NUM32, 1, INT32_MAX),
    ROW(task_start, NUM64, 0, UINT64_MAX),
    ROW(isolation, NUM32, 0, 1),
    ROW(proctrack, NAME, 0, 0),
    ROW(dir, PATHNAME, 1, 0),
    ROW(helper_dir, PATHNAME, 1, 0),
    ROW(criu, PATHNAME, 1, 0),
    ROW(munge_socket, PATHNAME, 0, 0),
    ROW(log_dir, PATHNAME, 0, 0),
    ROW(event_socket, PATHNAME, 0, 0),
    ROW(interval, NUM32, 0, UINT32_MAX),
    ROW(keep, NUM32, 1, 1000),
    ROW(compress, NUM32, 0, COMPRESS_LZ4),
    ROW(compress_level, SIGNED, 1, 19),
    ROW(dump_timeout, NUM32, 1, UINT32_MAX),
    ROW(restore_timeout, NUM32, 1, UINT32_MAX),
    ROW(threads, NUM32, 0, 256),
    ROW(max_size, NUM64, 0, UINT64_MAX),
    ROW(max_user_size, NUM64, 0, INT64_MAX),
    ROW(max_site_size, NUM64, 0, INT64_MAX),
    ROW(min_free, NUM64, 0, INT64_MAX),
    ROW(max_dumps, NUM32, 0, FACTS_DUMPS_MAX),
    ROW(max_restarts, NUM32, 0, UINT32_MAX),
    ROW(busy_wait, NUM32, 0, 3600),
    ROW(busy_retries, NUM32, 0, 1000),
    ROW(interval_auto, NUM32, 0, 1),
    ROW(overhead, NUM32, 0, 500),
    ROW(mtbf, NUM32, 60, UINT32_MAX),
    ROW(max_runtime, NUM32, 0, UINT32_MAX),
    ROW(source_job, NUM32, 0, UINT32_MAX),
    ROW(source_task, NUM32, 0, UINT32_MAX),
    ROW(source_generation, LIST, 0, 0),
    ROW(files, LIST, 0, 0),
    ROW(files_limit, NUM64, 0, UINT64_MAX),
    ROW(files_small, NUM64, 0, FACTS_SMALL_MAX),
    ROW(files_over, NUM32, 0, 1),
    ROW(inputs, NUM32, 0, 1),
    ROW(snapshot, NUM32, 0, SNAPSHOT_REQUIRE),
    ROW(snapshot_tight, NUM32, 0, TIGHT_DROP),
    ROW(memory_kill, NUM64, 0, UINT64_MAX),
    ROW(site_hooks.before, PATHNAME, 0, 0),
    ROW(site_hooks.after, PATHNAME, 0, 0),
    ROW(site_hooks.restored, PATHNAME, 0, 0),
    ROW(hooks.before, PATHNAME, 0, 0),
    ROW(hooks.after, PATHNAME, 0, 0),
    ROW(hooks.restored, PATHNAME, 0, 0),
    ROW(hook_timeout, NUM32, 1, HOOK_TIMEOUT_MAX),
    ROW(incremental, NUM32, 0, FACTS_INCREMENTAL_MAX),
};
#define NROWS (sizeof rows / sizeof rows[0])
_Static_assert(NROWS < 64, "one bit per row in facts_load");
_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4 && sizeof(pid_t) == 4, "NUM32 fields");
_Static_assert(sizeof(enum facts_isolation) == 4 && sizeof(enum facts_compress) == 4 &&
                   sizeof(enum facts_choice) == 4 && sizeof(enum facts_snapshot) == 4 &&
                   sizeof(enum facts_tight) == 4,
               "NUM32 fields");

bool facts_name_ok(const char *s)
{
    size_t n = strlen(s);

    if (n < 1 || n > 63 || *s == '.' || *s == '-')
        return false;
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

bool facts_nonce_ok(const char *s)
{
    return strlen(s) == 16 && strspn(s, "0123456789abcdef") == 16;
}

static const char *const compress_names[] = {
    [COMPRESS_NONE] = "none", [COMPRESS_ZSTD] = "zstd", [COMPRESS_LZ4] = "lz4"};
#define NCOMPRESS (sizeof compress_names / sizeof compress_names[0])

const char *facts_compress_name(enum facts_compress c)
{
    return (size_t)c < NCOMPRESS ? compress_names[c] : "?";
}

bool facts_compress_parse(const char *name, enum facts_compress *c)
{
    for (size_t i = 0; i < NCOMPRESS; i++)
        if (!strcmp(name, compress_names[i])) {
            *c = (enum facts_compress)i;
            return true;
        }
    return false;
}

bool facts_incremental_parse(const char *text, uint32_t *n)
{
    uint32_t v = 0;

    if (!strcmp(text, "no") || !strcmp(text, "yes")) {
        *n = *text == 'y' ? FACTS_INCREMENTAL_YES : 0;
        return true;
    }
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || v > FACTS_INCREMENTAL_MAX)
            return false;
        v = v * 10 + (uint32_t)(*p - '0');
    }
    *n = v;
    return *text != '0' && v >= 2 && v <= FACTS_INCREMENTAL_MAX;
}

bool facts_snapshot_parse(const char *name, enum facts_snapshot *s)
{
    *s = !strcmp(name, "no")        ? SNAPSHOT_NO
         : !strcmp(name, "require") ? SNAPSHOT_REQUIRE
                                    : SNAPSHOT_YES;
    return *s != SNAPSHOT_YES || !strcmp(name, "yes");
}

bool facts_tight_parse(const char *name, enum facts_tight *t)
{
    *t = !strcmp(name, "drop") ? TIGHT_DROP : TIGHT_HOLD;
    return *t != TIGHT_HOLD || !strcmp(name, "hold");
}

static bool text_ok(const struct row *row, const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
            return false;
    if (strlen(s) >= row->size)
        return false;
    switch (row->kind) {
    case NAME:
        return facts_name_ok(s);
    case NONCE:
        return facts_nonce_ok(s);
    case PATHNAME:
        return *s ? *s == '/' && !strstr(s, "/../") : row->min == 0;
    case LIST:
        return true;
    default:
        return *s != '\0';
    }
}

static bool is_text(const struct row *row)
{
    return row->kind == TEXT || row->kind == LIST || row->kind == PATHNAME || row->kind == NAME ||
           row->kind == NONCE;
}

static uint64_t number_get(const struct row *row, const struct facts *f)
{
    const char *at = (const char *)f + row->offset;
    uint32_t small;
    uint64_t big;

    if (row->size == 8) {
        memcpy(&big, at, 8);
        return big;
    }
    memcpy(&small, at, 4);
    return small;
}

static void number_put(const struct row *row, struct facts *f, uint64_t v)
{
    char *at = (char *)f + row->offset;
    uint32_t small = (uint32_t)v;

    if (row->size == 8)
        memcpy(at, &v, 8);
    else
        memcpy(at, &small, 4);
}

static int row_set(const struct row *row, struct facts *f, const char *value, struct err *err)
{
    bool number = *value >= '0' && *value <= '9';
    unsigned long long v;
    char *end;

    if (is_text(row)) {
        if (!text_ok(row, value)) {
            errno = EINVAL;
            return err_set(err, "facts: bad value of %s", row->key);
        }
        memcpy((char *)f + row->offset, value, strlen(value) + 1);
        return 0;
    }
    errno = 0;
    v = number ? strtoull(value, &end, 10) : 0;
    if (!number || errno || *end || v < row->min || v > row->max ||
        (row->size == 4 && v > UINT32_MAX)) {
        errno = EINVAL;
        return err_set(err, "facts: bad value of %s", row->key);
    }
    number_put(row, f, v);
    return 0;
}

static int encode(const struct facts *f, char *buf, size_t size, struct err *err)
{
    size_t used = 0;

    for (size_t i = 0; i < NROWS; i++) {
        const struct row *row = &rows[i];
        const char *text = (const char *)f + row->offset;
        struct facts scratch;
        char number[24];
        int n;

        if (!is_text(row)) {
            snprintf(number, sizeof number, "%llu", (unsigned long long)number_get(row, f));
            text = number;
        }
        if (row_set(row, &scratch, text, err) < 0)
            return -1;
        n = snprintf(buf + used, size - used, "%s=%s\n", row->key, text);
        if (n < 0 || (size_t)n >= size - used) {
            errno = E2BIG;
            return err_set(err, "facts: too long");
        }
        used += (size_t)n;
    }
    return (int)used;
}

int facts_store(const struct facts *f, struct err *err)
{
    char buf[FACTS_MAX_BYTES];
    int len = encode(f, buf, sizeof buf, err);
    int fd;

    if (len < 0)
        return -1;
    fd = memfd_create("checkpoint-facts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, "facts: memfd_create");
    if (io_write_full(fd, buf, (size_t)len) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        err_sys(err, "facts: write and seal");
        io_close(&fd);
        return -1;
    }
    return fd;
}

static int decode(char *text, struct facts *f, struct err *err)
{
    uint64_t seen = 0;
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, '=');
        size_t i;

        errno = EINVAL;
        if (!value)
            return err_set(err, "facts: a line without '='");
        *value++ = '\0';
        for (i = 0; i < NROWS && strcmp(rows[i].key, line); i++)
            ;
        if (i == NROWS)
            return err_set(err, "facts: unknown key");
        if (seen & (UINT64_C(1) << i))
            return err_set(err, "facts: %s is there twice", rows[i].key);
        seen |= UINT64_C(1) << i;
        if (row_set(&rows[i], f, value, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < NROWS; i++)
        if (!(seen & (UINT64_C(1) << i))) {
            errno = EINVAL;
            return err_set(err, "facts: %s is missing", rows[i].key);
        }
    return 0;
}

int facts_load(int fd, bool root_only, struct facts *f, struct err *err)
{
    char buf[FACTS_MAX_BYTES + 1];
    struct facts got;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0)
        return err_sys(err, "facts: not a sealed memory file");
    if (fstat(fd, &st) < 0)
        return err_sys(err, "facts: fstat");
    errno = EPERM;
    if ((seals & SEALS) != SEALS)
        return err_set(err, "facts: not sealed");
    if (root_only && st.st_uid != 0)
        return err_set(err, "facts: not made by root");
    if (st.st_size <= 0 || st.st_size > FACTS_MAX_BYTES)
        return err_set(err, "facts: wrong size");
    if (io_pread_full(fd, buf, (size_t)st.st_size, 0) < 0)
        return err_sys(err, "facts: read");
    buf[st.st_size] = '\0';
    errno = EINVAL;
    if (strlen(buf) != (size_t)st.st_size)
        return err_set(err, "facts: a zero byte inside");
    memset(&got, 0, sizeof got);
    if (decode(buf, &got, err) < 0)
        return -1;
    *f = got;
    return 0;
}
