/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/placement.h"

#include "common/gendir.h"
#include "common/io.h"
#include "common/jsonread.h"
#include "common/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "slurm-spank-checkpoint placement"
#define THREADS_MAX 1000000
#define MEMORY_MAX 100000
#define AREAS_MAX 100000 /* of one policy of a process */

static int bad(struct err *err, const char *key)
{
    errno = EBADMSG;
    return err_set(err, "placement: bad value of '%s'", key);
}

/* ---- encoding ---- */

static json_t *encode_places(const struct places *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(list, json_pack("[I, I, I, I, I]", (json_int_t)p->p[i].os,
                                              (json_int_t)p->p[i].package, (json_int_t)p->p[i].numa,
                                              (json_int_t)p->p[i].cache, (json_int_t)p->p[i].core));
    return list;
}

static json_t *encode_threads(const struct placement *p, uint32_t binding)
{
    json_t *threads = json_array();

    for (size_t i = 0; i < p->nthreads; i++)
        if (p->threads[i].binding == binding)
            json_array_append_new(threads, json_pack("[I, I]", (json_int_t)p->threads[i].pid,
                                                     (json_int_t)p->threads[i].tid));
    return threads;
}

static json_t *encode_binding(const struct placement *p, size_t binding)
{
    static char text[8 * PLACE_MAX];

    place_set_format(&p->bindings[binding], text, sizeof text);
    return json_pack("{s:s, s:o}", "places", text, "threads", encode_threads(p, (uint32_t)binding));
}

static json_t *encode_memory(const struct placement_memory *m)
{
    json_t *areas = json_array();

    for (size_t i = 0; i < m->nareas; i++)
        json_array_append_new(areas, json_pack("[I, I]", (json_int_t)m->areas[i].start,
                                               (json_int_t)m->areas[i].bytes));
    return json_pack("{s:I, s:I, s:s, s:s, s:o}", "pid", (json_int_t)m->pid, "tid",
                     (json_int_t)m->tid, "policy", m->policy, "nodes", m->nodes, "areas", areas);
}

char *placement_encode(const struct placement *p, struct err *err)
{
    json_t *bindings = json_array(), *memory = json_array(), *top;
    char *text;

    for (size_t i = 0; i < p->nbindings; i++)
        json_array_append_new(bindings, encode_binding(p, i));
    for (size_t i = 0; i < p->nmemory; i++)
        json_array_append_new(memory, encode_memory(&p->memory[i]));
    top = json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:o}", "format", FORMAT,
                    "version", 1, "node", p->node, "generation", p->generation, "created",
                    p->created, "clock_ms", (json_int_t)p->clock_ms, "step", (int)p->step, "places",
                    encode_places(&p->places), "bindings", bindings, "unbound",
                    encode_threads(p, PLACEMENT_UNBOUND), "memory", memory);
    text = top ? json_dumps(top, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(top);
    if (!text) {
        errno = ENOMEM;
        err_sys(err, "placement");
    }
    return text;
}

/* ---- decoding ---- */

/* A list of numbers, exactly n. */
static bool numbers(const json_t *list, size_t n, uint64_t max, uint32_t *out)
{
    if (!json_is_array(list) || json_array_size(list) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);

        if (!json_is_integer(v) || json_integer_value(v) < 0 ||
            (uint64_t)json_integer_value(v) > max)
            return false;
        out[i] = (uint32_t)json_integer_value(v);
    }
    return true;
}

static int decode_places(const json_t *top, struct places *p, struct err *err)
{
    const json_t *list = json_object_get(top, "places");
    size_t n = json_array_size(list);

    if (n < 1 || n > PLACE_MAX)
        return bad(err, "places");
    p->p = calloc(n, sizeof *p->p);
    if (!p->p)
        return err_sys(err, "placement");
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        uint32_t v[5];

        if (!numbers(json_array_get(list, i), 5, PLACE_OS_MAX, v))
            return bad(err, "places");
        p->p[i] =
            (struct place){.os = v[0], .package = v[1], .numa = v[2], .cache = v[3], .core = v[4]};
    }
    return places_ok(p) ? 0 : bad(err, "places");
}

static int decode_threads(const json_t *threads, struct placement *p, uint32_t index,
                          struct err *err)
{
    if (!json_is_array(threads))
        return bad(err, "threads");
    for (size_t i = 0; i < json_array_size(threads); i++) {
        uint32_t v[2];

        if (!numbers(json_array_get(threads, i), 2, INT32_MAX, v) || v[0] < 1 || v[1] < 1 ||
            p->nthreads >= THREADS_MAX)
            return bad(err, "threads");
        if (placement_add_thread(p, v[0], v[1], index) < 0)
            return err_sys(err, "placement");
    }
    return 0;
}

