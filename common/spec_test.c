/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/spec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

static void malformed_times(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        "-",
        "1:",
        ":1",
        "1-",
        "-1",
        "1::2",
        "1:2:3:4",
        "1-2:3:4:5",
        "1-2-3",
        "1:2-3",
        " 1",
        "1 ",
        "1m",
        "1.5",
        "0x10",
        "+1",
        "1:-2",
        "99999999999999999999",
        "5256001",
        "3651-0",
        "1:2:3600000000",
        "UNLIMITED",
    };
    uint32_t v = 77;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (spec_parse_time(bad[i], &v))
            fail_msg("accepted: '%s'", bad[i]);
        assert_int_equal(v, 77);
    }
}

static void times_as_slurm_takes_them(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {
        {"0", 0},
        {"1", 60},
        {"90", 5400},
        {"0:05", 5},
        {"2:30", 150},
        {"0:90", 90},
        {"1:00:00", 3600},
        {"12:34:56", 45296},
        {"1-0", 86400},
        {"1-2", 93600},
        {"1-2:3", 93780},
        {"1-2:3:4", 93784},
        {"0-0:0:7", 7},
        {"5256000", 315360000},
        {"3650-0", 315360000},
    };
    uint32_t v;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(spec_parse_time(good[i].text, &v));
        assert_int_equal(v, good[i].seconds);
    }
}

static void compress(void **state)
{
    static const char *const bad[] = {"",      "zst",   "zstd:", "zstd:0", "zstd:20", "zstd:1x",
                                      "zstd1", "gzip",  "ZSTD",  "none:1", "zstd:-1", "zstd: 1",
                                      "lz4:1", "lz4hc", "LZ4",   "lz"};
    enum facts_compress c;
    int level;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (spec_parse_compress(bad[i], &c, &level))
            fail_msg("accepted: '%s'", bad[i]);
    assert_true(spec_parse_compress("none", &c, &level));
    assert_int_equal(c, COMPRESS_NONE);
    assert_in_range(level, 1, 19); /* facts want one in range all the same */
    assert_true(spec_parse_compress("zstd", &c, &level));
    assert_int_equal(c, COMPRESS_ZSTD);
    assert_int_equal(level, 1);
    assert_true(spec_parse_compress("lz4", &c, &level));
    assert_int_equal(c, COMPRESS_LZ4);
    assert_int_equal(level, 1);
    assert_true(spec_parse_compress("zstd:19", &c, &level));
    assert_int_equal(level, 19);
}

