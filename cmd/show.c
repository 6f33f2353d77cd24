/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/show.h"

#include "cmd/cmd.h"
#include "cmd/show_place.h"
#include "cmd/text.h"
#include "cmd/verb.h"
#include "common/io.h"
#include "common/seal.h"
#include "restore/keptlist.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_COLUMNS 100
#define DEPTH_MAX 40 /* of the tree, as it is drawn */

static char *slurp(int genfd, const char *name, size_t max, size_t *len, struct err *err)
{
    int fd = gendir_open_file(genfd, name, O_RDONLY, 0, err);
    char *text = fd < 0 ? NULL : io_slurp(fd, max, len, err);

    io_close(&fd);
    if (!text)
        err_prefix(err, "%s", name);
    return text;
}

static int check_seal(int genfd, const char *hex, const struct facts *f, struct err *err)
{
    size_t len;
    char *cred = slurp(genfd, MANIFEST_SEAL, SEAL_MAX_BYTES, &len, err);
    int rc;

    if (!cred)
        return -1;
    cred[strcspn(cred, "\n")] = '\0';
    rc = seal_check(cred, hex, f->uid, f->munge_socket, err);
    free(cred);
    return rc;
}

/* Manifest and seal, each as far as it goes. */
static int load_manifest(int genfd, const struct facts *f, struct shown *s, struct err *err)
{
    struct err why = {""};
    char hex[65], *text;
    size_t len = 0;
    int rc;

    text = slurp(genfd, MANIFEST_FILE, MANIFEST_MAX_BYTES, &len, err);
    if (!text)
        return -1;
    rc = manifest_decode(text, len, &s->m, err);
    if (rc == 0) {
        seal_digest(text, len, hex);
        s->sealed = check_seal(genfd, hex, f, &why) == 0;
        memcpy(s->why_not, why.text, sizeof s->why_not);
        err_clean(s->why_not);
    }
    free(text);
    return rc;
}

/* Worth no failure: what is wrong with it `verify` tells. */
static void load_placement(int genfd, int taskfd, struct shown *s)
{
    size_t len = 0;
    char *text;

    s->placed = placement_load(genfd, &s->m, &s->placement, NULL) == 1;
    text = slurp(taskfd, PLACEMENT_NOW, PLACEMENT_MAX_BYTES, &len, NULL);
    if (text && placement_decode(text, len, &s->now, NULL) == 0) {
        s->placed_now = strcmp(s->now.generation, s->name) == 0;
        if (!s->placed_now)
            placement_free(&s->now);
    }
    free(text);
}

int shown_load(const struct cmd *c, const struct target *t, struct gendir_id id, struct shown *s,
               struct err *err)
{
    struct facts *f = target_facts(c, t->path, &t->job, err);
    struct checkpoint ck;
    struct err why = {""};
    int genfd, rc = -1;

    if (!f)
        return -1;
    memset(s, 0, sizeof *s);
    s->job = t->job;
    s->id = id;
    gendir_format_name(id, false, s->name);
    genfd = gendir_open_dir(t->taskfd, s->name, err);
    if (genfd >= 0)
        rc = load_manifest(genfd, f, s, err);
    if (genfd >= 0 && rc == 0)
        load_placement(genfd, t->taskfd, s);
    io_close(&genfd);
    if (rc < 0) {
        err_prefix(err, "%s", s->name);
    } else if (verify_open(t->taskfd, id, f, &ck, &why) == 0) {
        s->looked = look_load(&ck, &s->look, &why) == 0;
        /* The one that was verified, should somebody have exchanged it meanwhile. */
        manifest_free(&s->m);
        s->m = ck.m;
        memset(&ck.m, 0, sizeof ck.m);
        verify_close(&ck);
    }
    free(f);
    if (!s->looked) {
        memcpy(s->damage, why.text, sizeof s->damage);
        err_clean(s->damage);
    }
    return rc;
}

void shown_free(struct shown *s)
{
    if (s->looked)
        look_free(&s->look);
    s->looked = false;
    placement_free(&s->placement);
    placement_free(&s->now);
    manifest_free(&s->m);
}

