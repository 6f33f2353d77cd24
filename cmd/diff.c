/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cmd.h"
#include "cmd/show.h"
#include "cmd/text.h"
#include "cmd/verb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_COLUMNS 100

/* The comparison is made once, as JSON; the text is written from that. */
struct pair {
    const struct shown *a, *b;
    json_t *started, *ended, *changed; /* processes */
    json_t *opened, *closed, *moved;   /* files */
};

/* {key: [x, y]} when they differ */
static void add_numbers(json_t *o, const char *key, uint64_t x, uint64_t y)
{
    if (x != y)
        json_object_set_new(o, key, json_pack("[I, I]", (json_int_t)x, (json_int_t)y));
}

static void add_texts(json_t *o, const char *key, const char *x, const char *y)
{
    if (strcmp(x ? x : "", y ? y : "") != 0)
        json_object_set_new(
            o, key, json_pack("[o, o]", cmd_json_string(x ? x : ""), cmd_json_string(y ? y : "")));
}

static json_t *file_json(uint32_t pid, const struct look_file *f)
{
    return json_pack("{s:I, s:I, s:s, s:o}", "pid", (json_int_t)pid, "fd", (json_int_t)f->fd,
                     "kind", f->kind, "text", cmd_json_string(f->text));
}

static void compare_file(struct pair *d, uint32_t pid, const struct look_file *x,
                         const struct look_file *y)
{
    json_t *o;
    size_t plain;

    if (strcmp(x->kind, y->kind) != 0 || strcmp(x->text, y->text) != 0) {
        json_array_append_new(d->closed, file_json(pid, x));
        json_array_append_new(d->opened, file_json(pid, y));
        return;
    }
    o = file_json(pid, y);
    plain = json_object_size(o);
    add_numbers(o, "position", x->position, y->position);
    add_numbers(o, "size", x->size, y->size);
    add_numbers(o, "flags", x->flags, y->flags);
    if (json_object_size(o) > plain)
        json_array_append(d->moved, o);
    json_decref(o);
}

/* Both lists are sorted by descriptor; NULL is a process without any. */
static void compare_files(struct pair *d, uint32_t pid, const struct look_process *x,
                          const struct look_process *y)
{
    size_t i = 0, k = 0, nx = x ? x->nfiles : 0, ny = y ? y->nfiles : 0;

    while (i < nx || k < ny) {
        if (k == ny || (i < nx && x->files[i].fd < y->files[k].fd))
            json_array_append_new(d->closed, file_json(pid, &x->files[i++]));
        else if (i == nx || y->files[k].fd < x->files[i].fd)
            json_array_append_new(d->opened, file_json(pid, &y->files[k++]));
        else
            compare_file(d, pid, &x->files[i++], &y->files[k++]);
    }
}

static json_t *process_json(const struct shown *s, size_t i)
{
    char command[COMMAND_COLUMNS + 1];

    shown_command(s, i, command, sizeof command);
    return json_pack("{s:I, s:s, s:s}", "pid", (json_int_t)s->m.processes[i].pid, "comm",
                     s->m.processes[i].comm, "command", command);
}

static void compare_process(struct pair *d, size_t i, size_t k)
{
    const struct manifest_process *x = &d->a->m.processes[i], *y = &d->b->m.processes[k];
    json_t *o = process_json(d->b, k);
    const size_t plain = json_object_size(o);

    add_texts(o, "name", x->comm, y->comm);
    add_numbers(o, "ppid", x->ppid, y->ppid);
    add_numbers(o, "pgid", x->pgid, y->pgid);
    add_numbers(o, "sid", x->sid, y->sid);
    add_numbers(o, "threads", x->nthreads, y->nthreads);
    if (d->a->looked && d->b->looked) {
        const struct look_process *p = &d->a->look.processes[i], *q = &d->b->look.processes[k];

        add_texts(o, "executable", p->exe, q->exe);
        add_texts(o, "directory", p->cwd, q->cwd);
        add_texts(o, "state", p->state, q->state);
        add_numbers(o, "memory_bytes", p->memory, q->memory);
        compare_files(d, x->pid, p, q);
    }
    if (json_object_size(o) > plain)
        json_array_append(d->changed, o);
    json_decref(o);
}

/* Processes by pid, with their place in the manifest. */
struct diff_place {
    uint32_t pid;
    size_t at;
};

