/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/manifest.h"

#include "common/manifest_sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static int decode_text(const char *text)
{
    struct manifest m;
    int rc = manifest_decode(text, strlen(text), &m, NULL);

    if (rc == 0)
        manifest_free(&m);
    return rc;
}

static void no_json(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "[]",
                                      "null",
                                      "42",
                                      "\"x\"",
                                      "{}",
                                      "{}{}",
                                      "{\"format\":\"slurm-spank-checkpoint\",\"version\":1}",
                                      "{\"a\":1,\"a\":1}",
                                      "{\"a\":\"\\u0000\"}",
                                      "\xff\xfe"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(decode_text(bad[i]), -1);
}

static void bombs(void **state)
{
    static const char quoted[] = "{\"[[[[[[[[[[[[\\\"[[[[[[[[[[[[\":1}";
    static const char start[] = {'{', '"', 'x', '"', ':', '['}, more[] = {'[', ']', ','};
    size_t big = (12u << 20) + 20;
    char *text = malloc(big);
    struct manifest m;
    struct err e = {""};

    (void)state;
    assert_non_null(text);
    /* depth: refused before a parser recurses */
    memset(text, '[', big);
    assert_int_equal(manifest_decode(text, big, &m, &e), -1);
    assert_non_null(strstr(e.text, "deep"));
    /* breadth: 4 million empty arrays in 12 MB */
    memcpy(text, start, sizeof start);
    for (size_t i = 6; i + 3 < big; i += 3)
        memcpy(text + i, more, sizeof more);
    assert_int_equal(manifest_decode(text, big, &m, &e), -1);
    assert_non_null(strstr(e.text, "too many"));
    /* brackets in a string are none */
    assert_int_equal(manifest_decode(quoted, strlen(quoted), &m, &e), -1);
    assert_null(strstr(e.text, "deep"));
    assert_int_equal(manifest_decode(text, MANIFEST_MAX_BYTES + 1ul, &m, &e), -1);
    assert_non_null(strstr(e.text, "too long"));
    free(text);
}

static void inputs_may_be_missing(void **state)
{
    static const char *const bad[] = {"", "hold", "Warn", "warn "};
    struct manifest m = manifest_sample(), g;
    json_t *o;
    char *text;

    (void)state;
    m.inputs_warn = false;
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    assert_null(strstr(text, "\"inputs\""));
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    assert_false(g.inputs_warn);
    manifest_free(&g);
    free(text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o = manifest_sample_json();
        json_object_set_new(o, "inputs", json_string(bad[i]));
        assert_int_equal(manifest_sample_decode(o), -1);
    }
    o = manifest_sample_json();
    json_object_set_new(o, "inputs", json_true());
    assert_int_equal(manifest_sample_decode(o), -1);
    o = manifest_sample_json();
    json_object_set_new(o, "inputs", json_string("warn"));
    assert_int_equal(manifest_sample_decode(o), 0);
}

static void every_field_comes_back(void **state)
{
    struct manifest m = manifest_sample(), g;
    char *text;

    (void)state;
    m.inputs_warn = true;
    text = manifest_encode(&m, NULL);
    assert_non_null(text);
    memset(&g, 0xee, sizeof g);
    assert_int_equal(manifest_decode(text, strlen(text), &g, NULL), 0);
    free(text);
    assert_int_equal(g.nprocesses, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct manifest_process *a = &m.processes[i], *b = &g.processes[i];

        assert_int_equal(a->pid, b->pid);
        assert_int_equal(a->ppid, b->ppid);
        assert_int_equal(a->pgid, b->pgid);
        assert_int_equal(a->sid, b->sid);
        assert_int_equal(a->nthreads, b->nthreads);
        assert_memory_equal(a->threads, b->threads, a->nthreads * sizeof *a->threads);
        assert_string_equal(a->comm, b->comm);
    }
    manifest_free(&g);
    g.processes = m.processes;
    g.nprocesses = m.nprocesses;
    assert_memory_equal(&m, &g, sizeof m);
}

static void each_key_is_needed_and_no_other(void **state)
{
    json_t *all = manifest_sample_json(), *o, *value;
    const char *key;
    size_t n = 0;

    (void)state;
    json_object_foreach(all, key, value)
    {
        o = json_deep_copy(all);
        json_object_del(o, key);
        if (manifest_sample_decode(o) == 0)
            fail_msg("decoded without %s", key);
        /* in place of it another one, so that the count is right */
        o = json_deep_copy(all);
        json_object_del(o, key);
        json_object_set_new(o, "other", json_integer(1));
        assert_int_equal(manifest_sample_decode(o), -1);
        /* each of a wrong type */
        o = json_deep_copy(all);
        json_object_set_new(o, key, json_null());
        assert_int_equal(manifest_sample_decode(o), -1);
        o = json_deep_copy(all);
        json_object_set_new(o, key, json_real(1.0));
        assert_int_equal(manifest_sample_decode(o), -1);
        o = json_deep_copy(all);
        json_object_set_new(o, key, json_string(""));
        assert_int_equal(manifest_sample_decode(o), -1);
        n++;
    }
    assert_int_equal(n, 26);
    o = json_deep_copy(all);
    json_object_set_new(o, "more", json_integer(1));
    assert_int_equal(manifest_sample_decode(o), -1);
    assert_int_equal(manifest_sample_decode(all), 0);
}

static void a_repeated_key(void **state)
{
    json_t *o = manifest_sample_json();
    char *text = json_dumps(o, JSON_COMPACT), *twice = NULL;

    (void)state;
    assert_int_equal(decode_text(text), 0);
    assert_true(asprintf(&twice, "{\"uid\":0,%s", text + 1) > 0);
    assert_int_equal(decode_text(twice), -1);
    free(twice);
    assert_true(asprintf(&twice, "%s ]", text) > 0);
    assert_int_equal(decode_text(twice), -1);
    free(twice);
    free(text);
    json_decref(o);
}