static int decode_binding(const json_t *o, struct placement *p, struct err *err)
{
    const char *text = jsonread_string(o, "places");
    const size_t index = p->nbindings;
    struct place_set set;

    if (json_object_size(o) != 2 || !text || !place_set_parse(text, p->places.n, &set))
        return bad(err, "bindings");
    if (placement_binding(p, &set) != index) /* each once */
        return bad(err, "bindings");
    return decode_threads(json_object_get(o, "threads"), p, (uint32_t)index, err);
}

static int decode_areas(const json_t *list, struct placement *p, size_t index, struct err *err)
{
    if (!json_is_array(list) || json_array_size(list) > AREAS_MAX)
        return bad(err, "areas");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        json_int_t start = json_integer_value(json_array_get(o, 0));
        json_int_t bytes = json_integer_value(json_array_get(o, 1));

        if (json_array_size(o) != 2 || start < 1 || bytes < 1 || bytes > INT64_MAX - start)
            return bad(err, "areas");
        if (placement_add_area(p, index, (uint64_t)start, (uint64_t)bytes) < 0)
            return err_sys(err, "placement");
    }
    return 0;
}

static int decode_memory(const json_t *top, struct placement *p, struct err *err)
{
    const json_t *list = json_object_get(top, "memory");

    if (!json_is_array(list) || json_array_size(list) > MEMORY_MAX)
        return bad(err, "memory");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *policy = jsonread_string(o, "policy"), *nodes = jsonread_string(o, "nodes");
        uint32_t pid, tid;
        size_t index;

        if (json_object_size(o) != 5 || !policy || !nodes ||
            !jsonread_printable(policy, sizeof p->memory->policy) ||
            !jsonread_printable(nodes, sizeof p->memory->nodes) ||
            !jsonread_u32(o, "pid", 1, INT32_MAX, &pid) ||
            !jsonread_u32(o, "tid", 0, INT32_MAX, &tid))
            return bad(err, "memory");
        index = placement_memory_of(p, pid, tid, policy, nodes);
        if (index == SIZE_MAX)
            return err_sys(err, "placement");
        if (index != i) /* each once */
            return bad(err, "memory");
        if (decode_areas(json_object_get(o, "areas"), p, index, err) < 0)
            return -1;
    }
    return 0;
}

static int decode_text(const json_t *top, const char *key, char *out, size_t size, struct err *err)
{
    const char *s = jsonread_string(top, key);

    if (!s || !jsonread_printable(s, size))
        return bad(err, key);
    memcpy(out, s, strlen(s) + 1);
    return 0;
}

static int decode_top(const json_t *top, struct placement *p, struct err *err)
{
    const char *format = jsonread_string(top, "format");
    const json_t *bindings = json_object_get(top, "bindings");
    uint32_t version;

    if (!format || strcmp(format, FORMAT) != 0 || !jsonread_u32(top, "version", 1, 1, &version))
        return bad(err, "format");
    if (json_object_size(top) != 11 || !jsonread_u64(top, "clock_ms", 0, INT64_MAX, &p->clock_ms) ||
        !json_is_boolean(json_object_get(top, "step")) || !json_is_array(bindings))
        return bad(err, "bindings");
    if (decode_text(top, "node", p->node, sizeof p->node, err) < 0 ||
        decode_text(top, "generation", p->generation, sizeof p->generation, err) < 0 ||
        decode_text(top, "created", p->created, sizeof p->created, err) < 0 ||
        decode_places(top, &p->places, err) < 0)
        return -1;
    p->step = json_is_true(json_object_get(top, "step"));
    for (size_t i = 0; i < json_array_size(bindings); i++)
        if (decode_binding(json_array_get(bindings, i), p, err) < 0)
            return -1;
    if (decode_threads(json_object_get(top, "unbound"), p, PLACEMENT_UNBOUND, err) < 0)
        return -1;
    return decode_memory(top, p, err);
}

int placement_decode(const char *text, size_t len, struct placement *p, struct err *err)
{
    json_t *top = len > PLACEMENT_MAX_BYTES ? NULL : jsonread_object(text, len, err);
    struct placement got = {.nbindings = 0};
    int rc;

    if (!top) {
        errno = EBADMSG;
        return len > PLACEMENT_MAX_BYTES ? bad(err, "format") : err_prefix(err, "placement");
    }
    rc = decode_top(top, &got, err);
    if (rc == 0)
        *p = got;
    else
        placement_free(&got);
    json_decref(top);
    return rc;
}

