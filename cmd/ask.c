/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/ask.h"

#include "cmd/progress.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_FAST_MS 50 /* while most checkpoints are made */
#define POLL_SLOW_MS 250
#define FAST_FOR_MS 3000
#define LIMIT_BESIDES_S 60u /* on top of the site's limit for a dump */
#define STEP_MOST_MS 10000
#define AT_ONCE 256 /* jobs; each has a directory open */

/* What the command line comes to. */
struct asks {
    const struct cmd *c;
    const struct ask_kind *kind;
    struct ask *ask;
    size_t n, room;
    bool many;      /* --json prints a list: several arguments, or a whole array */
    uint32_t limit; /* seconds */
    int status;
    json_t *list;
    struct progress progress;
};

bool ask_is_step(const struct ask *k)
{
    return strncmp(k->task, "step-", 5) == 0;
}

void ask_end(struct ask *k, int status, const char *state, const struct answer *a, const char *fmt,
             ...)
{
    struct err text = {{0}};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text.text, sizeof text.text, fmt, ap);
    va_end(ap);
    err_clean(text.text);
    k->status = status;
    if (k->c->json) {
        k->result = json_pack("{s:I, s:s, s:s, s:s}", "job", (json_int_t)k->job.id, "verb",
                              k->kind->verb, "state", state, "text", text.text);
        if (ask_is_step(k)) {
            json_object_set_new(k->result, "step", json_integer(k->step));
            json_object_set_new(k->result, "task", json_string(k->task));
        }
        if (a && k->kind->counts)
            json_object_set_new(k->result, "disabled", json_integer(a->disabled));
        if (a && !k->kind->counts) {
            json_object_set_new(k->result, "generation", json_string(a->generation));
            json_object_set_new(k->result, "pause_us", json_integer(a->pause_us));
            json_object_set_new(k->result, "raw_bytes", json_integer((json_int_t)a->raw_bytes));
            json_object_set_new(k->result, "stored_bytes",
                                json_integer((json_int_t)a->stored_bytes));
            json_object_set_new(k->result, "total_ms", json_integer(a->total_ms));
        }
    }
    if (status == CMD_DONE && !k->c->json)
        printf("%s: %s\n", k->label, text.text);
    if (status != CMD_DONE) /* a progress line may be there still */
        fprintf(stderr, "%sscheckpoint: %s: %s\n", isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "",
                k->label, text.text);
}

static uint32_t limit(const struct cmd *c)
{
    struct conf *conf;
    uint32_t seconds;

    if (c->timeout)
        return c->timeout;
    conf = malloc(sizeof *conf);
    if (!conf)
        return LIMIT_BESIDES_S;
    if (conf_load(c->conf, conf, NULL) < 0)
        conf_defaults(conf);
    seconds = conf->dump_timeout + LIMIT_BESIDES_S;
    free(conf);
    return seconds;
}

/* ---- from names to jobs ---- */

static int add(struct asks *s, const struct job *job, const char *task, uint32_t step)
{
    struct ask *k;

    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        struct ask *bigger = realloc(s->ask, room * sizeof *bigger);

        if (!bigger)
            return -1;
        s->ask = bigger;
        s->room = room;
    }
    k = &s->ask[s->n++];
    *k = (struct ask){.c = s->c,
                      .kind = s->kind,
                      .job = *job,
                      .status = -1,
                      .self = job_self(),
                      .step = step,
                      .limit_ms = (int64_t)s->limit * 1000,
                      .taskfd = -1};
    snprintf(k->task, sizeof k->task, "%s", task);
    if (ask_is_step(k))
        snprintf(k->label, sizeof k->label, "job %u.%u task %.20s", job->id, step,
                 strrchr(task, '.') + 1);
    else
        snprintf(k->label, sizeof k->label, "job %u", job->id);
    return 0;
}

/* An argument that leads to no job. */
static void no_job(struct asks *s, const char *text, int status, struct err *err)
{
    struct cmd c = *s->c;

    c.job = text;
    c.json = c.json && !s->many;
    cmd_fail(&c, status, err);
    if (s->many && s->c->json)
        json_array_append_new(
            s->list, json_pack("{s:o, s:s, s:s, s:s}", "argument", cmd_json_string(text), "verb",
                               s->kind->verb, "state", status == CMD_REFUSED ? "refused" : "failed",
                               "text", err->text));
    if (status > s->status)
        s->status = status;
}

struct adding {
    struct asks *s;
    const struct job *job;
    unsigned n;
};

