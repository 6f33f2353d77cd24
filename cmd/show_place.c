/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/show_place.h"

#include "cmd/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 7
#define CELL 100 /* of the threads; what is cut ends in "..." */

static size_t count_unbound(const struct placement *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->nthreads; i++)
        n += p->threads[i].binding == PLACEMENT_UNBOUND;
    return n;
}

static int add_number(struct text_table *t, uint32_t v)
{
    char text[16];

    snprintf(text, sizeof text, "%u", v);
    return text_table_add(t, text);
}

/* "301 302/305": processes, and threads that are not the first of theirs. */
static int add_threads(struct text_table *t, const struct placement *p, size_t place)
{
    char text[CELL + 4] = "";
    size_t used = 0;

    for (size_t i = 0; i < p->nthreads; i++) {
        const struct placement_thread *x = &p->threads[i];
        char one[32];

        if (x->binding == PLACEMENT_UNBOUND || !place_set_has(&p->bindings[x->binding], place))
            continue;
        if (x->tid == x->pid)
            snprintf(one, sizeof one, "%s%u", used ? " " : "", x->pid);
        else
            snprintf(one, sizeof one, "%s%u/%u", used ? " " : "", x->pid, x->tid);
        if (used + strlen(one) > CELL) {
            memcpy(text + used, "...", 4);
            break;
        }
        memcpy(text + used, one, strlen(one) + 1);
        used += strlen(one);
    }
    return text_table_add(t, text[0] ? text : "-");
}

static int add_place(struct text_table *t, const struct placement *p, size_t i)
{
    const struct place *x = &p->places.p[i];

    if (add_number(t, (uint32_t)i) < 0 || add_number(t, x->package) < 0 ||
        add_number(t, x->numa) < 0 || add_number(t, x->cache) < 0 || add_number(t, x->core) < 0 ||
        add_number(t, x->os) < 0)
        return -1;
    return add_threads(t, p, i);
}

static void print_memory(const struct placement_memory *m)
{
    uint64_t bytes = 0;
    char text[16];

    for (size_t i = 0; i < m->nareas; i++)
        bytes += m->areas[i].bytes;
    text_bytes(bytes, text);
    if (m->tid)
        printf("memory of %u/%u: ", m->pid, m->tid);
    else
        printf("memory of %u, %zu areas of %s: ", m->pid, m->nareas, text);
    printf("%s%s%s\n", m->policy, m->nodes[0] ? " on NUMA nodes " : "", m->nodes);
}

int show_place_print(const struct placement *p, const char *title)
{
    static const char *const head[COLUMNS] = {
        "PLACE", "PACKAGE", "NUMA", "CACHE", "CORE", "CPU", "THREADS BOUND TO IT"};
    struct text_table *t = text_table_create(COLUMNS);
    size_t unbound = count_unbound(p);
    char when[32];
    int rc = t ? 0 : -1;

    for (size_t i = 0; i < COLUMNS && rc == 0; i++)
        rc = text_table_add(t, head[i]);
    for (size_t i = 0; i < p->places.n && rc == 0; i++)
        rc = add_place(t, p, i);
    text_local_time(p->created, when);
    if (rc == 0) {
        printf("\n%s: on %s at %s, %zu threads bound to CPUs, %zu not\n", title, p->node, when,
               p->nthreads - unbound, unbound);
        if (p->nthreads > unbound)
            text_table_print(t, 0x3f, stdout);
        for (size_t i = 0; i < p->nmemory; i++)
            print_memory(&p->memory[i]);
    }
    text_table_destroy(t);
    return rc;
}

/* As the file has it. */
json_t *show_place_json(const struct placement *p)
{
    char *text = placement_encode(p, NULL);
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;

    free(text);
    return o;
}
