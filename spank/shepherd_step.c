/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"
#include "spank/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_FILE "input"
#define INPUT_LINES 32u /* more than generations are ever kept between two of them */
#define INPUT_MAX 16384u

struct standing {
    bool may_use; /* what was saved before is of this very step */
    bool script;  /* there is a batch script with a shepherd of its own */
    bool ended;
    int status;
};

/* Records of an earlier start count when the script was started from its beginning again: then the key means the same
 * step.  After a restore of the script's tree the step is the same too, but what had ended after that checkpoint is
 * done once more, like all else. */
static int look_up(void *arg, void *result, struct err *err)
{
    const struct facts *f = arg;
    struct standing *st = result;
    struct steps_live live = {f->epoch, f->step, ""};
    struct steps_run run = {0, false};
    struct steps_exit e;
    int stepsfd, taskfd = gendir_open_task(f, false, err), rc = -1;

    if (taskfd < 0)
        return -1;
    stepsfd = steps_open(f, false, NULL);
    if (stepsfd >= 0 && steps_run_read(stepsfd, &run, NULL) == 0) {
        st->script = run.epoch == f->epoch;
        st->may_use = st->script && f->epoch > 0;
    }
    if (steps_exit_read(taskfd, &e, NULL) == 0) {
        st->ended = st->may_use && run.from_start && e.epoch < f->epoch;
        st->status = e.status;
    }
    snprintf(live.node, sizeof live.node, "%s", f->node);
    if (!st->ended) {
        unlinkat(taskfd, STEPS_EXIT, 0);
        rc = steps_live_write(taskfd, &live, err);
    } else {
        rc = 0;
    }
    io_close(&stepsfd);
    io_close(&taskfd);
    return rc;
}

