/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/conf.h"

#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
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

static char dir[256];
static char path[300];

static int setup(void **state)
{
    (void)state;
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/checkpoint.conf", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static int load(const char *text, struct conf *c, struct err *e)
{
    scratch_write(AT_FDCWD, path, text, 0, 0644);
    return conf_load(path, c, e);
}

static void what_is_no_file(void **state)
{
    struct conf c;
    struct err e = {""};

    (void)state;
    assert_int_equal(conf_load("/nonexistent/x", &c, &e), -1);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
    assert_int_equal(conf_load(dir, &c, &e), -1);
    assert_int_equal(conf_load("/dev/null", &c, &e), -1);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(conf_load(path, &c, &e), -1); /* and does not hang */
}

static void writable_by_others(void **state)
{
    struct conf c;
    struct err e = {""};

    (void)state;
    SCRATCH_NEED_ROOT();
    scratch_write(AT_FDCWD, path, "Keep=1\n", 0, 0644);
    assert_int_equal(conf_load(path, &c, &e), 0);
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(conf_load(path, &c, &e), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(chmod(path, 0646), 0);
    assert_int_equal(conf_load(path, &c, &e), -1);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chown(path, SCRATCH_UID, (gid_t)-1), 0);
    assert_int_equal(conf_load(path, &c, &e), -1);
    assert_int_equal(errno, EPERM);
    assert_non_null(strstr(e.text, "chown"));
}

static void refused_with_file_and_line(void **state)
{
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"Nope=1\n", ":1: unknown key 'Nope'"},
        {"# c\n\nKeep=2\nkeep=3\n", ":4: Keep is given twice"},
        {"Keep\n", ":1: not Key=Value"},
        {"Keep=2\nwhat\nNope=1\n", ":2: not Key=Value"},
        {"[section]\nKeep=2\n", ":2: [section]"},
        {"Keep=\n", ":1: Keep has no value"},
        {"Keep=0\n", ":1: Keep must"},
        {"Keep=x\n", ":1: Keep must"},
        {"Keep=-1\n", ":1: Keep must"},
        {"Keep=2 3\n", ":1: Keep must"},
        {"MaxKeep=101\n", ":1: MaxKeep must"},
        {"FilesLimit=1X\n", ":1: FilesLimit must"},
        {"FilesSmall=65M\n", ":1: FilesSmall must"},
        {"FilesOver=yes\n", ":1: FilesOver must"},
        {"Inputs=maybe\n", ":1: Inputs must"},
        {"Interval=1:2:3:4\n", ":1: Interval must"},
        {"DumpTimeout=0\n", ":1: DumpTimeout must"},
        {"Compress=lzma\n", ":1: Compress must"},
        {"Isolation=none\n", ":1: Isolation must"},
        {"AllowIsolation=private,none\n", ":1: AllowIsolation must"},
        {"AllowIsolation=,\n", ":1: AllowIsolation must"},
        {"MaxSize=1P\n", ":1: MaxSize must"},
        {"MaxSize=1GB\n", ":1: MaxSize must"},
        {"MaxSize=99999999999T\n", ":1: MaxSize must"},
        {"MaxSize=-1\n", ":1: MaxSize must"},
        {"Threads=257\n", ":1: Threads must"},
        {"Criu=criu\n", ":1: Criu must be an absolute path"},
        {"Criu=/usr/../bin/criu\n", ":1: Criu must be an absolute path"},
        {"HelperDir=/\n", ":1: HelperDir must be an absolute path"},
        {"Dir=scratch\n", ":1: Dir: "},
        {"Dir=/a/%j\n", ":1: Dir: "},
        {"Dir=/a/%\n", ":1: Dir: "},
        {"Dir=/a/..\n", ":1: Dir: "},
        {"HostUsers=a, b\n", ":1: HostUsers must"},
        {"Keep=3\nMaxKeep=2\n", "Keep is greater than MaxKeep"},
        {"Isolation=host\nAllowIsolation=private\n", "Isolation is not one of"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct conf c, before;
        struct err e = {""};

        memset(&c, 0x5a, sizeof c);
        before = c;
        errno = 0;
        if (load(bad[i].text, &c, &e) != -1)
            fail_msg("accepted: %s", bad[i].text);
        assert_int_not_equal(errno, 0);
        assert_memory_equal(&c, &before, sizeof c);
        if (!strstr(e.text, bad[i].where) || !strstr(e.text, path))
            fail_msg("%s -> %s", bad[i].text, e.text);
    }
}