static void texts(void **state)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"format", "other"},
        {"cluster", "a/b"},
        {"cluster", ".."},
        {"cluster", "a b"},
        {"task", "../x"},
        {"task", "a12345678901234567890123456789012345678901234567890123456789012345x"},
        {"nonce", "0123456789ABCDEF"},
        {"nonce", "0"},
        {"reason", "Why"},
        {"reason", "a b"},
        {"reason", "aaaaaaaaaaaaaaaaaaaaaaaa"},
        {"created", "2026-01-31 23:59:59"},
        {"created", "2026-01-31T23:59:59+00:00"},
        {"created", "2026-01-31T23:59:59Zx"},
        {"created", "x026-01-31T23:59:59Z"},
        {"node", "n/1"},
        {"isolation", "none"},
        {"isolation", "Host"},
        {"kernel", "6.1\n"},
        {"kernel", "\033[2J"},
        {"machine", "\303\251"},
        {"criu", "4.2\177"},
        {"compress", "zstd:1"},
        {"compress", "gzip"},
        {"machine", "123456789012345678901234567890123"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *o = manifest_sample_json();

        json_object_set_new(o, bad[i].key, json_string(bad[i].value));
        if (manifest_sample_decode(o) == 0)
            fail_msg("accepted: %s=%s", bad[i].key, bad[i].value);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *key;
        json_int_t value;
        int rc;
    } table[] = {
        {"version", 0, -1},
        {"version", 2, -1},
        {"job", 0, -1},
        {"job", -1, -1},
        {"job", 4294967295, 0},
        {"job", 4294967296, -1},
        {"uid", 0, 0},
        {"uid", 4294967295, -1},
        {"uid", -1, -1},
        {"epoch", 0, 0},
        {"epoch", 9999, 0},
        {"epoch", 10000, -1},
        {"sequence", 0, -1},
        {"sequence", 4294967295, 0},
        {"pause_us", -1, -1},
        {"pause_us", 4294967296, -1},
        {"freeze_us", 4294967296, -1},
        {"total_ms", -5, -1},
        {"raw_bytes", INT64_MAX, 0},
        {"raw_bytes", -1, -1},
        {"stored_bytes", -1, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *o = manifest_sample_json();

        json_object_set_new(o, table[i].key, json_integer(table[i].value));
        if (manifest_sample_decode(o) != table[i].rc)
            fail_msg("%s=%lld", table[i].key, (long long)table[i].value);
    }
    assert_int_equal(decode_text("{\"version\":99999999999999999999}"), -1);
}

static void nothing_is_written_that_would_be_refused(void **state)
{
    struct manifest m = manifest_sample();
    struct err e = {""};

    (void)state;
    m.job = 0;
    assert_null(manifest_encode(&m, &e));
    assert_non_null(strstr(e.text, "job"));
    m = manifest_sample();
    memset(m.kernel, 'k', sizeof m.kernel); /* no end */
    assert_null(manifest_encode(&m, &e));
    m = manifest_sample();
    m.node[0] = '\n';
    assert_null(manifest_encode(&m, &e));
    m = manifest_sample();
    m.raw_bytes = UINT64_MAX;
    assert_null(manifest_encode(&m, &e));
    m = manifest_sample();
    m.parts[1].sha256[0] = '\0';
    assert_null(manifest_encode(&m, &e));
    m = manifest_sample();
    m.parts[1].bytes = UINT64_MAX;
    assert_null(manifest_encode(&m, &e));
    m = manifest_sample();
    m.nprocesses = 0;
    assert_null(manifest_encode(&m, &e));
}

static struct facts good_facts(void)
{
    struct facts f;

    memset(&f, 0, sizeof f);
    snprintf(f.cluster, sizeof f.cluster, "test");
    snprintf(f.task, sizeof f.task, "batch");
    snprintf(f.nonce, sizeof f.nonce, "0123456789abcdef");
    f.job = 42;
    f.uid = 1000;
    f.epoch = 2;
    return f;
}

static void match(void **state)
{
    struct manifest m = manifest_sample();
    struct facts f = good_facts();
    struct err e = {""};

    (void)state;
    snprintf(f.cluster, sizeof f.cluster, "tesT");
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    assert_int_equal(errno, EPERM);
    assert_true(strlen(e.text) > 0);
    f = good_facts();
    f.job = 43;
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    f = good_facts();
    f.nonce[15] = '0';
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    f = good_facts();
    snprintf(f.task, sizeof f.task, "1.0");
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    f = good_facts();
    f.uid = 1001;
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    f = good_facts();
    f.epoch = 1;
    assert_int_equal(manifest_match(&m, &f, &e), -1);
    f.epoch = 2;
    assert_int_equal(manifest_match(&m, &f, &e), 0);
    f.epoch = 3;
    assert_int_equal(manifest_match(&m, &f, &e), 0);
}

static void freeing_nothing(void **state)
{
    struct manifest m;

    (void)state;
    memset(&m, 0, sizeof m);
    errno = ENOSPC;
    manifest_free(&m);
    manifest_free(&m);
    assert_int_equal(errno, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_json),
        cmocka_unit_test(bombs),
        cmocka_unit_test(inputs_may_be_missing),
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(each_key_is_needed_and_no_other),
        cmocka_unit_test(a_repeated_key),
        cmocka_unit_test(texts),
        cmocka_unit_test(numbers),
        cmocka_unit_test(nothing_is_written_that_would_be_refused),
        cmocka_unit_test(match),
        cmocka_unit_test(freeing_nothing),
    };

    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