static int add_task(void *arg, const char *task, uint32_t step)
{
    struct adding *a = arg;

    a->n++;
    return add(a->s, a->job, task, step);
}

/* The others are about the job. */
static bool reaches_steps(const struct ask_kind *kind)
{
    return strcmp(kind->verb, "create") == 0 || kind->looks;
}

/* Of a job with a script its script, and of the steps that run in it each task; -1: no memory. */
static int add_tasks(struct asks *s, const struct job *job, const struct job_name *name)
{
    struct adding a = {s, job, 0};
    struct err err = {{0}};

    if (!name->has_step && job->batch && add(s, job, "batch", 0) < 0)
        return -1;
    if (reaches_steps(s->kind) && job->uid == geteuid() &&
        ask_steps_each(s->c, job, name, add_task, &a) < 0)
        return -1;
    if (a.n > 0)
        s->many = true;
    if (a.n == 0 && name->has_step) {
        ask_steps_none(s->c, job, name, &err);
        no_job(s, s->c->job ? s->c->job : "step", CMD_REFUSED, &err);
    } else if (a.n == 0 && !job->batch) {
        return add(s, job, "batch", 0); /* is refused, with the reason */
    }
    return 0;
}

static void add_jobs(struct asks *s, const char *text)
{
    struct err err = {{0}};
    struct job *jobs = NULL;
    struct job_name name;
    unsigned waiting;
    int n, chosen = 0;

    job_parse_step(text, &name);
    n = job_load_all(&name, &jobs, &waiting, &err);
    if (n < 0) {
        no_job(s, text, errno == ESRCH ? CMD_REFUSED : CMD_FAILED, &err);
        return;
    }
    s->many |= n > 1 || waiting > 0;
    for (int i = 0; i < n; i++) {
        /* Of a whole array those that run. */
        if ((n > 1 || waiting > 0) && jobs[i].phase != JOB_PHASE_RUNNING)
            continue;
        chosen++;
        if (add_tasks(s, &jobs[i], &name) < 0)
            no_job(s, text, CMD_FAILED, &(struct err){"no memory"});
    }
    free(jobs);
    if (chosen == 0)
        no_job(s, text, CMD_REFUSED, &(struct err){"no task of this array runs"});
}

/* Nothing is asked when one of the arguments is no job id. */
static int check_names(const struct cmd *c, const struct ask_kind *kind)
{
    bool steps = reaches_steps(kind);
    struct err err = {{0}};
    struct job_name name;

    for (int i = 0; i < c->nargs; i++) {
        struct cmd wrong = *c;

        wrong.job = c->args[i];
        if (!job_parse_step(c->args[i], &name))
            err_set(&err, "not a job id: %s (12, or 12_3 for a task of an array%s)", c->args[i],
                    steps ? "; 12.0 for a step of srun's, 12.0/1 for its task 1" : "");
        else if (name.has_step && !steps)
            err_set(&err, "%s is about whole jobs, not a step of one: scheckpoint %s %.*s",
                    kind->verb, kind->verb, (int)strcspn(c->args[i], "."), c->args[i]);
        else
            continue;
        return cmd_fail(&wrong, CMD_USAGE, &err);
    }
    return CMD_DONE;
}

/* ---- asking ---- */

static int refuse_state(const struct ask *k, struct err *err)
{
    const struct job *job = &k->job;
    char when[32], why[512];

    errno = EINVAL;
    if (job->uid == 0)
        return err_set(err, "it is root's: jobs of root are not checkpointed");
    if (!job->batch && !ask_is_step(k))
        return err_set(err, "it is no batch job, and no step with --checkpoint runs in it");
    switch (job->phase) {
    case JOB_PHASE_RUNNING:
        return 0;
    case JOB_PHASE_PENDING:
        if (job->requeueing && job_held(job->id, when, why)) {
            errno = EINVAL;
            return err_set(err, "it is held: %.400s; scontrol release %u tries again", why,
                           job->id);
        }
        errno = EINVAL;
        return err_set(err, "it does not run (%s%s)", job->state,
                       job->requeueing ? ", requeued" : "");
    case JOB_PHASE_SUSPENDED:
        return err_set(err, "it is suspended: scontrol resume %u first", job->id);
    default:
        return err_set(err, "it has ended (%s)", job->state);
    }
}