void shown_command(const struct shown *s, size_t process, char *out, size_t size)
{
    const struct look_process *p = s->looked ? &s->look.processes[process] : NULL;
    size_t n;

    if (!p || !p->command || p->command_len == 0) {
        snprintf(out, size, "[%s]%s", s->m.processes[process].comm,
                 p && !strcmp(p->state, "zombie") ? " (zombie)" : "");
        return;
    }
    n = p->command_len < size - 1 ? p->command_len : size - 1;
    memcpy(out, p->command, n);
    while (n > 0 && out[n - 1] == '\0')
        n--;
    out[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (out[i] == '\0')
            out[i] = ' ';
    if (n == size - 1)
        memcpy(out + size - 4, "...", 4);
    err_clean(out);
}

/* What was taken over from earlier generations, and lies in the directory under their names. */
static void print_links(const struct manifest *m)
{
    char written[16], taken[16], name[48];

    if (m->nlinks == 0)
        return;
    text_bytes(manifest_written(m), written);
    text_bytes(m->stored_bytes - manifest_written(m), taken);
    printf("  written   %s, the other %s was taken over from", written, taken);
    for (size_t i = 0; i < m->nlinks; i++)
        printf(" " GENDIR_NAME, m->links[i].generation.epoch, m->links[i].generation.sequence);
    putchar('\n');
    for (size_t i = 0; i < m->nlinks; i++) {
        gendir_format_link(m->links[i].generation, name);
        printf("  %s %12" PRIu64 " bytes, of which %" PRIu64 " belong to it\n", name,
               m->links[i].bytes, m->links[i].used);
    }
}

static void print_head(const struct shown *s)
{
    const struct manifest *m = &s->m;
    char when[32], pause[16], freeze[16], total[16], raw[16], stored[16], name[BASE_LABEL_MAX];

    text_local_time(m->created, when);
    text_microseconds(m->pause_us, pause);
    text_microseconds(m->freeze_us, freeze);
    text_microseconds((uint64_t)m->total_ms * 1000, total);
    text_bytes(m->raw_bytes, raw);
    text_bytes(m->stored_bytes, stored);
    base_label(&s->job, name);
    printf("job %s, %s\n", name, s->name);
    if (s->job.is_step)
        printf("  task      %s\n", s->job.task);
    printf("  when      %s\n  why       %s\n", when, m->reason);
    printf("  where     %s: %s, Linux %s\n", m->node, m->machine, m->kernel);
    printf("  isolation %s\n  criu      %s\n", m->isolation, m->criu);
    printf("  pause     %s, of which %s to stop all processes\n", pause, freeze);
    printf("  snapshot  %s\n", m->snapshot);
    printf("  duration  %s in all\n", total);
    printf("  size      %s of data, %s stored (%s)\n", raw, stored, m->compress);
    printf("  seal      %s%s\n", s->sealed ? "good" : "NOT GOOD: ", s->why_not);
    if (!s->looked)
        printf("  images    NOT GOOD: %s\n", s->damage);
    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++)
        printf("  %-14s %12" PRIu64 " bytes, sha256 %s\n", m->parts[i].name, m->parts[i].bytes,
               /* That of pages.zst in the manifest is its index's, which has one for each frame. */
               strcmp(m->parts[i].name, "pages.zst") == 0 ? "(of each frame, see index)"
                                                          : m->parts[i].sha256);
    print_links(m);
}

static int add_number(struct text_table *t, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, v);
    return text_table_add(t, text);
}

static int add_process(struct text_table *t, const struct shown *s, size_t i, unsigned depth)
{
    const struct manifest_process *p = &s->m.processes[i];
    char command[COMMAND_COLUMNS + 1], cell[COMMAND_COLUMNS + 2 * DEPTH_MAX + 1], memory[16] = "-";

    if (s->looked)
        text_bytes(s->look.processes[i].memory, memory);
    shown_command(s, i, command, sizeof command);
    snprintf(cell, sizeof cell, "%*s%s", (int)(2 * depth), "", command);
    if (add_number(t, p->pid) < 0 || add_number(t, p->ppid) < 0 || add_number(t, p->pgid) < 0 ||
        add_number(t, p->sid) < 0 || add_number(t, p->nthreads) < 0 ||
        text_table_add(t, memory) < 0 || text_table_add(t, p->comm) < 0)
        return -1;
    return text_table_add(t, cell);
}

