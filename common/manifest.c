/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/manifest.h"

#include "common/jsonread.h"
#include "common/trust.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "slurm-spank-checkpoint"
#define VERSION 1
#define MAX_EPOCH 9999
#define MAX_PROCESSES 100000
#define MAX_THREADS 100000

enum kind { NAME, NONCE, PRINTABLE, REASON, TIME, ISOLATION, COMPRESS, NUM32, NUM64 };

/* One row per plain field, in the order in which they are written. */
struct row {
    const char *key;
    enum kind kind;
    size_t offset, size;
    uint64_t min, max;
};

#define ROW(field, kind, min, max)                                                                 \
    {                                                                                              \
#field, kind, offsetof(struct manifest, field), sizeof(((struct manifest *)0)->field),     \
            min, max                                                                               \
    }

static const struct row rows[] = {
    ROW(cluster, NAME, 0, 0),
    ROW(job, NUM32, 1, UINT32_MAX),
    ROW(task, NAME, 0, 0),
    ROW(nonce, NONCE, 0, 0),
    ROW(uid, NUM32, 0, UINT32_MAX - 1),
    ROW(epoch, NUM32, 0, MAX_EPOCH),
    ROW(sequence, NUM32, 1, UINT32_MAX),
    ROW(reason, REASON, 0, 0),
    ROW(created, TIME, 0, 0),
    ROW(node, NAME, 0, 0),
    ROW(isolation, ISOLATION, 0, 0),
    ROW(kernel, PRINTABLE, 0, 0),
    ROW(machine, PRINTABLE, 0, 0),
    ROW(criu, PRINTABLE, 0, 0),
    ROW(compress, COMPRESS, 0, 0),
    ROW(snapshot, PRINTABLE, 0, 0),
    ROW(suspended, NUM32, 0, 1),
    ROW(pause_us, NUM32, 0, UINT32_MAX),
    ROW(freeze_us, NUM32, 0, UINT32_MAX),
    ROW(total_ms, NUM32, 0, UINT32_MAX),
    ROW(raw_bytes, NUM64, 0, INT64_MAX),
    ROW(stored_bytes, NUM64, 0, INT64_MAX),
};
#define NROWS (sizeof rows / sizeof rows[0])
#define NKEYS (NROWS + 4) /* format, version, parts, processes; the other three may be missing */

static const char *const part_names[] = {MANIFEST_IMAGES, MANIFEST_PAGES, MANIFEST_INDEX};
#define NPARTS (sizeof part_names / sizeof part_names[0])
_Static_assert(NPARTS == sizeof(((struct manifest *)0)->parts) / sizeof(struct manifest_part),
               "one row per part");

static int bad(struct err *err, const char *what)
{
    errno = EBADMSG;
    return err_set(err, "manifest: %s", what);
}

static int bad_value(struct err *err, const char *key)
{
    errno = EBADMSG;
    return err_set(err, "manifest: bad value of '%s'", key);
}