static int by_pid(const void *a, const void *b)
{
    const struct diff_place *x = a, *y = b;

    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static struct diff_place *places(const struct manifest *m)
{
    struct diff_place *p = calloc(m->nprocesses, sizeof *p);

    for (size_t i = 0; p && i < m->nprocesses; i++)
        p[i] = (struct diff_place){m->processes[i].pid, i};
    if (p)
        qsort(p, m->nprocesses, sizeof *p, by_pid);
    return p;
}

static const struct look_process *look_of(const struct pair *d, const struct shown *s, size_t at)
{
    return d->a->looked && d->b->looked ? &s->look.processes[at] : NULL;
}

static int compare_processes(struct pair *d)
{
    struct diff_place *x = places(&d->a->m), *y = places(&d->b->m);
    const size_t nx = d->a->m.nprocesses, ny = d->b->m.nprocesses;
    size_t i = 0, k = 0;
    const int rc = x && y ? 0 : -1;

    while (rc == 0 && (i < nx || k < ny)) {
        if (k == ny || (i < nx && x[i].pid < y[k].pid)) {
            json_array_append_new(d->ended, process_json(d->a, x[i].at));
            compare_files(d, x[i].pid, look_of(d, d->a, x[i].at), NULL);
            i++;
        } else if (i == nx || y[k].pid < x[i].pid) {
            json_array_append_new(d->started, process_json(d->b, y[k].at));
            compare_files(d, y[k].pid, NULL, look_of(d, d->b, y[k].at));
            k++;
        } else {
            compare_process(d, x[i++].at, y[k++].at);
        }
    }
    free(x);
    free(y);
    return rc;
}

static json_t *compare(const struct shown *a, const struct shown *b)
{
    struct pair d = {
        a, b, json_array(), json_array(), json_array(), json_array(), json_array(), json_array()};
    json_t *o = json_pack("{s:I, s:s, s:s, s:b}", "job", (json_int_t)a->m.job, "from", a->name,
                          "to", b->name, "files_compared", a->looked && b->looked);
    json_t *g = json_object();

    json_object_set_new(o, "task", json_string(a->job.task[0] ? a->job.task : BASE_TASK));
    add_texts(g, "created", a->m.created, b->m.created);
    add_texts(g, "reason", a->m.reason, b->m.reason);
    add_texts(g, "node", a->m.node, b->m.node);
    add_texts(g, "kernel", a->m.kernel, b->m.kernel);
    add_texts(g, "machine", a->m.machine, b->m.machine);
    add_texts(g, "criu", a->m.criu, b->m.criu);
    add_texts(g, "isolation", a->m.isolation, b->m.isolation);
    add_texts(g, "compress", a->m.compress, b->m.compress);
    add_numbers(g, "pause_us", a->m.pause_us, b->m.pause_us);
    add_numbers(g, "raw_bytes", a->m.raw_bytes, b->m.raw_bytes);
    add_numbers(g, "stored_bytes", a->m.stored_bytes, b->m.stored_bytes);
    add_numbers(g, "written_bytes", manifest_written(&a->m), manifest_written(&b->m));
    if (compare_processes(&d) < 0) {
        json_decref(o);
        o = NULL;
    }
    json_object_set_new(o, "generation", g);
    json_object_set_new(
        o, "processes",
        json_pack("{s:o, s:o, s:o}", "started", d.started, "ended", d.ended, "changed", d.changed));
    json_object_set_new(
        o, "files",
        json_pack("{s:o, s:o, s:o}", "opened", d.opened, "closed", d.closed, "changed", d.moved));
    return o;
}

static void value_text(const char *key, const json_t *v, char out[128])
{
    const size_t n = strlen(key);

    if (json_is_string(v))
        snprintf(out, 128, "%s", json_string_value(v));
    else if (n > 6 && !strcmp(key + n - 6, "_bytes"))
        text_bytes((uint64_t)json_integer_value(v), out);
    else if (n > 3 && !strcmp(key + n - 3, "_us"))
        text_microseconds((uint64_t)json_integer_value(v), out);
    else
        snprintf(out, 128, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    err_clean(out);
}

/* A key for people: without the unit, which the values have. */
static void label(const char *key, char out[32])
{
    char *unit;

    snprintf(out, 32, "%s", key);
    unit = strrchr(out, '_');
    if (unit && (!strcmp(unit, "_bytes") || !strcmp(unit, "_us")))
        *unit = '\0';
}

/* Each [x, y] of the object; *n counts them. */
static void print_changes(json_t *o, const char *before, const char *between, unsigned *n)
{
    const char *key;
    json_t *v;

    json_object_foreach(o, key, v)
    {
        char x[128], y[128], name[32];

        if (!json_is_array(v) || json_array_size(v) != 2)
            continue;
        value_text(key, json_array_get(v, 0), x);
        value_text(key, json_array_get(v, 1), y);
        label(key, name);
        printf("%s%s %s -> %s", *n ? between : before, name, x, y);
        ++*n;
    }
}

static unsigned print_processes(char sign, json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o)
    {
        char command[128];
        unsigned n = 0;

        value_text("", json_object_get(o, "command"), command);
        printf("%c process %" JSON_INTEGER_FORMAT " %s", sign,
               json_integer_value(json_object_get(o, "pid")), command);
        print_changes(o, ": ", ", ", &n);
        putchar('\n');
    }
    return (unsigned)json_array_size(list);
}

static unsigned print_files(char sign, json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o)
    {
        char *text = strdup(json_string_value(json_object_get(o, "text")));
        unsigned n = 0;

        if (text)
            err_clean(text);
        printf("%c process %" JSON_INTEGER_FORMAT " fd %" JSON_INTEGER_FORMAT " %s %s", sign,
               json_integer_value(json_object_get(o, "pid")),
               json_integer_value(json_object_get(o, "fd")),
               json_string_value(json_object_get(o, "kind")), text ? text : "?");
        print_changes(o, ": ", ", ", &n);
        putchar('\n');
        free(text);
    }
    return (unsigned)json_array_size(list);
}

