/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/tally.h"

#include "common/scratch.h"
#include "spank/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[256];

static int setup(void **state)
{
    (void)state;
    scratch_make(dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static struct tally_name name(uint32_t job, uint32_t task)
{
    struct tally_name n = {.job = job, .step = 7, .task = task};

    snprintf(n.node, sizeof n.node, "n1");
    return n;
}

static struct tally *of(uint32_t job, uint32_t task)
{
    struct tally_name n = name(job, task);
    struct err err = {{0}};
    int fd = tally_open(dir, &n, &err);
    struct tally *t;

    assert_true(fd >= 0);
    t = tally_map(fd);
    close(fd);
    assert_non_null(t);
    return t;
}

static void refused(void **state)
{
    struct tally_name n = name(1, 0);
    struct err err = {{0}};
    struct tally sum;
    char file[300];
    int fd;

    (void)state;
    SCRATCH_NEED_ROOT();
    assert_null(tally_map(-1));
    assert_int_equal(tally_open("/nonexistent", &n, &err), -1);
    snprintf(n.node, sizeof n.node, "../n1");
    assert_int_equal(tally_open(dir, &n, &err), -1);
    assert_int_equal(tally_fold(dir, 0, NULL, "n1", &err), -1);
    assert_int_equal(tally_fold(dir, 1, NULL, "a/b", &err), -1);
    assert_int_equal(tally_read(dir, "a b", &sum, NULL, NULL, &err), -1);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(tally_read(dir, "n1", &sum, NULL, NULL, &err), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(chmod(dir, 0700), 0);
    /* Not of the size of ours. */
    snprintf(file, sizeof file, "%s/short", dir);
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_null(tally_map(fd));
    /* Somebody else's. */
    assert_int_equal(ftruncate(fd, sizeof(struct tally)), 0);
    assert_int_equal(fchown(fd, SCRATCH_UID, SCRATCH_UID), 0);
    assert_null(tally_map(fd));
    close(fd);
    tally_count(NULL, &(struct proto_reply){.verb = PROTO_DUMP});
}

static void counted(void **state)
{
    struct proto_reply r = {.verb = PROTO_DUMP, .pause_us = 5, .total_ms = 7, .stored_bytes = 11};
    struct tally *t;

    (void)state;
    SCRATCH_NEED_ROOT();
    t = of(1, 0);
    assert_true(t->began > 0);
    tally_count(t, &r);
    tally_count(t, &r);
    r.error = EIO;
    tally_count(t, &r);
    r.error = ECANCELED;
    tally_count(t, &r);
    r.error = EUSERS;
    tally_count(t, &r);
    r.verb = PROTO_RESTORE;
    r.error = 0;
    tally_count(t, &r);
    r.error = ENOENT;
    tally_count(t, &r);
    r.error = EIO;
    tally_count(t, &r);
    r.verb = PROTO_PING;
    tally_count(t, &r);
    assert_int_equal(t->dumps, 2);
    assert_int_equal(t->dump_failures, 1);
    assert_int_equal(t->restores, 1);
    assert_int_equal(t->restore_failures, 1);
    assert_int_equal(t->pause_us, 10);
    assert_int_equal(t->dump_ms, 14);
    assert_int_equal(t->stored_bytes, 22);
    assert_true(t->last_dump > 0);
    munmap(t, sizeof *t);
}

static void note(const struct tally_name *n, const struct tally *t, void *arg)
{
    (void)t;
    *(uint32_t *)arg += n->job;
}

static void folded(void **state)
{
    const struct proto_reply r = {.verb = PROTO_DUMP, .stored_bytes = 10};
    uint32_t jobs = 0, step;
    struct tally *t[3], sum;

    (void)state;
    SCRATCH_NEED_ROOT();
    assert_int_equal(tally_read("/nonexistent", "n1", &sum, note, &jobs, NULL), 0);
    assert_int_equal(sum.dumps, 0);
    assert_false(tally_any("/nonexistent", "n1"));
    assert_false(tally_any(dir, "a b"));
    assert_int_equal(tally_read(dir, "nope", &sum, NULL, NULL, NULL), 0);
    assert_false(tally_any(dir, "nope")); /* nor because it was asked for */
    t[0] = of(1, 0);
    assert_true(tally_any(dir, "n1")); /* one runs */
    t[1] = of(1, 1);
    t[2] = of(20, 0);
    for (int i = 0; i < 3; i++)
        tally_count(t[i], &r);
    step = 77;
    assert_int_equal(tally_fold(dir, 1, &step, "n1", NULL), 0); /* of another step: none */
    assert_int_equal(tally_read(dir, "n1", &sum, note, &jobs, NULL), 0);
    assert_int_equal(jobs, 22);
    jobs = 0;
    step = 7;
    assert_int_equal(tally_fold(dir, 20, &step, "n2", NULL), 0);
    assert_int_equal(tally_fold(dir, 1, &step, "n1", NULL), 0);
    assert_int_equal(tally_fold(dir, 1, NULL, "n1", NULL), 0);  /* twice is once */
    assert_int_equal(tally_fold(dir, 20, NULL, "n2", NULL), 0); /* another node of this machine */
    assert_int_equal(tally_read(dir, "n1", &sum, note, &jobs, NULL), 0);
    assert_int_equal(sum.dumps, 3);
    assert_int_equal(sum.stored_bytes, 30);
    assert_int_equal(jobs, 20);
    assert_true(tally_any(dir, "n1"));
    assert_false(tally_any(dir, "nope"));
    assert_int_equal(tally_read(dir, "n2", &sum, note, &jobs, NULL), 0);
    assert_int_equal(sum.dumps, 0);
    for (int i = 0; i < 3; i++)
        munmap(t[i], sizeof *t[i]);
}

static void written(void **state)
{
    const struct proto_reply r = {.verb = PROTO_DUMP, .pause_us = 1500000, .stored_bytes = 10};
    char out[300], file[400], text[8192] = "", *same;
    struct tally *t;
    FILE *f;

    (void)state;
    SCRATCH_NEED_ROOT();
    t = of(20, 4);
    tally_count(t, &r);
    t->last_dump = 1234;
    munmap(t, sizeof *t);
    same = metrics_text(dir, "n1", NULL);
    assert_non_null(same);
    assert_non_null(strstr(same, "# TYPE slurm_checkpoint_dumps_total counter\n"
                                 "slurm_checkpoint_dumps_total{node=\"n1\"} 1\n"));
    assert_non_null(strstr(same, "slurm_checkpoint_pause_seconds_total{node=\"n1\"} 1.500000\n"));
    assert_non_null(strstr(same, "slurm_checkpoint_newest_timestamp_seconds{node=\"n1\",job=\"20\","
                                 "step=\"7\",task=\"4\"} 1234\n"));
    snprintf(out, sizeof out, "%s/out", dir);
    assert_int_equal(metrics_write(dir, "n1", out, NULL), -1);
    assert_int_equal(mkdir(out, 0755), 0);
    assert_int_equal(chmod(out, 0777), 0);
    assert_int_equal(metrics_write(dir, "n1", out, NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(chmod(out, 0755), 0);
    /* What lies there in its place is replaced, and not followed. */
    snprintf(file, sizeof file, "%s/slurm_checkpoint_n1.prom", out);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(metrics_write(dir, "n1", out, NULL), 0);
    f = fopen(file, "re");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof text - 1, f), strlen(same));
    assert_string_equal(text, same);
    fclose(f);
    free(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(counted, setup, teardown),
        cmocka_unit_test_setup_teardown(folded, setup, teardown),
        cmocka_unit_test_setup_teardown(written, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
