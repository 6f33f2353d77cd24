/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/able.h"
#include "able/headroom.h"
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 30000
#define SRUN "srun"

struct look {
    const struct facts *facts;
    const struct request *request;
    int rootfd;
    uint32_t disabled;
};

/* srun in a script is no obstacle: its tasks are checkpointed, and the script is started once more. */
static bool take_srun_out(struct able_list *list)
{
    bool found = false;
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->found[i].program, SRUN) == 0) {
            found = true;
            list->total--;
        } else {
            list->found[kept++] = list->found[i];
        }
    }
    list->n = kept;
    return found;
}

static void add_memory(struct able_list *list, pid_t root)
{
    struct headroom h;
    uint64_t need = headroom_need((unsigned)list->processes) + HEADROOM_BUFFERS;
    struct able_finding *f = &list->found[list->n];

    headroom_read("", &h);
    if (h.room >= need || list->n == ABLE_MAX)
        return;
    memset(f, 0, sizeof *f);
    f->kind = ABLE_MEMORY;
    f->passing = true;
    f->pid = root;
    snprintf(f->program, sizeof f->program, "the job");
    snprintf(f->what, sizeof f->what,
             "leaves %llu MiB of its memory limit, a checkpoint needs %llu",
             (unsigned long long)(h.room >> 20), (unsigned long long)(need >> 20) + 1);
    list->n++;
    list->total++;
}

static char *encode(const struct able_list *list)
{
    json_t *all = json_array();
    char *text;

    for (size_t i = 0; i < list->n; i++) {
        const struct able_finding *f = &list->found[i];

        json_array_append_new(all, json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:b}", "process",
                                             (int)f->pid, "program", f->program, "where", f->where,
                                             "kind", able_kind_name(f->kind), "what", f->what,
                                             "remedy", able_remedy(f), "passing", f->passing));
    }
    text = json_dumps(all, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(all);
    return text;
}

/* In a clerk: under private isolation it is in the job's pid namespace, where /proc shows the tree. */
static int look(void *arg, void *result, struct err *err)
{
    const struct look *l = arg;
    struct able_list *list = calloc(1, sizeof *list);
    struct answer a = {.disabled = l->disabled};
    pid_t root = able_pid_of(l->rootfd);
    int taskfd = gendir_open_task(l->facts, false, err), rc = -1;
    bool srun;

    (void)result;
    snprintf(a.id, sizeof a.id, "%s", l->request->id);
    snprintf(a.verb, sizeof a.verb, "%s", l->request->verb);
    snprintf(a.state, sizeof a.state, "failed");
    if (taskfd < 0 || !list) {
        free(list);
        return -1;
    }
    if (root < 0)
        snprintf(a.text, sizeof a.text, "the job has just ended");
    else if (able_scan("/proc", root, list, err) < 0)
        snprintf(a.text, sizeof a.text, "%.500s", err->text);
    else {
        srun = take_srun_out(list);
        add_memory(list, root);
        a.findings = encode(list);
        snprintf(a.state, sizeof a.state, "%s", a.findings ? "done" : "failed");
        snprintf(a.text, sizeof a.text, "%zu processes looked at%s", list->processes,
                 srun ? "; srun runs: its tasks are checkpointed each by itself, the script is "
                        "started once more"
                      : "");
    }
    rc = answer_put(taskfd, &a, err);
    free(a.findings);
    free(list);
    io_close(&taskfd);
    return rc;
}

void shepherd_able(struct shepherd *s, const struct request *q)
{
    struct look l = {&s->facts, q, s->rootfd, s->disabled};
    struct err err = {{0}};

    if (clerk_run(look, &l, NULL, 0, LOOK_MS, &err) < 0)
        shepherd_refuse(s, q, err.text);
}
