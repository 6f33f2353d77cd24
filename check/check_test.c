/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check/impl.h"
#include "common/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

/* ---- CPUs ---- */

static void no_cpu(void **state)
{
    static const char *const texts[] = {
        "",           "flags",         "\nflags",      "\nflags\t",
        "\nflags\t:", "\nflags\t: \n", "\nFeatures\n", "\nflags\t: constant_tsc hypervisor nopl\n"};
    char out[CPU_FEATURES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cpu_features(texts[i], out);
        assert_string_equal(out, "");
    }
}

static void cpus(void **state)
{
    char out[CPU_FEATURES_MAX], missing[40], *many = malloc(100000);

    (void)state;
    cpu_features(
        "processor\t: 0\nflags\t\t: fpu sse2 tsc avx2 nopl xsse2\nbugs\t: avx\nflags\t: avx512f\n",
        out);
    assert_string_equal(out, "sse2 avx2");
    cpu_features("processor\t: 0\nFeatures\t: fp asimd sve\x1b x$\n", out);
    assert_string_equal(out, "fp asimd");
    assert_int_equal(cpu_missing("sse2 avx2", "avx2 sse2 avx", missing, sizeof missing), 0);
    assert_string_equal(missing, "");
    assert_int_equal(cpu_missing("sse2 avx2 avx", "avx2", missing, sizeof missing), 2);
    assert_string_equal(missing, "sse2 avx");
    assert_int_equal(cpu_missing("a b c", "", missing, 4), 3); /* cut, but counted */
    assert_string_equal(missing, "a b");
    assert_non_null(many);
    snprintf(many, 100000, "x\nFeatures\t:%090000d", 0);
    for (char *p = many + 12; *p; p += 2)
        *p = ' ';
    cpu_features(many, out);
    assert_true(strlen(out) < sizeof out);
    free(many);
    cpu_features(NULL, out); /* this machine's */
    assert_true(strlen(out) > 0);
    assert_int_equal(cpu_missing(out, out, missing, sizeof missing), 0);
}

/* ---- what RLIMIT_NPROC counts ---- */

static void put(const char *dir, const char *name, const char *text)
{
    char path[300];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* A process of a /proc: its user namespace is `as` that of another, a new one (""), or not to be seen (NULL). */
static void process(const char *proc, const char *pid, const char *as, const char *status)
{
    char path[300], other[300];

    snprintf(path, sizeof path, "%s/%s", proc, pid);
    assert_int_equal(mkdir(path, 0700), 0);
    put(path, "status", status);
    snprintf(path, sizeof path, "%s/%s/ns", proc, pid);
    assert_int_equal(mkdir(path, 0700), 0);
    if (as && !*as)
        put(path, "user", "");
    snprintf(path, sizeof path, "%s/%s/ns/user", proc, pid);
    if (as && *as) {
        snprintf(other, sizeof other, "%s/%s/ns/user", proc, as);
        assert_int_equal(link(other, path), 0);
    }
}

static void remove_tree(const char *dir)
{
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execv("/bin/rm", (char *const *)(uintptr_t)argv);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

static void tasks(void **state)
{
    static const char bomb[] = "\nUid:\t1000\t1000\t1000\t1000\nThreads:\t0\nName:\tUid:\t1000\n";
    char dir[] = "/tmp/ckpt-tasks.XXXXXX";

    (void)state;
    assert_int_equal(preflight_tasks("/nonexistent", 1000), 0);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(preflight_tasks(dir, 1000), 0);
    process(dir, "self", "", "Name:\tx\nUid:\t1000\t1\t1\t1\nThreads:\t9\n"); /* is 100 */
    process(dir, "100", "self", "Name:\ta\nUid:\t1000\t1\t1\t1\nNSpid:\t100\nThreads:\t3\n");
    process(dir, "101", "self", "Name:\tb\nUid:\t10000\t1000\t1000\t1000\nThreads:\t5\n");
    process(dir, "102", "", "Name:\tc\nUid:\t1000\t0\t0\t0\nNSpid:\t102\nThreads:\t7\n");
    process(dir, "103", NULL, "Name:\td\nUid:\t1000\t0\t0\t0\nNSpid:\t103\nThreads:\t20\n");
    process(dir, "104", NULL, "Name:\te\nUid:\t1000\t0\t0\t0\nNSpid:\t104\t2\nThreads:\t50\n");
    process(dir, "105", "self", bomb);
    process(dir, "106", "self", "");
    process(dir, "107", "self", "Name:\tf");
    assert_int_equal(preflight_tasks(dir, 1000), 3 + 20 + 1);
    assert_int_equal(preflight_tasks(dir, 10000), 5);
    assert_int_equal(preflight_tasks(dir, 7), 0);
    assert_true(preflight_tasks("/proc", getuid()) >= 1); /* at least this one */
    remove_tree(dir);
}

/* ---- points ---- */

static void points(void **state)
{
    static struct preflight p;

    (void)state;
    assert_int_equal(preflight_worst(&p), PREFLIGHT_GOOD);
    preflight_add(&p, "cpu", PREFLIGHT_WARN, HERE, "a %s", "line\033[0m\n");
    assert_string_equal(p.points[0].text, "a line?[0m?");
    assert_true(p.points[0].node);
    assert_int_equal(preflight_worst(&p), PREFLIGHT_WARN);
    for (int i = 0; i < 2 * PREFLIGHT_MAX; i++)
        preflight_add(&p, "inputs", PREFLIGHT_GOOD, EVERYWHERE, "%d", i);
    assert_int_equal(p.n, PREFLIGHT_MAX);
    preflight_add(&p, "inputs", PREFLIGHT_FAIL, EVERYWHERE, "one that has no room");
    assert_int_equal(preflight_worst(&p), PREFLIGHT_FAIL);
    assert_string_equal(p.points[PREFLIGHT_MAX - 1].text, "and more");
    assert_string_equal(preflight_word(PREFLIGHT_FAIL), "fail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cpu),
        cmocka_unit_test(cpus),
        cmocka_unit_test(tasks),
        cmocka_unit_test(points),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