int shepherd_step_begin(struct shepherd *s, struct err *err)
{
    struct standing st = {false, false, false, 0};

    if (clerk_run(look_up, &s->facts, &st, sizeof st, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return -1;
    s->afresh = !st.may_use;
    s->script = st.script;
    if (st.ended) {
        s->replayed = s->ended = true;
        s->status = st.status;
    }
    return 0;
}

/* ---- input: "GENERATION BYTES": so much had been given when the dump after GENERATION ("0": none) began ---- */

struct input_work {
    const struct facts *facts;
    uint64_t bytes;
    char generation[40];
};

static char *read_input(int taskfd)
{
    int fd = gendir_open_file(taskfd, INPUT_FILE, O_RDONLY, 0, NULL);
    size_t len;
    char *text = fd < 0 ? NULL : io_slurp(fd, INPUT_MAX, &len, NULL);

    io_close(&fd);
    return text ? text : calloc(1, 1);
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static int write_input(void *arg, void *result, struct err *err)
{
    const struct input_work *w = arg;
    int taskfd = gendir_open_task(w->facts, false, err), fd = -1, rc = -1;
    char *text = taskfd < 0 ? NULL : read_input(taskfd), name[40] = "0", line[80];
    struct gendir_id *ids = NULL;
    const char *keep = text;
    int n = taskfd < 0 ? -1 : gendir_list(taskfd, &ids, err);

    (void)result;
    if (n < 0 || !text)
        goto out;
    if (n > 0)
        gendir_format_name(ids[0], false, name);
    snprintf(line, sizeof line, "%s %llu\n", name, (unsigned long long)w->bytes);
    while (count_lines(keep) >= INPUT_LINES)
        keep = strchr(keep, '\n') + 1;
    unlinkat(taskfd, INPUT_FILE ".tmp", 0);
    fd = gendir_open_file(taskfd, INPUT_FILE ".tmp", O_WRONLY | O_CREAT, 0600, err);
    if (fd < 0)
        goto out;
    rc = io_write_full(fd, keep, strlen(keep)) < 0 || io_write_full(fd, line, strlen(line)) < 0 ||
                 fsync(fd) < 0 || renameat(taskfd, INPUT_FILE ".tmp", taskfd, INPUT_FILE) < 0
             ? err_sys(err, "cannot write down how much input was read")
             : 0;
out:
    free(ids);
    free(text);
    io_close(&fd);
    io_close(&taskfd);
    return rc;
}

int shepherd_step_input(struct shepherd *s, struct err *err)
{
    struct input_work w = {.facts = &s->facts, .bytes = s->relay.input};

    relay_pause(&s->relay);
    if (s->relay.input == s->input_told)
        return 0;
    if (clerk_run(write_input, &w, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return -1;
    s->input_told = s->relay.input;
    return 0;
}

/* The last line whose generation is older. */
static int find_input(void *arg, void *result, struct err *err)
{
    const struct input_work *w = arg;
    int taskfd = gendir_open_task(w->facts, false, err);
    char *text, *save = NULL;
    struct gendir_id wanted;
    uint64_t *bytes = result;

    if (taskfd < 0)
        return -1;
    text = read_input(taskfd);
    io_close(&taskfd);
    errno = EINVAL;
    if (!text || !gendir_parse_name(w->generation, &wanted, NULL)) {
        free(text);
        return err_set(err, "cannot find out how much input was read");
    }
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct gendir_id id = {0, 0};
        unsigned long long v;
        char name[40];

        if (sscanf(line, "%39s %llu", name, &v) == 2 &&
            (strcmp(name, "0") == 0 || gendir_parse_name(name, &id, NULL)) &&
            gendir_compare(id, wanted) < 0)
            *bytes = v;
    }
    free(text);
    return 0;
}

int shepherd_step_skip(struct shepherd *s, const char *generation, struct err *err)
{
    struct input_work w = {.facts = &s->facts};
    uint64_t bytes = 0;

    snprintf(w.generation, sizeof w.generation, "%s", generation);
    if (clerk_run(find_input, &w, &bytes, sizeof bytes, SHEPHERD_FILES_TIMEOUT_MS, err) < 0)
        return -1;
    relay_skip(&s->relay, bytes);
    s->input_told = bytes;
    return 0;
}

/* ---- the end ---- */

struct end_work {
    const struct facts *facts;
    struct steps_exit exit;
};

static int record_end(void *arg, void *result, struct err *err)
{
    const struct end_work *w = arg;
    int taskfd = gendir_open_task(w->facts, false, err);
    struct gendir_id *ids = NULL;
    int n, rc;

    (void)result;
    if (taskfd < 0)
        return -1;
    /* What this copy of the job has come to is not what its successor goes on from. */
    if (gendir_fence_check(taskfd, w->facts->epoch, err) < 0) {
        io_close(&taskfd);
        return -1;
    }
    rc = steps_exit_write(taskfd, &w->exit, err);
    n = rc < 0 ? 0 : gendir_list(taskfd, &ids, NULL);
    /* Its status is all that is ever asked for again. */
    for (int i = 0; i < n; i++)
        (void)gendir_remove(taskfd, ids[i], false, NULL);
    free(ids);
    steps_live_end(taskfd);
    io_close(&taskfd);
    return rc;
}

static int record_stop(void *arg, void *result, struct err *err)
{
    int taskfd = gendir_open_task(arg, false, err);

    (void)result;
    if (taskfd < 0)
        return -1;
    steps_live_end(taskfd);
    io_close(&taskfd);
    return 0;
}

/* By itself, or because the job does?  Only what was told to end, or may have been, is worth asking slurmctld about. */
static bool ended_by_itself(struct shepherd *s)
{
    enum slurmjob_state state;

    if (s->final != FINAL_NONE)
        return false;
    if (WIFEXITED(s->status) && !s->termed && strcmp(s->facts.proctrack, "linuxproc") != 0)
        return true;
    state = shepherd_ask_slurm(s, 10000);
    return state == SLURMJOB_RUNNING;
}

void shepherd_step_end(struct shepherd *s)
{
    struct end_work w = {.facts = &s->facts};
    struct err err = {{0}};
    char how[64];

    if (WIFSIGNALED(s->status))
        snprintf(how, sizeof how, "by signal %d", WTERMSIG(s->status));
    else
        snprintf(how, sizeof how, "with status %d", WEXITSTATUS(s->status));
    if (!ended_by_itself(s)) {
        shepherd_event(s, "ended", "", how, NULL);
        clerk_run(record_stop, &s->facts, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, NULL);
        return;
    }
    /* Without a batch script nobody will ever run this step again. */
    if (!s->script && s->status == 0) {
        if (shepherd_files_remove(s, &err) < 0)
            shepherd_say("checkpoints are left behind: %s", err.text);
        return;
    }
    shepherd_dump_cancel(s);
    shepherd_event(s, "ended", "", how, NULL);
    w.exit = (struct steps_exit){s->facts.epoch, s->status, s->facts.ntasks ? s->facts.ntasks : 1};
    if (clerk_run(record_end, &w, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, &err) < 0)
        shepherd_say("the end of this task cannot be written down: %s", err.text);
}
