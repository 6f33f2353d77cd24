/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The archive of small images; row 20 of the deny matrix (names).
 */
#include "restore/bundle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

/* An archive in the making. */
static uint8_t *tar;
static size_t used;

static uint8_t *extend(size_t n)
{
    tar = realloc(tar, used + n);
    assert_non_null(tar);
    memset(tar + used, 0, n);
    used += n;
    return tar + used - n;
}

static void checksum(uint8_t *h)
{
    unsigned sum = 0;
    char text[8];

    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf(text, sizeof text, "%06o", sum);
    memcpy(h + 148, text, 7);
}

static size_t member(const char *name, const void *data, size_t len)
{
    size_t at = used;
    uint8_t *h = extend(512);
    char size[13];

    snprintf((char *)h, 100, "%s", name);
    memcpy(h + 100, "0000600", 8);
    snprintf(size, sizeof size, "%011zo", len);
    memcpy(h + 124, size, 12);
    h[156] = '0';
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    checksum(h);
    if (len)
        memcpy(extend((len + 511) / 512 * 512), data, len);
    return at;
}

static int setup(void **state)
{
    (void)state;
    used = 0;
    return 0;
}

static int load_stored(const void *stored, size_t n, struct bundle *b, char text[512])
{
    struct err err = {""};
    int rc;

    errno = 0;
    rc = bundle_load(stored, n, b, &err);
    snprintf(text, 512, "%s", err.text);
    return rc < 0 ? errno : 0;
}

static size_t squeeze(uint8_t **out)
{
    size_t room = ZSTD_compressBound(used), n;

    *out = malloc(room);
    assert_non_null(*out);
    n = ZSTD_compress(*out, room, tar, used, 1);
    assert_false(ZSTD_isError(n));
    return n;
}

static int load(struct bundle *b, char text[512])
{
    uint8_t *stored;
    size_t n = squeeze(&stored);
    int rc = load_stored(stored, n, b, text);

    free(stored);
    return rc;
}

static void refused(int error, const char *why)
{
    struct bundle b = {NULL, 7};
    char text[512];
    int got = load(&b, text);

    if (got != error || !strstr(text, why))
        fail_msg("got %d (%s), not %d (%s)", got, text, error, why);
    assert_int_equal(b.n, 7); /* untouched */
    used = 0;
}

static void end(void)
{
    extend(1024);
}

static void test_loads(void **state)
{
    struct bundle b;
    char text[512];
    uint8_t big[1300];

    (void)state;
    memset(big, 'b', sizeof big);
    member("pstree.img", "abc", 3);
    member("core-17.img", big, sizeof big);
    member("mm-17.img", "", 0);
    end();
    assert_int_equal(load(&b, text), 0);
    assert_int_equal(b.n, 3);
    assert_memory_equal(bundle_find(&b, "pstree.img")->data, "abc", 3);
    assert_int_equal(bundle_find_id(&b, "core-", 17)->len, sizeof big);
    assert_memory_equal(bundle_find_id(&b, "core-", 17)->data, big, sizeof big);
    assert_int_equal(bundle_find(&b, "core-17.img")->parsed.id, 17);
    assert_int_equal(bundle_find(&b, "mm-17.img")->len, 0);
    assert_null(bundle_find(&b, "core-18.img"));
    assert_null(bundle_find(&b, ""));
    bundle_free(&b);
    bundle_free(&b);
    /* zero blocks up to a record's size, as tar pads */
    used = 0;
    member("pstree.img", "abc", 3);
    extend(9216);
    assert_int_equal(load(&b, text), 0);
    bundle_free(&b);
}

/* Row 20: what CRIU 4.2 would take, and what looks like an allowed name. */
static void test_names(void **state)
{
    static const char *const bad[] = {
        "creds-17.img",
        "userns-1.img",
        "netns-1.img",
        "netns-ct-1.img",
        "netns-exp-1.img",
        "netdev-1.img",
        "ifaddr-1.img",
        "route-1.img",
        "route6-1.img",
        "rule-1.img",
        "iptables-1.img",
        "ip6tables-1.img",
        "nftables-1.img",
        "utsns-1.img",
        "ipcns-var-1.img",
        "ipcns-shm-1.img",
        "ipcns-msg-1.img",
        "ipcns-sem-1.img",
        "mountpoints-1.img",
        "pidns-1.img",
        "timens-0.img",
        "timens-1.img",
        "cgroup.img",
        "seccomp.img",
        "apparmor.img",
        "bpfmap-file.img",
        "bpfmap-data.img",
        "binfmt-misc.img",
        "binfmt-misc-1.img",
        "autofs-1.img",
        "tmpfs-1.tar.gz.img",
        "tmpfs-dev-1.tar.gz.img",
        "tunfile.img",
        "packetsk.img",
        "netlinksk.img",
        "ns-files.img",
        "ext-files.img",
        "reg-files.img",
        "pipes.img",
        "fifo.img",
        "unixsk.img",
        "inetsk.img",
        "tty.img",
        "eventfd.img",
        "eventpoll.img",
        "eventpoll-tfd.img",
        "signalfd.img",
        "inotify.img",
        "inotify-wd.img",
        "fanotify.img",
        "fanotify-mark.img",
        "timerfd.img",
        "pidfd.img",
        "vmas-17.img",
        "sigacts-17.img",
        "itimers-17.img",
        "posix-timers-17.img",
        "rlimit-17.img",
        "signal-s-17.img",
        "signal-p-17.img",
        "pages-shmem-1.img",
        "tcp-stream-1.img",
        "cpuinfo.img",
        "irmap-cache",
        "stats-dump",
        "stats-restore",
        /* bulk: only from pages.zst */
        "pages-1.img",
        "ghost-file-1.img",
        /* one image, one name */
        "core-017.img",
        "core-+17.img",
        "core- 17.img",
        "core--1.img",
        "core-.img",
        "core-17",
        "core-17.img ",
        "core-17.imgx",
        "Core-17.img",
        "core-4294967296.img",
        "core-18446744073709551616.img",
        "core-0x11.img",
        "pstree.img.img",
        "pstree",
        "pstree-1.img",
        "inventory-1.img",
        "files-1.img",
        "",
        ".",
        "..",
        "/core-17.img",
        "./core-17.img",
        "../core-17.img",
        "a/core-17.img",
        "core-17.img/",
        "core-1\n7.img",
        "core-1\0337.img",
        "core-17.im",
        "pagemap-shmem-.img",
        "fdinfo-a.img",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        member(bad[i], "x", 1);
        end();
        refused(EBADMSG, "not restored");
    }
}

