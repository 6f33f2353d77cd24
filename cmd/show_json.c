/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "cmd/show_place.h"
#include "restore/keptlist.h"

#include <fcntl.h>
#include <string.h>

static json_t *flags_json(uint32_t flags)
{
    json_t *list = json_array();
    char text[64], *next = text;

    look_flags(flags, text);
    while (next) {
        char *comma = strchr(next, ',');

        if (comma)
            *comma++ = '\0';
        json_array_append_new(list, json_string(next));
        next = comma;
    }
    return list;
}

static json_t *file_json(const struct look_file *f)
{
    json_t *o = json_pack("{s:I, s:s}", "fd", (json_int_t)f->fd, "kind", f->kind);

    json_object_set_new(o, f->regular ? "path" : "text", cmd_json_string(f->text));
    if (f->regular) {
        json_object_set_new(o, "flags", flags_json(f->flags));
        json_object_set_new(o, "position", json_integer((json_int_t)f->position));
    }
    if (f->has_size)
        json_object_set_new(o, "size", json_integer((json_int_t)f->size));
    return o;
}

static json_t *command_json(const struct look_process *p)
{
    json_t *list;
    size_t at = 0;

    if (!p->command)
        return json_null();
    list = json_array();
    while (at < p->command_len) {
        size_t n = strnlen(p->command + at, p->command_len - at);
        char *word = strndup(p->command + at, n);

        if (!word)
            break;
        json_array_append_new(list, cmd_json_string(word));
        free(word);
        at += n + 1;
    }
    return list;
}

static json_t *text_or_null(const char *s)
{
    return s ? cmd_json_string(s) : json_null();
}

static void add_look(json_t *o, const struct look_process *p)
{
    json_t *files = json_array();

    for (size_t i = 0; i < p->nfiles; i++)
        json_array_append_new(files, file_json(&p->files[i]));
    json_object_set_new(o, "state", json_string(p->state));
    json_object_set_new(o, "executable", text_or_null(p->exe));
    json_object_set_new(o, "directory", text_or_null(p->cwd));
    json_object_set_new(o, "command", command_json(p));
    json_object_set_new(o, "memory_bytes", json_integer((json_int_t)p->memory));
    json_object_set_new(o, "files", files);
}

static json_t *process_json(const struct shown *s, size_t i)
{
    const struct manifest_process *p = &s->m.processes[i];
    json_t *threads = json_array(), *o;

    for (uint32_t k = 0; k < p->nthreads; k++)
        json_array_append_new(threads, json_integer(p->threads[k]));
    o = json_pack("{s:I, s:I, s:I, s:I, s:s, s:o}", "pid", (json_int_t)p->pid, "ppid",
                  (json_int_t)p->ppid, "pgid", (json_int_t)p->pgid, "sid", (json_int_t)p->sid,
                  "comm", p->comm, "threads", threads);
    if (o && s->looked)
        add_look(o, &s->look.processes[i]);
    return o;
}

static json_t *links_json(const struct manifest *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->nlinks; i++) {
        char name[40];

        gendir_format_name(m->links[i].generation, false, name);
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "generation", name, "bytes",
                                              (json_int_t)m->links[i].bytes, "used",
                                              (json_int_t)m->links[i].used));
    }
    return list;
}

static json_t *parts_json(const struct manifest *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", m->parts[i].name, "bytes",
                                              (json_int_t)m->parts[i].bytes, "sha256",
                                              m->parts[i].sha256));
    return list;
}

static json_t *kept_json(const struct filelist *l)
{
    json_t *list = json_array();

    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:I}", "restore", keptlist_role(l->v[i].role), "path",
                            cmd_json_string(l->v[i].path), "size", (json_int_t)l->v[i].size));
    return list;
}

json_t *shown_json(const struct shown *s)
{
    const struct manifest *m = &s->m;
    json_t *processes = json_array(), *o;

    for (size_t i = 0; i < m->nprocesses; i++)
        json_array_append_new(processes, process_json(s, i));
    o = json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "job", (json_int_t)m->job,
                  "cluster", m->cluster, "nonce", m->nonce, "generation", s->name, "epoch",
                  (json_int_t)m->epoch, "sequence", (json_int_t)m->sequence, "uid",
                  (json_int_t)m->uid, "created", m->created, "reason", m->reason);
    if (!o) {
        json_decref(processes);
        return NULL;
    }
    json_object_set_new(o, "task", json_string(m->task));
    if (s->job.is_step && s->job.step != UINT32_MAX)
        json_object_set_new(o, "step", json_integer((json_int_t)s->job.step));
    json_object_set_new(o, "seal", json_pack("{s:b, s:s}", "good", s->sealed, "text", s->why_not));
    json_object_set_new(o, "images", json_pack("{s:b, s:s}", "good", s->looked, "text", s->damage));
    json_object_update_new(o, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "snapshot",
                                        m->snapshot, "node", m->node, "kernel", m->kernel,
                                        "machine", m->machine, "isolation", m->isolation, "criu",
                                        m->criu, "compress", m->compress));
    json_object_update_new(
        o, json_pack("{s:I, s:I, s:I, s:I, s:I}", "pause_us", (json_int_t)m->pause_us, "freeze_us",
                     (json_int_t)m->freeze_us, "total_ms", (json_int_t)m->total_ms, "raw_bytes",
                     (json_int_t)m->raw_bytes, "stored_bytes", (json_int_t)m->stored_bytes));
    if (s->looked)
        json_object_set_new(o, "kept", kept_json(&s->look.kept));
    if (s->placed)
        json_object_set_new(o, "placement", show_place_json(&s->placement));
    if (s->placed_now)
        json_object_set_new(o, "placement_now", show_place_json(&s->now));
    json_object_set_new(o, "written_bytes", json_integer((json_int_t)manifest_written(m)));
    json_object_set_new(o, "linked", links_json(m));
    json_object_set_new(o, "parts", parts_json(m));
    json_object_set_new(o, "processes", processes);
    return o;
}
