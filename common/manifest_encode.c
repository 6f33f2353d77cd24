/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/manifest_impl.h"

#include "common/jsonread.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *encode_row(const struct manifest_row *row, const struct manifest *m)
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

    for (size_t i = 0; i < MANIFEST_PARTS; i++) {
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
    if (json_array_size(list) == MANIFEST_PARTS)
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
    json_t *top = json_pack("{s:s, s:i}", "format", MANIFEST_FORMAT, "version", MANIFEST_VERSION);
    struct manifest check;
    char *text = NULL;

    for (size_t i = 0; i < manifest_nrows; i++)
        if (json_object_set_new(top, manifest_rows[i].key, encode_row(&manifest_rows[i], m)) < 0) {
            manifest_bad_value(err, manifest_rows[i].key);
            goto out;
        }
    /* Before the processes: who lists generations reads no further. */
    if (m->incremental && json_object_set_new(top, "incremental", encode_incremental(m)) < 0) {
        manifest_bad_value(err, "incremental");
        goto out;
    }
    if (json_object_set_new(top, "parts", encode_parts(m)) < 0 ||
        json_object_set_new(top, "processes", encode_processes(m)) < 0) {
        manifest_bad(err, "bad parts or processes, or no memory");
        goto out;
    }
    if (m->placement.name[0] && json_object_set_new(top, "placement", encode_placement(m)) < 0) {
        manifest_bad_value(err, "placement");
        goto out;
    }
    if (m->cpu[0] && json_object_set_new(top, "cpu", json_string(m->cpu)) < 0) {
        manifest_bad_value(err, "cpu");
        goto out;
    }
    if (m->inputs_warn && json_object_set_new(top, "inputs", json_string("warn")) < 0) {
        manifest_bad_value(err, "inputs");
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