static int print_text(json_t *o, const struct shown *a, const struct shown *b)
{
    json_t *p = json_object_get(o, "processes"), *f = json_object_get(o, "files");
    char name[BASE_LABEL_MAX];
    unsigned n = 0;

    if (!o)
        return -1;
    base_label(&a->job, name);
    printf("job %s, %s to %s\n", name, a->name, b->name);
    print_changes(json_object_get(o, "generation"), "  ", "\n  ", &n);
    if (n)
        putchar('\n');
    n = print_processes('+', json_object_get(p, "started"));
    n += print_processes('-', json_object_get(p, "ended"));
    n += print_processes('~', json_object_get(p, "changed"));
    n += print_files('+', json_object_get(f, "opened"));
    n += print_files('-', json_object_get(f, "closed"));
    n += print_files('~', json_object_get(f, "changed"));
    if (n == 0 && a->looked && b->looked)
        puts("  the same processes, with the same files");
    json_decref(o);
    return 0;
}

/* Not to have been looked into is told, but does not keep the rest from being compared. */
static int complain(const struct shown *s)
{
    if (s->sealed && s->looked)
        return 0;
    fprintf(stderr, "scheckpoint: %s: %s\n", s->name, s->sealed ? s->damage : s->why_not);
    return -1;
}

static int run(const struct cmd *c, const struct target *t, struct gendir_id from,
               struct gendir_id to, struct err *err)
{
    struct shown a, b;
    json_t *o;
    int status = CMD_FAILED;

    if (shown_load(c, t, from, &a, err) < 0)
        return -1;
    if (shown_load(c, t, to, &b, err) < 0) {
        shown_free(&a);
        return -1;
    }
    o = compare(&a, &b);
    if ((c->json ? cmd_print_json(o) : print_text(o, &a, &b)) == 0)
        status = CMD_DONE;
    if (complain(&a) + complain(&b) < 0)
        status = CMD_FAILED;
    shown_free(&a);
    shown_free(&b);
    return status;
}

/* "0.2", or with the same job before it. */
static bool parse_second(const char *text, const struct target_name *first, struct target_name *to)
{
    struct target_name again;

    if (target_parse_generation(text, to))
        return true;
    if (!target_parse(text, &again) || again.which == TARGET_ANY ||
        strcmp(again.job, first->job) != 0 || again.has_step != first->has_step ||
        again.step != first->step || again.has_task != first->has_task ||
        again.taskid != first->taskid)
        return false;
    *to = again;
    return true;
}

static int run_diff(const struct cmd *c)
{
    struct target_name from, to = {.which = TARGET_LAST};
    struct target t = {.taskfd = -1};
    struct gendir_id x, y;
    struct err err = {""};
    int status = -1;

    if (cmd_is_root(c, "diff", &err))
        return cmd_fail(c, CMD_REFUSED, &err);
    if (!target_parse(c->job, &from) || from.which == TARGET_ANY ||
        (c->nargs > 1 && !parse_second(c->args[1], &from, &to))) {
        err_set(&err, "two generations of a job are wanted, such as 12.0.1 0.2, or of a "
                      "step's task 12.0/1.0.1 0.2");
        return cmd_fail(c, CMD_USAGE, &err);
    }
    if (target_open(c, &from, &t, &err) == 0 && target_find(&t, &from, &x, &err) == 0 &&
        target_find(&t, &to, &y, &err) == 0)
        status = run(c, &t, x, y, &err);
    target_close(&t);
    return status < 0 ? cmd_fail(c, CMD_FAILED, &err) : status;
}

const struct verb verb_diff = {
    .name = "diff",
    .args = "JOBID.GEN GEN",
    .summary = "tell what changed between two of them",
    .run = run_diff,
    .min_args = 1,
    .max_args = 2,
    .takes = 0,
    .help = "usage: scheckpoint diff [--json] [-d DIR] JOBID.GENERATION [GENERATION]\n"
            "\n"
            "Shows what changed from one checkpoint of a job to another (default: the last):\n"
            "processes, saved memory, open files, the node. Of task 1 of step 0 of srun's:\n"
            "12.0/1.0.3 0.4\n",
};