/* How deep each process stands: parents come before their children, as CRIU wrote them; what does
 * not is drawn at the left. */
static unsigned *depths(const struct manifest *m)
{
    unsigned *depth = calloc(m->nprocesses, sizeof *depth);
    size_t last = 0; /* brothers follow each other */

    for (size_t i = 1; depth && i < m->nprocesses; i++) {
        const uint32_t ppid = m->processes[i].ppid;
        size_t parent = last;

        if (m->processes[last].pid != ppid) {
            for (parent = i; parent-- > 0;)
                if (m->processes[parent].pid == ppid)
                    break;
        }
        if (parent < i) { /* else it wrapped: none */
            depth[i] = depth[parent] < DEPTH_MAX ? depth[parent] + 1 : DEPTH_MAX;
            last = parent;
        }
    }
    return depth;
}

static int print_processes(const struct shown *s)
{
    static const char *const head[] = {"PID",     "PPID",   "PGID", "SID",
                                       "THREADS", "MEMORY", "NAME", "COMMAND"};
    const size_t columns = sizeof head / sizeof head[0];
    struct text_table *t = text_table_create(columns);
    unsigned *depth = depths(&s->m);
    int rc = t && depth ? 0 : -1;

    for (size_t i = 0; i < columns && rc == 0; i++)
        rc = text_table_add(t, head[i]);
    for (size_t i = 0; i < s->m.nprocesses && rc == 0; i++)
        rc = add_process(t, s, i, depth[i]);
    if (rc == 0) {
        putchar('\n');
        text_table_print(t, 0x3f, stdout);
    }
    text_table_destroy(t);
    free(depth);
    return rc;
}

static int add_file(struct text_table *t, uint32_t pid, const struct look_file *f)
{
    char flags[64] = "-", position[24] = "-", size[24] = "-";

    if (f->regular) {
        look_flags(f->flags, flags);
        snprintf(position, sizeof position, "%" PRIu64, f->position);
    }
    if (f->has_size)
        snprintf(size, sizeof size, "%" PRIu64, f->size);
    if (add_number(t, pid) < 0 || add_number(t, f->fd) < 0 || text_table_add(t, f->kind) < 0 ||
        text_table_add(t, position) < 0 || text_table_add(t, size) < 0 ||
        text_table_add(t, flags) < 0)
        return -1;
    return text_table_add(t, f->text);
}

static int print_files(const struct shown *s)
{
    static const char *const head[] = {"PID", "FD", "KIND", "POSITION", "SIZE", "MODE", "WHAT"};
    const size_t columns = sizeof head / sizeof head[0];
    struct text_table *t = text_table_create(columns);
    int rc = t ? 0 : -1;

    for (size_t i = 0; i < columns && rc == 0; i++)
        rc = text_table_add(t, head[i]);
    for (size_t i = 0; i < s->look.n; i++) {
        const struct look_process *p = &s->look.processes[i];

        for (size_t k = 0; k < p->nfiles && rc == 0; k++)
            rc = add_file(t, p->pid, &p->files[k]);
    }
    if (rc == 0) {
        putchar('\n');
        text_table_print(t, 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4, stdout);
    }
    text_table_destroy(t);
    return rc;
}

/* What is only compared would fill pages: every library. */
static int print_kept(const struct shown *s)
{
    struct text_table *t = text_table_create(3);
    int rc = t ? 0 : -1;
    size_t rows = 0;

    if (rc == 0 && (text_table_add(t, "AT A RESTORE") < 0 || text_table_add(t, "SIZE") < 0 ||
                    text_table_add(t, "FILE") < 0))
        rc = -1;
    for (size_t i = 0; i < s->look.kept.n && rc == 0; i++) {
        const struct file_entry *e = &s->look.kept.v[i];
        char size[24];

        if (e->role == FILE_INPUT || e->role == FILE_CODE)
            continue;
        snprintf(size, sizeof size, "%" PRIu64, e->size);
        if (text_table_add(t, keptlist_role(e->role)) < 0 || text_table_add(t, size) < 0 ||
            text_table_add(t, e->path) < 0)
            rc = -1;
        rows++;
    }
    if (rc == 0 && rows > 0) {
        putchar('\n');
        text_table_print(t, 1u << 1, stdout);
    }
    text_table_destroy(t);
    return rc;
}