/* "2026-01-31T23:59:59Z", nothing else: it sorts as text. */
static bool time_ok(const char *s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";

    if (strlen(s) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
            return false;
    return true;
}

static bool hex_ok(const char *s, size_t len)
{
    return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static bool text_ok(enum kind kind, const char *s, size_t size)
{
    enum facts_compress compress;

    if (!jsonread_printable(s, size))
        return false;
    switch (kind) {
    case NAME:
        return facts_name_ok(s);
    case NONCE:
        return facts_nonce_ok(s);
    case REASON:
        return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz-") == strlen(s);
    case TIME:
        return time_ok(s);
    case ISOLATION:
        return !strcmp(s, "host") || !strcmp(s, "private") || !strcmp(s, TRUST_OWN);
    case COMPRESS:
        return facts_compress_parse(s, &compress);
    case PRINTABLE:
        return *s != '\0';
    default:
        return false;
    }
}

/* ---- encoding ---- */

static json_t *encode_row(const struct row *row, const struct manifest *m)
{
    const char *at = (const char *)m + row->offset;
    uint32_t small;
    uint64_t big;

    if (row->kind == NUM32) {
        memcpy(&small, at, sizeof small);
        return json_integer(small);
    }
    if (row->kind == NUM64) {
        memcpy(&big, at, sizeof big);
        return big <= INT64_MAX ? json_integer((json_int_t)big) : NULL;
    }
    return jsonread_printable(at, row->size) ? json_string(at) : NULL;
}

static json_t *encode_parts(const struct manifest *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < NPARTS; i++) {
        const struct manifest_part *p = &m->parts[i];
        json_t *o;

        if (p->bytes > INT64_MAX || strnlen(p->name, sizeof p->name) == sizeof p->name ||
            strnlen(p->sha256, sizeof p->sha256) == sizeof p->sha256)
            break;
        o = json_pack("{s:s, s:I, s:s}", "name", p->name, "bytes", (json_int_t)p->bytes, "sha256",
                      p->sha256);
        if (json_array_append_new(list, o) < 0)
            break;
    }
    if (json_array_size(list) == NPARTS)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *encode_incremental(const struct manifest *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->nlinks && i < MANIFEST_LINKS_MAX; i++) {
        const struct manifest_link *l = &m->links[i];
        char name[40];

        gendir_format_name(l->generation, false, name);
        if (l->bytes > INT64_MAX || l->used > INT64_MAX ||
            json_array_append_new(list,
                                  json_pack("{s:s, s:I, s:I}", "generation", name, "bytes",
                                            (json_int_t)l->bytes, "used", (json_int_t)l->used)) < 0)
            break;
    }
    if (json_array_size(list) == m->nlinks)
        return json_pack("{s:I, s:o}", "depth", (json_int_t)m->depth, "linked", list);
    json_decref(list);
    return NULL;
}

/* A key of its own and no part: a generation without it is whole. */
static json_t *encode_placement(const struct manifest *m)
{
    const struct manifest_part *p = &m->placement;

    if (p->bytes > INT64_MAX || strnlen(p->sha256, sizeof p->sha256) == sizeof p->sha256)
        return NULL;
    return json_pack("{s:I, s:s}", "bytes", (json_int_t)p->bytes, "sha256", p->sha256);
}

static json_t *encode_process(const struct manifest_process *p)
{
    json_t *threads = json_array();
    char comm[sizeof p->comm] = "";

    for (uint32_t i = 0; i < p->nthreads; i++)
        if (json_array_append_new(threads, json_integer(p->threads[i])) < 0) {
            json_decref(threads);
            return NULL;
        }
    /* A process may call itself anything, in any encoding. */
    memcpy(comm, p->comm, strnlen(p->comm, sizeof comm - 1));
    err_clean(comm);
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:s}", "pid", (json_int_t)p->pid, "ppid",
                     (json_int_t)p->ppid, "pgid", (json_int_t)p->pgid, "sid", (json_int_t)p->sid,
                     "threads", threads, "comm", comm);
}

