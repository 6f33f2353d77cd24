/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/metrics.h"

#include "common/io.h"
#include "spank/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct task {
    struct tally_name name;
    struct tally t;
};

struct tasks {
    struct task *list;
    size_t n, room;
    bool no_memory;
};

static void keep(const struct tally_name *name, const struct tally *t, void *arg)
{
    struct tasks *all = arg;

    if (all->n == all->room) {
        size_t room = all->room ? 2 * all->room : 16;
        struct task *list = realloc(all->list, room * sizeof *list);

        all->no_memory |= !list;
        if (!list)
            return;
        all->list = list;
        all->room = room;
    }
    all->list[all->n++] = (struct task){*name, *t};
}

static void head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP slurm_checkpoint_%s %s\n# TYPE slurm_checkpoint_%s %s\n", name, help, name,
            type);
}

static void counter(FILE *to, const char *name, const char *node, const char *help, uint64_t value)
{
    head(to, name, "counter", help);
    fprintf(to, "slurm_checkpoint_%s{node=\"%s\"} %" PRIu64 "\n", name, node, value);
}

/* value/scale, exactly; scale is a power of ten with `digits` zeros. */
static void seconds(FILE *to, const char *name, const char *node, const char *help, uint64_t value,
                    uint64_t scale, int digits)
{
    head(to, name, "counter", help);
    fprintf(to, "slurm_checkpoint_%s{node=\"%s\"} %" PRIu64 ".%0*" PRIu64 "\n", name, node,
            value / scale, digits, value % scale);
}

static void labels(FILE *to, const char *name, const struct tally_name *n)
{
    fprintf(to, "slurm_checkpoint_%s{node=\"%s\",job=\"%u\",step=\"", name, n->node, n->job);
    if (n->step == SLURM_BATCH_SCRIPT)
        fputs("batch", to);
    else
        fprintf(to, "%u", n->step);
    fprintf(to, "\",task=\"%u\"} ", n->task);
}

static void per_task(FILE *to, const struct tasks *all)
{
    head(to, "task_begun_timestamp_seconds", "gauge",
         "When a running task that is checkpointed was started.");
    for (size_t i = 0; i < all->n; i++) {
        labels(to, "task_begun_timestamp_seconds", &all->list[i].name);
        fprintf(to, "%" PRId64 "\n", all->list[i].t.began);
    }
    head(to, "newest_timestamp_seconds", "gauge",
         "When the newest checkpoint of a running task was made on this node.");
    for (size_t i = 0; i < all->n; i++) {
        if (all->list[i].t.last_dump <= 0)
            continue;
        labels(to, "newest_timestamp_seconds", &all->list[i].name);
        fprintf(to, "%" PRId64 "\n", all->list[i].t.last_dump);
    }
    head(to, "task_dump_failures", "gauge", "Checkpoints of a running task that failed.");
    for (size_t i = 0; i < all->n; i++) {
        labels(to, "task_dump_failures", &all->list[i].name);
        fprintf(to, "%" PRIu64 "\n", all->list[i].t.dump_failures);
    }
}

static void whole(FILE *to, const char *node, const struct tally *sum, const struct tasks *all)
{
    counter(to, "dumps_total", node, "Checkpoints made on this node.", sum->dumps);
    counter(to, "dump_failures_total", node, "Checkpoints that failed.", sum->dump_failures);
    seconds(to, "pause_seconds_total", node, "How long jobs stood still for checkpoints.",
            sum->pause_us, 1000000, 6);
    seconds(to, "dump_seconds_total", node, "How long checkpoints took to be made.", sum->dump_ms,
            1000, 3);
    counter(to, "stored_bytes_total", node, "Bytes of checkpoints written.", sum->stored_bytes);
    counter(to, "restores_total", node, "Tasks restored on this node.", sum->restores);
    counter(to, "restore_failures_total", node, "Restores that failed.", sum->restore_failures);
    head(to, "tasks", "gauge", "Running tasks that are checkpointed.");
    fprintf(to, "slurm_checkpoint_tasks{node=\"%s\"} %zu\n", node, all->n);
    per_task(to, all);
}

char *metrics_text(const char *state_dir, const char *node, struct err *err)
{
    struct tasks all = {NULL, 0, 0, false};
    struct tally sum;
    char *text = NULL;
    size_t size;
    FILE *to;

    if (tally_read(state_dir, node, &sum, keep, &all, err) < 0) {
        free(all.list);
        return NULL;
    }
    to = all.no_memory ? NULL : open_memstream(&text, &size);
    if (to) {
        whole(to, node, &sum, &all);
        if (fclose(to) == EOF) {
            free(text);
            text = NULL;
        }
    }
    free(all.list);
    if (!text) {
        errno = ENOMEM;
        err_set(err, "metrics: no memory");
    }
    return text;
}

static int store(int dirfd, const char *name, const char *text, struct err *err)
{
    char tmp[128];
    int fd, rc = -1;

    /* The collector reads only what ends in .prom. */
    snprintf(tmp, sizeof tmp, ".%s.%d", name, (int)getpid());
    unlinkat(dirfd, tmp, 0);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || fchmod(fd, 0644) < 0 || io_write_full(fd, text, strlen(text)) < 0 ||
        renameat(dirfd, tmp, dirfd, name) < 0) {
        err_sys(err, "metrics: cannot write %s", name);
        unlinkat(dirfd, tmp, 0);
    } else {
        rc = 0;
    }
    io_close(&fd);
    return rc;
}

int metrics_write(const char *state_dir, const char *node, const char *dir, struct err *err)
{
    char name[96], *text;
    struct stat st;
    int dirfd, rc = -1;

    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return err_sys(err, "metrics: %s", dir);
    errno = EPERM;
    if (fstat(dirfd, &st) < 0 || (st.st_mode & 022)) {
        err_set(err, "metrics: %s may be written by others than its owner: chmod go-w it", dir);
        io_close(&dirfd);
        return -1;
    }
    text = metrics_text(state_dir, node, err);
    if (text) {
        snprintf(name, sizeof name, "slurm_checkpoint_%s.prom", node);
        rc = store(dirfd, name, text, err);
    }
    free(text);
    io_close(&dirfd);
    return rc;
}