static void test_headers(void **state)
{
    static const char types[] = "1234567xgLKS\0";
    size_t at;

    (void)state;
    for (size_t i = 0; i < sizeof types - 1; i++) {
        at = member("core-17.img", "x", 1);
        tar[at + 156] = (uint8_t)types[i];
        checksum(tar + at);
        end();
        refused(EBADMSG, "not a regular file");
    }
    at = member("core-17.img", "x", 1);
    tar[at + 148] ^= 1; /* checksum */
    end();
    refused(EBADMSG, "ustar");
    at = member("core-17.img", "x", 1);
    memcpy(tar + at + 257, "ustar  ", 8); /* GNU's own */
    checksum(tar + at);
    end();
    refused(EBADMSG, "ustar");
    at = member("core-17.img", "x", 1);
    memcpy(tar + at + 345, "dir", 3); /* a name in two pieces */
    checksum(tar + at);
    end();
    refused(EBADMSG, "too long");
    at = member("core-17.img", "x", 1);
    memset(tar + at, '1', 100);
    checksum(tar + at);
    end();
    refused(EBADMSG, "too long");
    at = member("core-17.img", "x", 1);
    tar[at + 124] = 0x80; /* binary size */
    checksum(tar + at);
    end();
    refused(EBADMSG, "bad size");
    member("core-17.img", "x", 1);
    member("mm-17.img", "x", 1);
    member("core-17.img", "y", 1);
    end();
    refused(EBADMSG, "twice");
}

static void test_ends(void **state)
{
    size_t at;
    uint8_t *stored;
    size_t n;
    struct bundle b;
    char text[512];

    (void)state;
    member("core-17.img", "x", 1);
    refused(EBADMSG, "cut off");
    member("core-17.img", "x", 1);
    extend(512);
    refused(EBADMSG, "cut off");
    member("core-17.img", "x", 1);
    extend(512);
    member("mm-17.img", "x", 1);
    end();
    refused(EBADMSG, "single zero block");
    member("core-17.img", "x", 1);
    end();
    member("mm-17.img", "x", 1);
    refused(EBADMSG, "behind the end");
    at = member("core-17.img", "x", 1);
    memcpy(tar + at + 124, "00000002000", 12);
    checksum(tar + at);
    end();
    refused(EBADMSG, "cut off");
    at = member("core-17.img", "x", 1);
    memcpy(tar + at + 124, "77777777777", 12); /* 8 GiB: refused before memory is asked for */
    checksum(tar + at);
    end();
    refused(EFBIG, "MiB");
    /* a second frame behind the first */
    member("core-17.img", "x", 1);
    end();
    n = squeeze(&stored);
    stored = realloc(stored, 2 * n);
    assert_non_null(stored);
    memcpy(stored + n, stored, n);
    assert_int_equal(load_stored(stored, 2 * n, &b, text), EBADMSG);
    assert_non_null(strstr(text, "behind the compressed archive"));
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(load_stored(stored, cut, &b, text), EBADMSG);
    free(stored);
    assert_int_equal(load_stored("no zstd at all", 14, &b, text), EBADMSG);
}

/* A frame that asks for a window of 128 MiB is refused, whatever is in it. */
static void test_window(void **state)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t len = 20u << 20, room = ZSTD_compressBound(len), n;
    uint8_t *zeros = calloc(1, len), *out = malloc(room);
    struct bundle b;
    char text[512];

    (void)state;
    assert_true(c && zeros && out);
    ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    {
        ZSTD_inBuffer in = {zeros, len, 0};
        ZSTD_outBuffer o = {out, room, 0};

        while ((n = ZSTD_compressStream2(c, &o, &in,
                                         in.pos < len ? ZSTD_e_continue : ZSTD_e_end)) != 0 ||
               in.pos < len)
            assert_false(ZSTD_isError(n));
        n = o.pos;
    }
    assert_int_equal(load_stored(out, n, &b, text), EBADMSG);
    assert_non_null(strstr(text, "zstd"));
    ZSTD_freeCCtx(c);
    free(zeros);
    free(out);
}

static int teardown_all(void **state)
{
    (void)state;
    free(tar);
    tar = NULL;
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_loads), TEST(test_names), TEST(test_headers), TEST(test_ends), TEST(test_window),
    };

    return cmocka_run_group_tests(tests, NULL, teardown_all);
}