static json_t *encode_processes(const struct manifest *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->nprocesses; i++)
        if (json_array_append_new(list, encode_process(&m->processes[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

char *manifest_encode(const struct manifest *m, struct err *err)
{
    json_t *top = json_pack("{s:s, s:i}", "format", FORMAT, "version", VERSION);
    struct manifest check;
    char *text = NULL;

    for (size_t i = 0; i < NROWS; i++)
        if (json_object_set_new(top, rows[i].key, encode_row(&rows[i], m)) < 0) {
            bad_value(err, rows[i].key);
            goto out;
        }
    /* Before the processes: who lists generations reads no further. */
    if (m->incremental && json_object_set_new(top, "incremental", encode_incremental(m)) < 0) {
        bad_value(err, "incremental");
        goto out;
    }
    if (json_object_set_new(top, "parts", encode_parts(m)) < 0 ||
        json_object_set_new(top, "processes", encode_processes(m)) < 0) {
        bad(err, "bad parts or processes, or no memory");
        goto out;
    }
    if (m->placement.name[0] && json_object_set_new(top, "placement", encode_placement(m)) < 0) {
        bad_value(err, "placement");
        goto out;
    }
    if (m->cpu[0] && json_object_set_new(top, "cpu", json_string(m->cpu)) < 0) {
        bad_value(err, "cpu");
        goto out;
    }
    if (m->inputs_warn && json_object_set_new(top, "inputs", json_string("warn")) < 0) {
        bad_value(err, "inputs");
        goto out;
    }
    text = json_dumps(top, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    if (!text) {
        errno = ENOMEM;
        err_set(err, "manifest: no memory");
        goto out;
    }
    /* One set of rules: what the reader would refuse is not written. */
    if (manifest_decode(text, strlen(text), &check, err) < 0) {
        free(text);
        text = NULL;
        goto out;
    }
    manifest_free(&check);
out:
    json_decref(top);
    return text;
}

/* ---- decoding ---- */

static int decode_row(const struct row *row, const json_t *top, struct manifest *m, struct err *err)
{
    char *at = (char *)m + row->offset;
    const char *s;
    uint64_t v;

    if (row->kind == NUM32 || row->kind == NUM64) {
        uint32_t small;

        if (!jsonread_u64(top, row->key, row->min, row->max, &v))
            return bad_value(err, row->key);
        small = (uint32_t)v;
        if (row->kind == NUM32)
            memcpy(at, &small, sizeof small);
        else
            memcpy(at, &v, sizeof v);
        return 0;
    }
    s = jsonread_string(top, row->key);
    if (!s || !text_ok(row->kind, s, row->size))
        return bad_value(err, row->key);
    memcpy(at, s, strlen(s) + 1);
    return 0;
}

/* Each of the three once, in any order; kept in the order of part_names. */
static int decode_parts(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *list = json_object_get(top, "parts");

    if (!json_is_array(list) || json_array_size(list) != NPARTS)
        return bad_value(err, "parts");
    for (size_t i = 0; i < NPARTS; i++) {
        const json_t *o = json_array_get(list, i);
        const char *name = jsonread_string(o, "name"), *sha = jsonread_string(o, "sha256");
        struct manifest_part *p;
        size_t k = 0;

        while (name && k < NPARTS && strcmp(name, part_names[k]) != 0)
            k++;
        if (!name || k == NPARTS || m->parts[k].name[0])
            return bad_value(err, "parts");
        p = &m->parts[k];
        if (json_object_size(o) != 3 || !sha || !hex_ok(sha, 64) ||
            !jsonread_u64(o, "bytes", 0, INT64_MAX, &p->bytes))
            return bad_value(err, "parts");
        memcpy(p->name, name, strlen(name) + 1);
        memcpy(p->sha256, sha, 65);
    }
    return 0;
}

static int decode_placement(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *o = json_object_get(top, "placement");
    const char *sha = jsonread_string(o, "sha256");

    if (!o)
        return 0;
    if (json_object_size(o) != 2 || !sha || !hex_ok(sha, 64) ||
        !jsonread_u64(o, "bytes", 1, UINT32_MAX, &m->placement.bytes))
        return bad_value(err, "placement");
    memcpy(m->placement.name, MANIFEST_PLACEMENT, sizeof MANIFEST_PLACEMENT);
    memcpy(m->placement.sha256, sha, 65);
    return 0;
}

static int decode_link(const json_t *o, const struct manifest *m, struct manifest_link *l)
{
    const char *name = jsonread_string(o, "generation");
    const struct gendir_id own = {m->epoch, m->sequence};

    return name && json_object_size(o) == 3 && gendir_parse_name(name, &l->generation, NULL) &&
                   gendir_compare(l->generation, own) < 0 &&
                   jsonread_u64(o, "bytes", 1, INT64_MAX, &l->bytes) &&
                   jsonread_u64(o, "used", 1, l->bytes, &l->used)
               ? 0
               : -1;
}

/* Earlier generations only, the oldest first, so none twice. */
static int decode_incremental(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *o = json_object_get(top, "incremental"), *list = json_object_get(o, "linked");
    const size_t n = json_array_size(list);

    if (!o)
        return 0;
    if (json_object_size(o) != 2 || !json_is_array(list) || n > MANIFEST_LINKS_MAX ||
        !jsonread_u32(o, "depth", 0, MANIFEST_DEPTH_MAX, &m->depth) || (n > 0) != (m->depth > 0))
        return bad_value(err, "incremental");
    for (size_t i = 0; i < n; i++)
        if (decode_link(json_array_get(list, i), m, &m->links[i]) < 0 ||
            (i > 0 && gendir_compare(m->links[i - 1].generation, m->links[i].generation) >= 0))
            return bad_value(err, "incremental");
    m->incremental = true;
    m->nlinks = n;
    return 0;
}

static int decode_cpu(const json_t *top, struct manifest *m, struct err *err)
{
    const char *s = jsonread_string(top, "cpu");

    if (!json_object_get(top, "cpu"))
        return 0;
    if (!s || !*s || !jsonread_printable(s, sizeof m->cpu))
        return bad_value(err, "cpu");
    memcpy(m->cpu, s, strlen(s) + 1);
    return 0;
}

static int decode_inputs(const json_t *top, struct manifest *m, struct err *err)
{
    const char *s = jsonread_string(top, "inputs");

    if (!json_object_get(top, "inputs"))
        return 0;
    if (!s || strcmp(s, "warn") != 0)
        return bad_value(err, "inputs");
    m->inputs_warn = true;
    return 0;
}

static int decode_threads(const json_t *o, struct manifest_process *p, struct err *err)
{
    const json_t *list = json_object_get(o, "threads");
    size_t n = json_array_size(list);
    bool leader = false;

    if (n < 1 || n > MAX_THREADS)
        return bad_value(err, "threads");
    p->threads = calloc(n, sizeof *p->threads);
    if (!p->threads)
        return err_sys(err, "manifest");
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(list, i);

        if (!json_is_integer(j) || json_integer_value(j) < 1 || json_integer_value(j) > INT32_MAX)
            return bad_value(err, "threads");
        p->threads[i] = (uint32_t)json_integer_value(j);
        leader = leader || p->threads[i] == p->pid;
    }
    p->nthreads = (uint32_t)n;
    return leader ? 0 : bad_value(err, "threads");
}

static int decode_process(const json_t *o, struct manifest_process *p, struct err *err)
{
    const char *comm = jsonread_string(o, "comm");

    if (json_object_size(o) != 6 || !jsonread_u32(o, "pid", 1, INT32_MAX, &p->pid) ||
        !jsonread_u32(o, "ppid", 0, INT32_MAX, &p->ppid) ||
        !jsonread_u32(o, "pgid", 1, INT32_MAX, &p->pgid) ||
        !jsonread_u32(o, "sid", 1, INT32_MAX, &p->sid) || !comm ||
        !jsonread_printable(comm, sizeof p->comm))
        return bad_value(err, "processes");
    memcpy(p->comm, comm, strlen(comm) + 1);
    return decode_threads(o, p, err);
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* A thread id stands for one thread of the whole tree. */
static int check_unique(const struct manifest *m, struct err *err)
{
    uint32_t *all, *next;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < m->nprocesses; i++)
        n += m->processes[i].nthreads;
    all = next = calloc(n, sizeof *all);
    if (!all)
        return err_sys(err, "manifest");
    for (size_t i = 0; i < m->nprocesses; i++) {
        memcpy(next, m->processes[i].threads, m->processes[i].nthreads * sizeof *next);
        next += m->processes[i].nthreads;
    }
    qsort(all, n, sizeof *all, by_number);
    for (size_t i = 1; i < n && rc == 0; i++)
        if (all[i] == all[i - 1])
            rc = bad(err, "a thread is there twice");
    free(all);
    return rc;
}

static int decode_processes(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *list = json_object_get(top, "processes");
    size_t n = json_array_size(list);

    if (n < 1 || n > MAX_PROCESSES)
        return bad_value(err, "processes");
    m->processes = calloc(n, sizeof *m->processes);
    if (!m->processes)
        return err_sys(err, "manifest");
    m->nprocesses = n;
    for (size_t i = 0; i < n; i++)
        if (decode_process(json_array_get(list, i), &m->processes[i], err) < 0)
            return -1;
    return check_unique(m, err);
}

static int decode_top(const json_t *top, struct manifest *m, struct err *err)
{
    const char *format = jsonread_string(top, "format");
    uint32_t version;

    if (!format || strcmp(format, FORMAT) != 0)
        return bad(err, "not a manifest of slurm-spank-checkpoint");
    if (!jsonread_u32(top, "version", VERSION, VERSION, &version))
        return bad(err, "a version that this program cannot read");
    /* Every known key is looked up below and repeated ones are refused by the parser, so one more
     * than those is an unknown one. */
    if (json_object_size(top) > NKEYS + (json_object_get(top, "placement") != NULL) +
                                    (json_object_get(top, "cpu") != NULL) +
                                    (json_object_get(top, "inputs") != NULL) +
                                    (json_object_get(top, "incremental") != NULL))
        return bad(err, "an unknown key");
    for (size_t i = 0; i < NROWS; i++)
        if (decode_row(&rows[i], top, m, err) < 0)
            return -1;
    if (decode_parts(top, m, err) < 0 || decode_placement(top, m, err) < 0 ||
        decode_cpu(top, m, err) < 0 || decode_inputs(top, m, err) < 0 ||
        decode_incremental(top, m, err) < 0)
        return -1;
    return decode_processes(top, m, err);
}

int manifest_decode(const char *text, size_t len, struct manifest *m, struct err *err)
{
    struct manifest got;
    json_t *top;
    int rc;

    if (len > MANIFEST_MAX_BYTES)
        return bad(err, "too long");
    top = jsonread_object(text, len, err);
    if (!top)
        return err_prefix(err, "manifest");
    memset(&got, 0, sizeof got);
    rc = decode_top(top, &got, err);
    if (rc == 0)
        *m = got;
    else
        manifest_free(&got);
    json_decref(top);
    return rc;
}

int manifest_match(const struct manifest *m, const struct facts *f, struct err *err)
{
    errno = EPERM;
    if (strcmp(m->cluster, f->cluster) != 0)
        return err_set(err, "manifest: of cluster %s, not %s", m->cluster, f->cluster);
    if (m->job != f->job || strcmp(m->nonce, f->nonce) != 0)
        return err_set(err, "manifest: of another job (%u.%s, not %u.%s)", m->job, m->nonce, f->job,
                       f->nonce);
    if (strcmp(m->task, f->task) != 0)
        return err_set(err, "manifest: of task %s, not %s", m->task, f->task);
    if (m->uid != f->uid)
        return err_set(err, "manifest: of uid %u, not %u", m->uid, f->uid);
    if (m->epoch > f->epoch)
        return err_set(err, "manifest: of a later start of the job (%u, this one is %u)", m->epoch,
                       f->epoch);
    return 0;
}

enum facts_compress manifest_compress(const struct manifest *m)
{
    enum facts_compress c;

    return facts_compress_parse(m->compress, &c) ? c : COMPRESS_NONE;
}

uint64_t manifest_written(const struct manifest *m)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < NPARTS; i++)
        bytes += m->parts[i].bytes;
    return bytes;
}

void manifest_free(struct manifest *m)
{
    int saved = errno;

    for (size_t i = 0; i < m->nprocesses; i++)
        free(m->processes[i].threads);
    free(m->processes);
    m->processes = NULL;
    m->nprocesses = 0;
    errno = saved;
}