static void long_lines_are_not_cut(void **state)
{
    char text[1200];
    struct conf c;
    struct err e = {""};

    (void)state;
    snprintf(text, sizeof text, "Keep=2\nHostUsers=%0*d\n", 1000, 1);
    assert_int_equal(load(text, &c, &e), -1);
    assert_non_null(strstr(e.text, ":2: the line is too long"));
    memset(text, '#', 1000); /* not even a comment, whose tail would be a line of its own */
    snprintf(text + 1000, sizeof text - 1000, "\nKeep=2\n");
    assert_int_equal(load(text, &c, &e), -1);
}

static void zero_byte(void **state)
{
    struct conf c;

    (void)state;
    scratch_write(AT_FDCWD, path, "Keep=2\0\nMaxKeep=3\n", 18, 0644);
    assert_int_equal(conf_load(path, &c, NULL), -1);
}

static void empty_file_gives_the_defaults(void **state)
{
    struct conf c, d;

    (void)state;
    conf_defaults(&d);
    assert_int_equal(load("# nothing\n\n", &c, NULL), 0);
    assert_memory_equal(&c, &d, sizeof c);
    assert_string_equal(c.dir, "");
    assert_string_equal(c.state_dir, "/run/slurm-spank-checkpoint");
    assert_string_equal(c.helper_dir, CKPT_HELPERDIR);
    assert_string_equal(c.criu, "/usr/sbin/criu");
    assert_int_equal(c.isolation, ISOLATION_PRIVATE);
    assert_true(c.allow_host && c.allow_private);
    assert_int_equal(c.interval, 3600);
    assert_int_equal(c.keep, 2);
    assert_int_equal(c.compress, COMPRESS_ZSTD);
    assert_int_equal(c.compress_level, 1);
    assert_int_equal(c.max_dumps, 4);
    assert_int_equal(c.max_restarts, 20);
    assert_int_equal(c.expire_days, 14);
    assert_true(c.max_user_size == 0 && c.max_site_size == 0 && c.min_free == 0);
    assert_true(c.files_limit == UINT64_C(2) << 30 && c.files_small == 1 << 20);
    assert_true(c.files_over == CHOICE_REFUSE && c.inputs == CHOICE_REFUSE);
}

static void every_key(void **state)
{
    struct conf c;
    struct err e = {""};
    int rc = load("Dir=/scratch/%u/ckpt   # where\n"
                  "STATEDIR = /run/x\n"
                  "helperdir=/opt/h\n"
                  "  Criu=/opt/criu\n"
                  "MungeSocket=/run/m.sock\n"
                  "Log=/var/log/ckpt\n"
                  "Isolation=host\n"
                  "AllowIsolation=host,private\n"
                  "HostUsers=alice,bob\n"
                  "Interval=0:30\n"
                  "Keep=3\n"
                  "MaxKeep=5\n"
                  "Compress=zstd:7\n"
                  "DumpTimeout=2\n"
                  "RestoreTimeout=1-0\n"
                  "Threads=2\n"
                  "MaxSize=3g\n"
                  "MaxUserSize=5T\n"
                  "MaxSiteSize=6t\n"
                  "MinFree=7M\n"
                  "ExpireDays=30\n"
                  "FilesLimit=0\n"
                  "FilesSmall=64m\n"
                  "FilesOver=warn\n"
                  "Inputs=warn\n"
                  "MaxDumps=9\n"
                  "HookBefore=/opt/before\nHookRestored=/opt/a b\nHookTimeout=1:00:00\n"
                  "Incremental=2\n"
                  "JobClock=No\n"
                  "MaxRestarts=0", /* and no newline at the end */
                  &c, &e);

    (void)state;
    if (rc < 0)
        fail_msg("%s", e.text);
    assert_string_equal(c.dir, "/scratch/%u/ckpt");
    assert_string_equal(c.state_dir, "/run/x");
    assert_string_equal(c.helper_dir, "/opt/h");
    assert_string_equal(c.criu, "/opt/criu");
    assert_string_equal(c.munge_socket, "/run/m.sock");
    assert_string_equal(c.log_dir, "/var/log/ckpt");
    assert_int_equal(c.isolation, ISOLATION_HOST);
    assert_string_equal(c.host_users, "alice,bob");
    assert_int_equal(c.interval, 30);
    assert_int_equal(c.keep, 3);
    assert_int_equal(c.max_keep, 5);
    assert_int_equal(c.compress_level, 7);
    assert_int_equal(c.dump_timeout, 120);
    assert_int_equal(c.restore_timeout, 86400);
    assert_int_equal(c.threads, 2);
    assert_int_equal(c.max_size, UINT64_C(3) << 30);
    assert_int_equal(c.max_user_size, UINT64_C(5) << 40);
    assert_int_equal(c.max_site_size, UINT64_C(6) << 40);
    assert_int_equal(c.min_free, 7 << 20);
    assert_int_equal(c.expire_days, 30);
    assert_int_equal(c.max_dumps, 9);
    assert_int_equal(c.incremental, 2);
    assert_int_equal(c.max_restarts, 0);
    assert_string_equal(c.hooks.before, "/opt/before");
    assert_string_equal(c.hooks.after, "");
    assert_string_equal(c.hooks.restored, "/opt/a b");
    assert_int_equal(c.hook_timeout, 3600);
    assert_true(c.files_small == FACTS_SMALL_MAX && c.files_limit == 0 &&
                c.files_over == CHOICE_WARN && c.inputs == CHOICE_WARN);
}

