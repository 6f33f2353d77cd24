/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/manifest_impl.h"

#include "common/jsonread.h"
#include "common/trust.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EPOCH 9999
#define MAX_PROCESSES 100000
#define MAX_THREADS 100000

#define ROW(field, kind, min, max)                                                                 \
    {                                                                                              \
#field, kind, offsetof(struct manifest, field), sizeof(((struct manifest *)0)->field),     \
            min, max                                                                               \
    }

const struct manifest_row manifest_rows[] = {
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
const size_t manifest_nrows = sizeof manifest_rows / sizeof manifest_rows[0];
#define NKEYS                                                                                      \
    (manifest_nrows + 4) /* format, version, parts, processes; the other three may be missing */

static const char *const part_names[] = {MANIFEST_IMAGES, MANIFEST_PAGES, MANIFEST_INDEX};
_Static_assert(MANIFEST_PARTS == sizeof part_names / sizeof part_names[0], "one name per part");

int manifest_bad(struct err *err, const char *what)
{
    errno = EBADMSG;
    return err_set(err, "manifest: %s", what);
}

int manifest_bad_value(struct err *err, const char *key)
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

static bool text_ok(enum manifest_kind kind, const char *s, size_t size)
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

static int decode_row(const struct manifest_row *row, const json_t *top, struct manifest *m,
                      struct err *err)
{
    char *at = (char *)m + row->offset;
    const char *s;
    uint64_t v;

    if (row->kind == NUM32 || row->kind == NUM64) {
        uint32_t small;

        if (!jsonread_u64(top, row->key, row->min, row->max, &v))
            return manifest_bad_value(err, row->key);
        small = (uint32_t)v;
        if (row->kind == NUM32)
            memcpy(at, &small, sizeof small);
        else
            memcpy(at, &v, sizeof v);
        return 0;
    }
    s = jsonread_string(top, row->key);
    if (!s || !text_ok(row->kind, s, row->size))
        return manifest_bad_value(err, row->key);
    memcpy(at, s, strlen(s) + 1);
    return 0;
}

/* Each of the three once, in any order; kept in the order of part_names. */
static int decode_parts(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *list = json_object_get(top, "parts");

    if (!json_is_array(list) || json_array_size(list) != MANIFEST_PARTS)
        return manifest_bad_value(err, "parts");
    for (size_t i = 0; i < MANIFEST_PARTS; i++) {
        const json_t *o = json_array_get(list, i);
        const char *name = jsonread_string(o, "name"), *sha = jsonread_string(o, "sha256");
        struct manifest_part *p;
        size_t k = 0;

        while (name && k < MANIFEST_PARTS && strcmp(name, part_names[k]) != 0)
            k++;
        if (!name || k == MANIFEST_PARTS || m->parts[k].name[0])
            return manifest_bad_value(err, "parts");
        p = &m->parts[k];
        if (json_object_size(o) != 3 || !sha || !hex_ok(sha, 64) ||
            !jsonread_u64(o, "bytes", 0, INT64_MAX, &p->bytes))
            return manifest_bad_value(err, "parts");
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
        return manifest_bad_value(err, "placement");
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
        return manifest_bad_value(err, "incremental");
    for (size_t i = 0; i < n; i++)
        if (decode_link(json_array_get(list, i), m, &m->links[i]) < 0 ||
            (i > 0 && gendir_compare(m->links[i - 1].generation, m->links[i].generation) >= 0))
            return manifest_bad_value(err, "incremental");
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
        return manifest_bad_value(err, "cpu");
    memcpy(m->cpu, s, strlen(s) + 1);
    return 0;
}

static int decode_inputs(const json_t *top, struct manifest *m, struct err *err)
{
    const char *s = jsonread_string(top, "inputs");

    if (!json_object_get(top, "inputs"))
        return 0;
    if (!s || strcmp(s, "warn") != 0)
        return manifest_bad_value(err, "inputs");
    m->inputs_warn = true;
    return 0;
}

static int decode_threads(const json_t *o, struct manifest_process *p, struct err *err)
{
    const json_t *list = json_object_get(o, "threads");
    size_t n = json_array_size(list);
    bool leader = false;

    if (n < 1 || n > MAX_THREADS)
        return manifest_bad_value(err, "threads");
    p->threads = calloc(n, sizeof *p->threads);
    if (!p->threads)
        return err_sys(err, "manifest");
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(list, i);

        if (!json_is_integer(j) || json_integer_value(j) < 1 || json_integer_value(j) > INT32_MAX)
            return manifest_bad_value(err, "threads");
        p->threads[i] = (uint32_t)json_integer_value(j);
        leader = leader || p->threads[i] == p->pid;
    }
    p->nthreads = (uint32_t)n;
    return leader ? 0 : manifest_bad_value(err, "threads");
}

static int decode_process(const json_t *o, struct manifest_process *p, struct err *err)
{
    const char *comm = jsonread_string(o, "comm");

    if (json_object_size(o) != 6 || !jsonread_u32(o, "pid", 1, INT32_MAX, &p->pid) ||
        !jsonread_u32(o, "ppid", 0, INT32_MAX, &p->ppid) ||
        !jsonread_u32(o, "pgid", 1, INT32_MAX, &p->pgid) ||
        !jsonread_u32(o, "sid", 1, INT32_MAX, &p->sid) || !comm ||
        !jsonread_printable(comm, sizeof p->comm))
        return manifest_bad_value(err, "processes");
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
            rc = manifest_bad(err, "a thread is there twice");
    free(all);
    return rc;
}

static int decode_processes(const json_t *top, struct manifest *m, struct err *err)
{
    const json_t *list = json_object_get(top, "processes");
    size_t n = json_array_size(list);

    if (n < 1 || n > MAX_PROCESSES)
        return manifest_bad_value(err, "processes");
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

    if (!format || strcmp(format, MANIFEST_FORMAT) != 0)
        return manifest_bad(err, "not a manifest of slurm-spank-checkpoint");
    if (!jsonread_u32(top, "version", MANIFEST_VERSION, MANIFEST_VERSION, &version))
        return manifest_bad(err, "a version that this program cannot read");
    /* Every known key is looked up below and repeated ones are refused by the parser, so one more
     * than those is an unknown one. */
    if (json_object_size(top) > NKEYS + (json_object_get(top, "placement") != NULL) +
                                    (json_object_get(top, "cpu") != NULL) +
                                    (json_object_get(top, "inputs") != NULL) +
                                    (json_object_get(top, "incremental") != NULL))
        return manifest_bad(err, "an unknown key");
    for (size_t i = 0; i < manifest_nrows; i++)
        if (decode_row(&manifest_rows[i], top, m, err) < 0)
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
        return manifest_bad(err, "too long");
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

    for (size_t i = 0; i < MANIFEST_PARTS; i++)
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