static void refused_with_the_piece_and_what_is_allowed(void **state)
{
    static const struct {
        const char *text, *piece, *allowed;
    } bad[] = {
        {"abc", "'abc'", "keep=1..100"},
        {"5,abc", "'abc'", "isolation=private|host"},
        {"interval=x", "'interval=x'", "a time"},
        {"keep=0", "'keep=0'", "1..100"},
        {"keep=101", "'keep=101'", "1..100"},
        {"keep=", "'keep='", "1..100"},
        {"keep=2x", "'keep=2x'", "1..100"},
        {"keep=-1", "'keep=-1'", "1..100"},
        {"keep=4294967298", "'keep=4294967298'", "1..100"},
        {"compress=lz4:9", "'compress=lz4:9'", "none, lz4, zstd or zstd:1..19"},
        {"isolation=none", "'isolation=none'", "private or host"},
        {"Keep=2", "'Keep=2'", "keep=1..100"},
        {"kee=2", "'kee=2'", "keep=1..100"},
        {"keep2=2", "'keep2=2'", "keep=1..100"},
        {"=2", "'=2'", "keep=1..100"},
        {",", "''", "keep=1..100"},
        {"5,", "''", "keep=1..100"},
        {"5,,keep=2", "''", "keep=1..100"},
        {"5 ,keep=2", "'5 '", "keep=1..100"},
        {"0", "'0'", "interval=0"},
        {"0:00", "'0:00'", "interval=0"},
        {"5,6", "'6'", "interval is given twice"},
        {"5,interval=6", "'interval=6'", "interval is given twice"},
        {"keep=2,keep=2", "'keep=2'", "keep is given twice"},
        {"\033[2J", "'?[2J'", "keep=1..100"},
        {"files=", "'files='", "without '..'"},
        {"files=a:", "'files=a:'", "without '..'"},
        {"files=../x", "'files=../x'", "without '..'"},
        {"files=/a/../x", "'files=/a/../x'", "without '..'"},
        {"files=/a/..", "'files=/a/..'", "without '..'"},
        {"files=a\nb", "'files=a?b'", "without '..'"},
        {"files=a,b", "'b'", "files=PATH"},
        {"/a", "'/a'", "files=PATH"},
        {"files-limit=1Q", "'files-limit=1Q'", "number of bytes"},
        {"files-small=65M", "'files-small=65M'", "up to 64M"},
        {"files-small=", "'files-small='", "up to 64M"},
        {"files-limit=9223372036854775808", "'files-limit=", "number of bytes"},
        {"files-limit=8388608T", "'files-limit=8388608T'", "number of bytes"},
        {"files-over=no", "'files-over=no'", "refuse or warn"},
        {"inputs=", "'inputs='", "refuse or warn"},
        {"snapshot=", "'snapshot='", "yes, no or require"},
        {"snapshot=maybe", "'snapshot=maybe'", "yes, no or require"},
        {"hook-before=", "'hook-before='", "the absolute path of a program"},
        {"hook-after=hook", "'hook-after=hook'", "the absolute path of a program"},
        {"hook-restored=/", "'hook-restored=/'", "the absolute path of a program"},
        {"hook-before=/a/../b", "'hook-before=/a/../b'", "without '..'"},
        {"hook-before=/a\nb", "'hook-before=/a", "the absolute path"},
        {"hook-before=/a,hook-before=/b", "'hook-before=/b'", "given twice"},
        {"hook-timeout=0", "'hook-timeout=0'", "a time from 0:01"},
        {"hook-timeout=1:00:01", "'hook-timeout=1:00:01'", "a time from 0:01"},
        {"incremental=", "'incremental='", "yes, no or 2..64"},
        {"incremental=1", "'incremental=1'", "yes, no or 2..64"},
        {"incremental=65", "'incremental=65'", "yes, no or 2..64"},
        {"incremental=4294967298", "'incremental=4294967298'", "yes, no or 2..64"},
        {"incremental=08", "'incremental=08'", "yes, no or 2..64"},
        {"incremental=4x", "'incremental=4x'", "yes, no or 2..64"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spec s, before;
        struct err e = {""};

        memset(&s, 0x5a, sizeof s);
        before = s;
        errno = 0;
        if (spec_parse(bad[i].text, &s, &e) != -1)
            fail_msg("accepted: '%s'", bad[i].text);
        assert_int_equal(errno, EINVAL);
        assert_memory_equal(&s, &before, sizeof s);
        if (!strstr(e.text, bad[i].piece) || !strstr(e.text, bad[i].allowed))
            fail_msg("'%s' -> %s", bad[i].text, e.text);
    }
}

static void too_long(void **state)
{
    char big[5000];
    struct spec s;
    struct err e = {""};

    (void)state;
    memset(big, '1', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(spec_parse(big, &s, &e), -1);
    assert_non_null(strstr(e.text, "allowed:"));
    for (size_t i = 0; i + 1 < sizeof big; i++)
        big[i] = ',';
    assert_int_equal(spec_parse(big, &s, &e), -1);
}

static void bare_option(void **state)
{
    static const char *const bare[] = {NULL, "", "(null)"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct spec s;

        memset(&s, 0xff, sizeof s);
        assert_int_equal(spec_parse(bare[i], &s, NULL), 0);
        assert_false(s.has_interval || s.has_keep || s.has_compress || s.has_isolation);
    }
}

static void everything_at_once(void **state)
{
    struct spec s;

    (void)state;
    assert_int_equal(
        spec_parse("5,hook-before=/a/b c,hook-restored=/d,hook-timeout=0:01", &s, NULL), 0);
    assert_string_equal(s.hooks.before, "/a/b c");
    assert_string_equal(s.hooks.after, "");
    assert_string_equal(s.hooks.restored, "/d");
    assert_true(s.has_hook_timeout && s.hook_timeout == 1);
    assert_int_equal(spec_parse("0:05,keep=100,compress=zstd:3,isolation=host", &s, NULL), 0);
    assert_true(s.has_interval && s.has_keep && s.has_compress && s.has_isolation);
    assert_int_equal(s.interval, 5);
    assert_int_equal(s.keep, 100);
    assert_int_equal(s.compress, COMPRESS_ZSTD);
    assert_int_equal(s.compress_level, 3);
    assert_int_equal(s.isolation, ISOLATION_HOST);

    assert_int_equal(spec_parse("isolation=private,30", &s, NULL), 0);
    assert_true(s.has_interval);
    assert_false(s.has_keep);
    assert_int_equal(s.interval, 1800);
    assert_int_equal(s.isolation, ISOLATION_PRIVATE);
}

static void files(void **state)
{
    struct spec s;

    (void)state;
    assert_int_equal(spec_parse("files=a..b:/x,./y,/z=1,keep=2,files=*.db,inputs=warn", &s, NULL),
                     0);
    assert_string_equal(s.files, "a..b:/x:./y:/z=1:*.db");
    assert_int_equal(s.inputs, CHOICE_WARN);
    assert_true(s.has_keep && s.has_files && !s.has_files_limit && !s.has_files_over);
    assert_int_equal(spec_parse("incremental=64", &s, NULL), 0);
    assert_true(s.has_incremental && s.incremental == 64);
    assert_int_equal(spec_parse("incremental=no", &s, NULL), 0);
    assert_true(s.has_incremental && s.incremental == 0);
    assert_int_equal(spec_parse("files-limit=3g,files-over=refuse", &s, NULL), 0);
    assert_false(s.has_incremental);
    assert_true(s.files_limit == UINT64_C(3) << 30);
    assert_int_equal(s.files_over, CHOICE_REFUSE);
    assert_string_equal(s.files, "");
    assert_int_equal(spec_parse("files-limit=0", &s, NULL), 0);
    assert_true(s.has_files_limit && s.files_limit == 0);
    assert_int_equal(spec_parse("files-small=64M", &s, NULL), 0);
    assert_true(s.has_files_small && s.files_small == FACTS_SMALL_MAX);
}

static void another_jobs_checkpoint(void **state)
{
    static const char *const bad[] = {
        "restore=",
        "restore=0",
        "restore=01",
        "restore=-1",
        "restore=+1",
        "restore= 1",
        "restore=x",
        "restore=4294967295",
        "restore=99999999999999999999",
        "restore=1.",
        "restore=1.0",
        "restore=1.0.0",
        "restore=1.0.1.2",
        "restore=1.10000.1",
        "restore=1.0.4294967296",
        "restore=1_",
        "restore=1_x",
        "restore=1_-1",
        "restore=_3",
        "restore=1_2_3",
        "restore=1_4294967295",
        "restore=../1",
        "restore=1/..",
        "restore=1./",
        "restore=1.gen-0000-000001/..",
        "restore=1.gen-0-1",
        "restore=1.gen-0000-000001.partial",
        "restore=1.LAST",
        "restore=1,restore=2",
    };
    struct spec s;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (spec_parse(bad[i], &s, NULL) == 0)
            fail_msg("accepted: '%s'", bad[i]);
    assert_int_equal(spec_parse("restore=12,30", &s, NULL), 0);
    assert_true(s.has_restore && s.has_interval);
    assert_int_equal(s.restore_job, 12);
    assert_int_equal(s.restore_task, 0);
    assert_int_equal(spec_parse("restore=12_3.last", &s, NULL), 0);
    assert_int_equal(s.restore_job, 12);
    assert_int_equal(s.restore_task, 4);
    assert_int_equal(spec_parse("restore=12,30", &s, NULL), 0);
    assert_string_equal(s.restore_generation, "");
    assert_int_equal(spec_parse("restore=4294967294.last", &s, NULL), 0);
    assert_int_equal(s.restore_job, UINT32_MAX - 1);
    assert_string_equal(s.restore_generation, "");
    assert_int_equal(spec_parse("restore=12.1.3", &s, NULL), 0);
    assert_string_equal(s.restore_generation, "gen-0001-000003");
    assert_int_equal(spec_parse("restore=12.gen-0001-1000003", &s, NULL), 0);
    assert_string_equal(s.restore_generation, "gen-0001-1000003");
}

static void zero_must_be_spelt_out(void **state)
{
    struct spec s;

    (void)state;
    assert_int_equal(spec_parse("interval=0", &s, NULL), 0);
    assert_true(s.has_interval);
    assert_int_equal(s.interval, 0);
    assert_int_equal(spec_parse("0:01", &s, NULL), 0);
    assert_int_equal(s.interval, 1);
}

static void auto_alone_is_the_interval(void **state)
{
    struct err e = {""};
    struct spec s;

    (void)state;
    assert_int_equal(spec_parse("auto", &s, NULL), 0);
    assert_true(s.has_interval && s.interval_auto && s.interval == 0);
    assert_int_equal(spec_parse("keep=3,auto", &s, NULL), 0);
    assert_true(s.has_interval && s.interval_auto && s.has_keep);
    assert_int_equal(spec_parse("auto,5", &s, &e), -1);
    assert_non_null(strstr(e.text, "given twice"));
}

static void what_is_allowed_is_told_wholly(void **state)
{
    struct err e = {""};
    char wrong[100];
    struct spec s;

    (void)state;
    memset(wrong, 'x', sizeof wrong - 1);
    wrong[sizeof wrong - 1] = '\0';
    assert_int_equal(spec_parse(wrong, &s, &e), -1);
    assert_non_null(strstr(e.text, spec_help));
    /* What is put before it on the way to the user. */
    err_prefix(&e, "SBATCH_CHECKPOINT");
    assert_non_null(strstr(e.text, spec_help));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_times),
        cmocka_unit_test(times_as_slurm_takes_them),
        cmocka_unit_test(compress),
        cmocka_unit_test(refused_with_the_piece_and_what_is_allowed),
        cmocka_unit_test(too_long),
        cmocka_unit_test(bare_option),
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(files),
        cmocka_unit_test(another_jobs_checkpoint),
        cmocka_unit_test(zero_must_be_spelt_out),
        cmocka_unit_test(auto_alone_is_the_interval),
        cmocka_unit_test(what_is_allowed_is_told_wholly),
    };

    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