static int print_text(const struct shown *s)
{
    print_head(s);
    if (print_processes(s) < 0)
        return -1;
    if (s->placed && show_place_print(&s->placement, "placement") < 0)
        return -1;
    if (s->placed_now && show_place_print(&s->now, "restored from it") < 0)
        return -1;
    if (!s->looked)
        return 0;
    return print_files(s) < 0 ? -1 : print_kept(s);
}

/* Its checkpoints of which one is meant; with several tasks what has none is left out.  1: shown, 0: it has none, -1. */
static int show_task(const struct cmd *c, const char *path, const struct base_job *task,
                     const struct target_name *name, json_t *list, bool *good, struct err *err)
{
    struct target t = {.taskfd = -1};
    struct gendir_id id;
    struct shown s;
    int rc = -1;

    if (target_open_task(path, task, &t, err) < 0)
        return errno == ENOENT ? 0 : -1; /* it is being removed */
    if (target_find(&t, name, &id, err) < 0) {
        rc = errno == ENOENT ? 0 : -1;
    } else if (shown_load(c, &t, id, &s, err) == 0) {
        *good = *good && s.sealed && s.looked;
        rc = c->json ? json_array_append_new(list, shown_json(&s)) : print_text(&s);
        rc = rc < 0 ? err_sys(err, "no memory") : 1;
        shown_free(&s);
    }
    target_close(&t);
    return rc;
}

/* One object, or all of them in one. */
static int print_list(json_t *list, const char *job)
{
    json_t *o = json_array_size(list) == 1
                    ? json_incref(json_array_get(list, 0))
                    : json_pack("{s:s, s:O}", "argument", job, "tasks", list);

    return cmd_print_json(o);
}

static int show_tasks(const struct cmd *c, const char *path, const struct base_job *tasks, int n,
                      const struct target_name *name, bool *good, struct err *err)
{
    json_t *list = json_array();
    int shown = 0, rc = 0;

    for (int i = 0; i < n && rc >= 0; i++) {
        /* A name that fits all of them is of the batch script's; without a script there is only one to mean. */
        if (i > 0 && !name->has_step && name->which == TARGET_EXACT)
            break;
        if (shown > 0 && !c->json)
            putchar('\n');
        rc = show_task(c, path, &tasks[i], name, list, good, err);
        shown += rc > 0;
    }
    if (rc >= 0 && shown > 0 && c->json)
        rc = print_list(list, c->job);
    json_decref(list);
    if (rc >= 0 && shown == 0)
        return -1; /* the last one's text */
    return rc < 0 ? -1 : 0;
}

static int run_show(const struct cmd *c)
{
    struct base_job *tasks = NULL;
    struct target_name name;
    char path[PATH_MAX];
    struct err err = {""};
    bool good = true;
    int n, rc;

    if (cmd_is_root(c, "show", &err))
        return cmd_fail(c, CMD_REFUSED, &err);
    if (!target_parse(c->job, &name)) {
        err_set(&err, "not a job or a generation of one: %s (" TARGET_FORMS ")", c->job);
        return cmd_fail(c, CMD_USAGE, &err);
    }
    n = target_tasks(c, &name, path, &tasks, &err);
    rc = n < 0 ? -1 : show_tasks(c, path, tasks, n, &name, &good, &err);
    free(tasks);
    if (rc < 0)
        return cmd_fail(c, CMD_FAILED, &err);
    return good ? CMD_DONE : CMD_FAILED;
}

const struct verb verb_show = {
    .name = "show",
    .args = "JOBID[.GEN]",
    .summary = "look inside a checkpoint",
    .run = run_show,
    .min_args = 1,
    .max_args = 1,
    .takes = 0,
    .help = "usage: scheckpoint show [--json] [-d DIR] JOBID[.STEP[/TASK]][.GENERATION]\n"
            "\n"
            "Shows what is in a checkpoint: when and why it was made, sizes, its seal, the\n"
            "processes with their command lines, open files and sockets. GENERATION is a name\n"
            "from scheckpoint list, or short, as 0.3 for gen-0000-000003, or last (the\n"
            "default). Of a job with steps of srun's the last of each task is shown, or of those\n"
            "of one step (12.0), or of one task (12.0/1, 12.0/1.0.3).\n",
};