static void defaults_give_way(void **state)
{
    struct conf c;

    (void)state;
    assert_int_equal(load("AllowIsolation=host\n", &c, NULL), 0);
    assert_int_equal(c.isolation, ISOLATION_HOST);
    assert_false(c.allow_private);
    assert_int_equal(load("MaxKeep=1\n", &c, NULL), 0);
    assert_int_equal(c.keep, 1);
    assert_int_equal(load("Keep=20\n", &c, NULL), 0);
    assert_int_equal(c.max_keep, 20);
}

static void expansion_refused(void **state)
{
    static const struct {
        const char *template, *user, *home, *cluster;
    } bad[] = {
        {"", "u", "/h", "c"},          {"x", "u", "/h", "c"},       {"/", "u", "/h", "c"},
        {"/%j", "u", "/h", "c"},       {"/a%", "u", "/h", "c"},     {"/%u", "..", "/h", "c"},
        {"/%u", "a/b", "/h", "c"},     {"/%u", "", "/h", "c"},      {"/%u/x", "a\n", "/h", "c"},
        {"/%c", "u", "/h", ".."},      {"%h/x", "u", "rel", "c"},   {"%h/x", "u", "", "c"},
        {"%h/x", "u", "/h/../e", "c"}, {"/a/../b", "u", "/h", "c"}, {"%u", "u", "/h", "c"},
    };
    char out[PATH_MAX] = "untouched";

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {""};

        if (conf_expand_dir(bad[i].template, bad[i].user, 5, bad[i].home, bad[i].cluster, out,
                            &e) != -1)
            fail_msg("accepted: %zu %s", i, bad[i].template);
        assert_true(strlen(e.text) > 0);
        assert_string_equal(out, "untouched");
    }
}

static void expansion(void **state)
{
    char out[PATH_MAX], big[PATH_MAX + 10];

    (void)state;
    assert_int_equal(conf_expand_dir("%h/c", "u", 5, "/home/u", "c", out, NULL), 0);
    assert_string_equal(out, "/home/u/c");
    assert_int_equal(conf_expand_dir("/s/%u.%U/%c/%%x", "al", 1005, "/h", "cl", out, NULL), 0);
    assert_string_equal(out, "/s/al.1005/cl/%x");
    memset(big, 'a', sizeof big - 1);
    big[0] = '/';
    big[sizeof big - 1] = '\0';
    assert_int_equal(conf_expand_dir(big, "u", 5, "/h", "c", out, NULL), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    assert_string_equal(out, "/s/al.1005/cl/%x");
    big[PATH_MAX - 1] = '\0';
    assert_int_equal(conf_expand_dir(big, "u", 5, "/h", "c", out, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(writable_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_with_file_and_line, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(zero_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_file_gives_the_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(every_key, setup, teardown),
        cmocka_unit_test_setup_teardown(defaults_give_way, setup, teardown),
        cmocka_unit_test(expansion_refused),
        cmocka_unit_test(expansion),
    };

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