int placement_load(int genfd, const struct manifest *m, struct placement *p, struct err *err)
{
    size_t len = 0;
    char *text, hex[65];
    int fd, rc;

    if (!m->placement.name[0])
        return 0;
    fd = gendir_open_file(genfd, PLACEMENT_FILE, O_RDONLY, 0, err);
    text = fd < 0 ? NULL : io_slurp(fd, PLACEMENT_MAX_BYTES, &len, err);
    io_close(&fd);
    if (!text)
        return err_prefix(err, PLACEMENT_FILE);
    seal_digest(text, len, hex);
    errno = EBADMSG;
    rc = strcmp(hex, m->placement.sha256) == 0
             ? placement_decode(text, len, p, err)
             : err_set(err, PLACEMENT_FILE ": it is not the one that the manifest names");
    free(text);
    return rc < 0 ? -1 : 1;
}

void placement_free(struct placement *p)
{
    int saved = errno;

    free(p->places.p);
    free(p->bindings);
    free(p->threads);
    for (size_t i = 0; i < p->nmemory; i++)
        free(p->memory[i].areas);
    free(p->memory);
    memset(p, 0, sizeof *p);
    errno = saved;
}

/* Room for one more, by powers of two. */
static bool grow(void **list, size_t n, size_t size)
{
    void *bigger;

    if ((n & (n - 1)) != 0)
        return true;
    bigger = realloc(*list, (n ? 2 * n : 1) * size);
    if (bigger)
        *list = bigger;
    return bigger != NULL;
}

size_t placement_binding(struct placement *p, const struct place_set *s)
{
    struct place_set *bigger;

    for (size_t i = 0; i < p->nbindings; i++)
        if (place_set_equal(&p->bindings[i], s))
            return i;
    bigger = realloc(p->bindings, (p->nbindings + 1) * sizeof *bigger);
    if (!bigger)
        return SIZE_MAX;
    p->bindings = bigger;
    p->bindings[p->nbindings] = *s;
    return p->nbindings++;
}

int placement_add_thread(struct placement *p, uint32_t pid, uint32_t tid, uint32_t binding)
{
    void *list = p->threads;

    if (!grow(&list, p->nthreads, sizeof *p->threads))
        return -1;
    p->threads = list;
    p->threads[p->nthreads++] =
        (struct placement_thread){.pid = pid, .tid = tid, .binding = binding};
    return 0;
}

uint32_t placement_of(const struct placement *p, uint32_t pid, uint32_t tid)
{
    uint32_t leader = PLACEMENT_UNBOUND;

    for (size_t i = 0; i < p->nthreads; i++) {
        const struct placement_thread *x = &p->threads[i];

        if (x->pid == pid && x->tid == tid)
            return x->binding;
        if (x->pid == pid && x->tid == pid)
            leader = x->binding;
    }
    return leader;
}

size_t placement_memory_of(struct placement *p, uint32_t pid, uint32_t tid, const char *policy,
                           const char *nodes)
{
    struct placement_memory x = {.pid = pid, .tid = tid};
    void *list = p->memory;

    for (size_t i = 0; i < p->nmemory; i++)
        if (p->memory[i].pid == pid && p->memory[i].tid == tid &&
            !strcmp(p->memory[i].policy, policy) && !strcmp(p->memory[i].nodes, nodes))
            return i;
    if (!grow(&list, p->nmemory, sizeof x))
        return SIZE_MAX;
    snprintf(x.policy, sizeof x.policy, "%s", policy);
    snprintf(x.nodes, sizeof x.nodes, "%s", nodes);
    p->memory = list;
    p->memory[p->nmemory] = x;
    return p->nmemory++;
}

int placement_add_area(struct placement *p, size_t index, uint64_t start, uint64_t bytes)
{
    struct placement_memory *m = &p->memory[index];
    struct placement_area *last = m->nareas ? &m->areas[m->nareas - 1] : NULL;
    void *list = m->areas;

    if (last && last->start + last->bytes == start) {
        last->bytes += bytes;
        return 0;
    }
    errno = E2BIG;
    if (m->nareas >= AREAS_MAX || !grow(&list, m->nareas, sizeof *last))
        return -1;
    m->areas = list;
    m->areas[m->nareas++] = (struct placement_area){start, bytes};
    return 0;
}

const struct placement_memory *placement_policy_of(const struct placement *p, uint32_t pid,
                                                   uint32_t tid)
{
    const struct placement_memory *leader = NULL;
    bool known = false;

    for (size_t i = 0; i < p->nmemory; i++) {
        const struct placement_memory *m = &p->memory[i];

        if (m->pid == pid && m->tid == tid)
            return m;
        if (m->pid == pid && m->tid == pid)
            leader = m;
    }
    for (size_t i = 0; i < p->nthreads && !known; i++)
        known = p->threads[i].pid == pid && p->threads[i].tid == tid;
    return known ? NULL : leader;
}
