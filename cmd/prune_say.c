/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/prune_say.h"

#include "cmd/text.h"

#include <stdlib.h>

struct prune_say {
    const struct cmd *c;
    struct text_table *table;
    json_t *list;
    uint64_t bytes, freed;
    size_t jobs;
};

static const char *const head[] = {"JOBID",   "STATE", "GENERATIONS", "SIZE",
                                   "REMOVED", "FREED", "LEFT"};
#define COLUMNS (sizeof head / sizeof head[0])

struct prune_say *prune_say_create(const struct cmd *c)
{
    struct prune_say *s = calloc(1, sizeof *s);
    int rc = 0;

    if (!s)
        return NULL;
    s->c = c;
    s->list = json_array();
    s->table = text_table_create(COLUMNS);
    if (!s->list || !s->table)
        rc = -1;
    for (size_t i = 0; i < COLUMNS && rc == 0; i++)
        rc = text_table_add(s->table, head[i]);
    if (rc == 0)
        return s;
    text_table_destroy(s->table);
    json_decref(s->list);
    free(s);
    return NULL;
}

static const char *state(const struct prune_done *d)
{
    return d->ended ? "ended" : d->known ? "not ended" : "unknown";
}

static int add_json(struct prune_say *s, const struct prune_done *d, const struct prune_item *items,
                    size_t n)
{
    json_t *removed = json_array(), *kept = json_array();
    char name[40];

    for (size_t i = 0; i < n; i++) {
        gendir_format_name(items[i].id, items[i].partial, name);
        json_array_append_new(items[i].remove ? removed : kept, json_string(name));
    }
    return json_array_append_new(
        s->list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:b}", "job",
                           (json_int_t)d->job->job, "task", d->job->task, "cluster",
                           d->job->cluster, "nonce", d->job->nonce, "state", state(d), "bytes",
                           (json_int_t)d->bytes, "freed_bytes", (json_int_t)d->freed, "removed",
                           removed, "kept", kept, "all_removed", d->whole));
}

int prune_say_job(struct prune_say *s, const struct prune_done *d, const struct prune_item *items,
                  size_t n)
{
    char job[BASE_LABEL_MAX], gens[24], bytes[16], removed[24], freed[16], left[16];
    const char *const cells[COLUMNS] = {job, state(d), gens, bytes, removed, freed, left};
    int rc = 0;

    s->jobs++;
    s->bytes += d->bytes;
    s->freed += d->freed;
    if (s->c->json)
        return add_json(s, d, items, n);
    base_label(d->job, job);
    snprintf(gens, sizeof gens, "%zu", d->generations);
    text_bytes(d->bytes, bytes);
    snprintf(removed, sizeof removed, d->whole ? "all" : "%zu", d->removed);
    text_bytes(d->freed, freed);
    text_bytes(d->bytes - d->freed, left);
    for (size_t i = 0; i < COLUMNS && rc == 0; i++)
        rc = text_table_add(s->table, cells[i]);
    return rc;
}

static int print_text(const struct prune_say *s)
{
    char freed[16], bytes[16];

    if (s->jobs == 0) {
        puts("no checkpoints");
        return 0;
    }
    text_table_print(s->table, 0x7d, stdout);
    text_bytes(s->freed, freed);
    text_bytes(s->bytes, bytes);
    printf("%s %s of %s\n", s->c->dry_run ? "would free" : "freed", freed, bytes);
    return 0;
}

int prune_say_end(struct prune_say *s)
{
    int rc;

    if (!s)
        return 0;
    if (s->c->json)
        rc = cmd_print_json(json_pack("{s:b, s:I, s:I, s:o}", "dry_run", s->c->dry_run, "bytes",
                                      (json_int_t)s->bytes, "freed_bytes", (json_int_t)s->freed,
                                      "jobs", json_incref(s->list)));
    else
        rc = print_text(s);
    text_table_destroy(s->table);
    json_decref(s->list);
    free(s);
    return rc;
}
