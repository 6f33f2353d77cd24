/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/generation.h"

#include "common/io.h"
#include "common/manifest.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define NONCE "0123456789abcdef"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static char top[PATH_MAX];
static int taskfd = -1, genfd = -1;
static const struct gendir_id id = {2, 7};
static const struct base_job job = {.cluster = "test", .job = 12, .nonce = NONCE};
static struct manifest manifest;

static void put(const char *name, const char *text, size_t len)
{
    int fd = openat(genfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(io_write_full(fd, text, len), 0);
    io_close(&fd);
}

static void put_manifest(void)
{
    struct err err;
    char *text = manifest_encode(&manifest, &err);

    assert_non_null(text);
    put(MANIFEST_FILE, text, strlen(text));
    free(text);
}

static void fill_manifest(void)
{
    static const char *const names[] = {MANIFEST_IMAGES, MANIFEST_PAGES, MANIFEST_INDEX};
    static uint32_t threads[] = {300};
    static struct manifest_process root = {300, 1, 300, 300, 1, threads, "bash"};
    struct manifest *m = &manifest;

    memset(m, 0, sizeof *m);
    snprintf(m->cluster, sizeof m->cluster, "test");
    snprintf(m->task, sizeof m->task, "batch");
    snprintf(m->nonce, sizeof m->nonce, NONCE);
    snprintf(m->reason, sizeof m->reason, "interval");
    snprintf(m->created, sizeof m->created, "2026-01-31T23:59:59Z");
    snprintf(m->node, sizeof m->node, "n1");
    snprintf(m->isolation, sizeof m->isolation, "private");
    snprintf(m->kernel, sizeof m->kernel, "6.1.0");
    snprintf(m->machine, sizeof m->machine, "x86_64");
    snprintf(m->criu, sizeof m->criu, "4.2");
    snprintf(m->compress, sizeof m->compress, "zstd");
    snprintf(m->snapshot, sizeof m->snapshot, "copy-on-write");
    m->job = 12;
    m->uid = 1000;
    m->epoch = id.epoch;
    m->sequence = id.sequence;
    m->pause_us = 45000;
    m->raw_bytes = 1000;
    m->stored_bytes = 15;
    for (size_t i = 0; i < 3; i++) {
        snprintf(m->parts[i].name, sizeof m->parts[i].name, "%s", names[i]);
        snprintf(m->parts[i].sha256, sizeof m->parts[i].sha256, ZEROS);
        m->parts[i].bytes = 5;
        put(names[i], "12345", 5);
    }
    m->nprocesses = 1;
    m->processes = &root;
}

static int set_up(void **state)
{
    char path[PATH_MAX + 64];

    (void)state;
    snprintf(top, sizeof top, "%s/generation-test.XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(top))
        return -1;
    taskfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/" GENDIR_NAME, top, id.epoch, id.sequence);
    if (taskfd < 0 || mkdir(path, 0700) < 0)
        return -1;
    genfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return genfd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    io_close(&genfd);
    if (gendir_remove(taskfd, id, false, &err) < 0)
        return -1;
    io_close(&taskfd);
    return rmdir(top);
}

static void assert_damaged(const char *why)
{
    struct generation g;

    generation_load(taskfd, &job, id, &g);
    assert_true(g.damaged);
    assert_non_null(strstr(g.why, why));
    assert_int_equal(g.stored_bytes, 0);
}

static void a_generation_that_is_not_there(void **state)
{
    struct generation g;

    (void)state;
    generation_load(taskfd, &job, (struct gendir_id){9, 9}, &g);
    assert_true(g.damaged);
    assert_string_equal(g.created, "");
}

static void without_a_manifest(void **state)
{
    (void)state;
    assert_damaged("manifest.json");
}

static void what_is_no_manifest(void **state)
{
    (void)state;
    fill_manifest();
    put(MANIFEST_FILE, "", 0);
    assert_damaged("");
    put(MANIFEST_FILE, "{}", 2);
    assert_damaged("");
    put(MANIFEST_FILE, "\033[2J\0x", 6);
    assert_damaged("");
}

static void a_manifest_of_something_else(void **state)
{
    (void)state;
    fill_manifest();
    manifest.sequence++;
    put_manifest();
    assert_damaged("another generation");
    fill_manifest();
    manifest.job++;
    put_manifest();
    assert_damaged("another generation");
    fill_manifest();
    manifest.nonce[0] = 'f';
    put_manifest();
    assert_damaged("another generation");
}

static void parts_that_are_cut_or_gone(void **state)
{
    struct generation g;

    (void)state;
    fill_manifest();
    put_manifest();
    put(MANIFEST_PAGES, "1234", 4);
    assert_damaged(MANIFEST_PAGES);
    assert_int_equal(unlinkat(genfd, MANIFEST_PAGES, 0), 0);
    assert_damaged(MANIFEST_PAGES);
    put(MANIFEST_PAGES, "12345", 5);
    generation_load(taskfd, &job, id, &g);
    assert_false(g.damaged);
}

static void a_good_one(void **state)
{
    struct generation g;

    (void)state;
    fill_manifest();
    put_manifest();
    generation_load(taskfd, &job, id, &g);
    assert_false(g.damaged);
    assert_string_equal(g.created, "2026-01-31T23:59:59Z");
    assert_string_equal(g.reason, "interval");
    assert_string_equal(g.node, "n1");
    assert_int_equal(g.pause_us, 45000);
    assert_int_equal(g.raw_bytes, 1000);
    assert_int_equal(g.stored_bytes, 15);
    assert_int_equal(g.processes, 1);
}

/* Long manifests are not parsed to their end. */
static void many_processes_are_counted(void **state)
{
    static const size_t counts[] = {20, 40, 700, 4000};
    struct manifest_process *p = calloc(4000, sizeof *p);
    uint32_t *tids = calloc(4000, sizeof *tids);
    struct generation g;

    (void)state;
    assert_true(p && tids);
    for (uint32_t i = 0; i < 4000; i++) {
        tids[i] = 300 + i;
        p[i] = (struct manifest_process){300 + i, 1, 300, 300, 1, &tids[i], "\"pid\":"};
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fill_manifest();
        manifest.processes = p;
        manifest.nprocesses = counts[i];
        put_manifest();
        generation_load(taskfd, &job, id, &g);
        assert_false(g.damaged);
        assert_string_equal(g.node, "n1");
        assert_int_equal(g.more_processes, counts[i] == 4000);
        if (g.more_processes)
            assert_in_range(g.processes, 1000, 3999);
        else
            assert_int_equal(g.processes, counts[i]);
    }
    manifest.sequence++;
    put_manifest();
    assert_damaged("another generation");
    free(p);
    free(tids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generation_that_is_not_there),
        cmocka_unit_test(without_a_manifest),
        cmocka_unit_test(what_is_no_manifest),
        cmocka_unit_test(a_manifest_of_something_else),
        cmocka_unit_test(parts_that_are_cut_or_gone),
        cmocka_unit_test(a_good_one),
        cmocka_unit_test(many_processes_are_counted),
    };

    return cmocka_run_group_tests_name("cmd/generation", tests, set_up, tear_down);
}