static void begin(struct ask *k)
{
    struct err err = {{0}};

    /* Who is in the job knows that it still runs: Slurm may be ending it, and the last checkpoint wait for an
     * enable. */
    if (refuse_state(k, &err) == 0 || (k->kind->counts && k->self == k->job.id)) {
        if (k->job.uid == geteuid())
            ask_owner_begin(k);
        else
            ask_operator_begin(k);
        return;
    }
    if (k->self && k->self != k->job.id)
        ask_end(k, CMD_REFUSED, "refused", NULL, "%s; this process runs in job %u", err.text,
                k->self);
    else
        ask_end(k, CMD_REFUSED, "refused", NULL, "%s", err.text);
}

/* One ring wakes all tasks of a step, so it comes when each has found its request. */
static void ring_steps(struct ask *from, size_t n)
{
    struct err err = {{0}};

    for (size_t i = 0; i < n; i++) {
        bool rung = !ask_is_step(&from[i]) || from[i].status >= 0;

        for (size_t j = 0; j < i && !rung; j++)
            rung = ask_is_step(&from[j]) && from[j].job.id == from[i].job.id &&
                   from[j].step == from[i].step;
        if (!rung && job_ring_step(&from[i].job, from[i].step, &err) < 0)
            ask_end(&from[i], CMD_FAILED, "failed", NULL, "%s", err.text);
    }
}

static void tell_progress(struct asks *s, const struct ask *from, size_t n, size_t left)
{
    const struct ask *one = from;
    char what[120];

    while (one->status >= 0)
        one++;
    if (n == 1)
        snprintf(what, sizeof what, "%s: %s", one->label, one->now);
    else
        snprintf(what, sizeof what, "%zu of %zu left; %s: %s", left, n, one->label, one->now);
    progress_show(&s->progress, what);
}

static void ask_some(struct asks *s, struct ask *from, size_t n)
{
    int64_t elapsed = 0, last;
    size_t left;

    progress_start(&s->progress);
    last = progress_now_ms();
    for (size_t i = 0; i < n; i++) {
        from[i].now = "waiting for the job to take the request";
        begin(&from[i]);
    }
    ring_steps(from, n);
    for (;;) {
        int64_t now = progress_now_ms();

        /* Inside a job the clock may jump: it was suspended, or restored on another node. */
        elapsed += now <= last ? 0 : now - last > STEP_MOST_MS ? STEP_MOST_MS : now - last;
        last = now;
        left = 0;
        for (size_t i = 0; i < n; i++) {
            struct ask *k = &from[i];

            if (k->status < 0 && k->job.uid == geteuid())
                ask_owner_step(k, elapsed);
            else if (k->status < 0)
                ask_operator_step(k, elapsed);
            left += k->status < 0;
        }
        if (left == 0)
            break;
        tell_progress(s, from, n, left);
        poll(NULL, 0, elapsed < FAST_FOR_MS ? POLL_FAST_MS : POLL_SLOW_MS);
    }
    progress_end(&s->progress);
    for (size_t i = 0; i < n; i++) {
        ask_owner_close(&from[i]);
        if (from[i].status > s->status)
            s->status = from[i].status;
        if (from[i].result)
            json_array_append_new(s->list, from[i].result);
    }
}

static void print(struct asks *s)
{
    json_t *o;

    if (!s->c->json)
        return;
    if (s->many)
        o = json_pack("{s:O}", "jobs", s->list);
    else if (!(o = json_incref(json_array_get(s->list, 0))))
        return; /* said already */
    if (cmd_print_json(o) < 0)
        s->status = CMD_FAILED;
}

int ask_run(const struct cmd *c, const struct ask_kind *kind)
{
    struct asks s = {.c = c, .kind = kind, .many = c->nargs > 1};
    char self[16];
    struct err err = {{0}};

    if (check_names(c, kind) != CMD_DONE)
        return CMD_USAGE;
    if (c->nargs == 0 && !job_self()) {
        err_set(&err, "a job id is missing: outside a job there is none to take for granted");
        return cmd_fail(c, CMD_USAGE, &err);
    }
    s.limit = limit(c);
    s.list = json_array();
    for (int i = 0; i < c->nargs; i++)
        add_jobs(&s, c->args[i]);
    if (c->nargs == 0) {
        snprintf(self, sizeof self, "%u", job_self());
        add_jobs(&s, self);
    }
    for (size_t i = 0; i < s.n; i += AT_ONCE)
        ask_some(&s, s.ask + i, s.n - i < AT_ONCE ? s.n - i : AT_ONCE);
    print(&s);
    json_decref(s.list);
    free(s.ask);
    return s.status;
}
