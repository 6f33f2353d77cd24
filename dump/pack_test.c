/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/pack.h"

#include "common/io.h"
#include "common/manifest.h"
#include "common/seal.h"
#include "dump/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static int64_t soon(void)
{
    return capture_now_ms() + 20000;
}

static int memory(void)
{
    int fd = memfd_create("pack-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Byte i of frame n: something that can be told from any other frame's. */
static uint8_t byte(unsigned n, size_t i)
{
    return (uint8_t)(n * 31 + i / 7);
}

static struct pack_frame *get(struct pack *p)
{
    struct pack_frame *f;
    bool idle;

    while (!(f = pack_get(p, &idle))) {
        struct pollfd e = {.fd = pack_eventfd(p), .events = POLLIN};

        assert_false(idle);
        assert_int_equal(poll(&e, 1, 20000), 1);
        pack_clear_event(p);
    }
    return f;
}

static void feed(struct pack *p, const char *image, unsigned n, size_t len)
{
    struct pack_frame *f = get(p);

    snprintf(f->image, sizeof f->image, "%s", image);
    for (size_t i = 0; i < len; i++)
        f->raw[i] = byte(n, i);
    f->len = len;
    pack_submit(p, f);
}

/* Sizes on both sides of everything: one byte, a frame, a frame but one. */
static size_t frame_len(unsigned n)
{
    return n % 3 == 0 ? 1 : n % 3 == 1 ? MANIFEST_FRAME_MAX : MANIFEST_FRAME_MAX - 1;
}

static void unlz4(const uint8_t *data, size_t stored, uint8_t *out, size_t raw)
{
    LZ4F_dctx *d;
    size_t n = raw, taken = stored;

    assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)));
    assert_int_equal(LZ4F_decompress(d, out, &n, data, &taken, NULL), 0);
    assert_int_equal(n, raw);
    assert_int_equal(taken, stored);
    LZ4F_freeDecompressionContext(d);
}

static void check_frame(int fd, off_t off, unsigned n, size_t raw, size_t stored, const char *hex,
                        enum facts_compress compress)
{
    uint8_t *data = malloc(stored), *out = malloc(raw);
    char got[65];

    assert_non_null(data);
    assert_non_null(out);
    assert_int_equal(io_pread_full(fd, data, stored, off), 0);
    seal_digest(data, stored, got);
    assert_string_equal(got, hex);
    if (compress == COMPRESS_ZSTD) {
        assert_int_equal(ZSTD_decompress(out, raw, data, stored), raw);
    } else if (compress == COMPRESS_LZ4) {
        unlz4(data, stored, out, raw);
    } else {
        assert_int_equal(stored, raw);
        memcpy(out, data, raw);
    }
    for (size_t i = 0; i < raw; i++)
        if (out[i] != byte(n, i))
            fail_msg("frame %u differs at %zu", n, i);
    free(data);
    free(out);
}

static void round_trip(enum facts_compress compress, unsigned threads)
{
    enum { FRAMES = 40 };
    int fd = memory();
    struct pack *p = pack_create(fd, threads, compress, 1, 0, NULL);
    struct pack_sums sums;
    char *text, *save = NULL;
    size_t len;
    off_t off = 0;
    unsigned n = 0;

    assert_non_null(p);
    for (unsigned i = 0; i < FRAMES; i++)
        feed(p, i % 2 ? "pages-1.img" : "pages-2.img", i, frame_len(i));
    assert_int_equal(pack_finish(p, soon(), NULL), 0);
    text = strdup(pack_index(p, &len));
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        char image[64], hex[65];
        size_t raw, stored;

        assert_int_equal(sscanf(line, "%63s %zu %zu %64s", image, &raw, &stored, hex), 4);
        assert_string_equal(image, n % 2 ? "pages-1.img" : "pages-2.img");
        assert_int_equal(raw, frame_len(n));
        check_frame(fd, off, n, raw, stored, hex, compress);
        off += (off_t)stored;
    }
    assert_int_equal(n, FRAMES);
    pack_sums(p, &sums);
    assert_int_equal(sums.frames, FRAMES);
    assert_int_equal(sums.stored_bytes, off);
    assert_int_equal(lseek(fd, 0, SEEK_END), off);
    free(text);
    assert_true(pack_destroy(p));
    close(fd);
}

/* Each frame is where its line says, and the file is no longer than they are together. */
static void incremental(enum facts_compress compress)
{
    enum { FRAMES = 40 };
    int fd = memory();
    struct pack *p = pack_create(fd, 3, compress, 1, 0, NULL);
    uint64_t stored = 0;
    struct frameline l;
    const char *text;
    char hex[65];
    size_t len;

    assert_non_null(p);
    pack_incremental(p, NULL);
    for (unsigned i = 0; i < FRAMES; i++)
        feed(p, "pages-1.img", i, frame_len(i));
    assert_int_equal(pack_finish(p, soon(), NULL), 0);
    text = pack_index(p, &len);
    for (unsigned n = 0; n < FRAMES; n++) {
        assert_true(frameline_parse(&text, compress != COMPRESS_NONE, true, &l));
        assert_int_equal(l.from.sequence, 0);
        assert_int_equal(l.raw, frame_len(n));
        assert_true((l.mark != 0) == (l.raw >= FRAMELINE_MARK_BYTES));
        if (compress == COMPRESS_NONE)
            assert_memory_equal(l.sha256, l.raw_sha256, 32);
        frameline_hex(l.sha256, hex);
        check_frame(fd, (off_t)l.at, n, l.raw, l.stored, hex, compress);
        stored += l.stored;
    }
    assert_int_equal(*text, '\0');
    assert_int_equal(lseek(fd, 0, SEEK_END), stored);
    assert_true(pack_destroy(p));
    close(fd);
}

static void incremental_index(void **state)
{
    (void)state;
    incremental(COMPRESS_NONE);
    incremental(COMPRESS_ZSTD);
    incremental(COMPRESS_LZ4);
}

static void bad_arguments(void **state)
{
    struct err e = {""};

    (void)state;
    assert_null(pack_create(-1, 0, COMPRESS_ZSTD, 1, 0, &e));
    assert_string_not_equal(e.text, "");
    assert_true(pack_destroy(NULL));
}

static void keeps_order_compressed(void **state)
{
    (void)state;
    round_trip(COMPRESS_ZSTD, 4);
    round_trip(COMPRESS_ZSTD, 1);
    round_trip(COMPRESS_LZ4, 4);
    round_trip(COMPRESS_LZ4, 1);
}

static void keeps_order_uncompressed(void **state)
{
    (void)state;
    round_trip(COMPRESS_NONE, 3);
}

static void nothing_at_all(void **state)
{
    int fd = memory();
    struct pack *p = pack_create(fd, 2, COMPRESS_ZSTD, 1, 0, NULL);
    size_t len = 1;

    (void)state;
    assert_non_null(p);
    assert_int_equal(pack_finish(p, soon(), NULL), 0);
    assert_string_equal(pack_index(p, &len), "");
    assert_int_equal(len, 0);
    assert_true(pack_destroy(p));
    close(fd);
}

struct source {
    pthread_mutex_t held;
    _Atomic unsigned reads;
};

static int fill(const void *arg, uint64_t at, uint8_t *raw, size_t len)
{
    struct source *s = (struct source *)(uintptr_t)arg;

    pthread_mutex_lock(&s->held);
    pthread_mutex_unlock(&s->held);
    memset(raw, (int)at, len);
    s->reads++;
    return 0;
}

/* Until the last one has been read from, the source must stay. */
static void tells_when_filled(void **state)
{
    int fd = memory();
    struct pack *p = pack_create(fd, 2, COMPRESS_NONE, 1, 0, NULL);
    struct source s = {.held = PTHREAD_MUTEX_INITIALIZER};

    (void)state;
    assert_non_null(p);
    pthread_mutex_lock(&s.held);
    for (uint64_t i = 1; i <= 3; i++) {
        struct pack_frame *f = get(p);

        snprintf(f->image, sizeof f->image, "pages-1.img");
        f->fill = fill;
        f->arg = &s;
        f->at = i;
        f->len = 4096;
        pack_submit(p, f);
    }
    assert_false(pack_filled(p));
    pthread_mutex_unlock(&s.held);
    while (!pack_filled(p)) {
        struct pollfd e = {.fd = pack_eventfd(p), .events = POLLIN};

        assert_int_equal(poll(&e, 1, 20000), 1);
        pack_clear_event(p);
    }
    assert_int_equal(s.reads, 3);
    assert_int_equal(pack_finish(p, soon(), NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3 * 4096);
    assert_true(pack_destroy(p));
    close(fd);
}

/* All frames handed out and none submitted: waiting would be for ever, and the pack says so. */
static void tells_when_idle(void **state)
{
    int fd = memory();
    struct pack *p = pack_create(fd, 1, COMPRESS_NONE, 1, 0, NULL);
    struct pack_frame *f, *last = NULL;
    bool idle = false;

    (void)state;
    assert_non_null(p);
    while ((f = pack_get(p, &idle)) || !idle) { /* NULL and not idle: its memory is being made */
        assert_false(f && idle);
        last = f ? f : last;
    }
    assert_true(idle);
    assert_non_null(last);
    /* an empty frame is given back at once */
    last->len = 0;
    pack_submit(p, last);
    assert_ptr_equal(pack_get(p, &idle), last);
    assert_true(pack_filled(p)); /* nothing is to be read from anywhere */
    assert_int_equal(pack_finish(p, soon(), NULL), 0);
    assert_true(pack_destroy(p));
    close(fd);
}

static void full_disk(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct pack *p = pack_create(fd, 2, COMPRESS_NONE, 1, 0, NULL);
    struct err e = {""};

    (void)state;
    assert_true(fd >= 0);
    assert_non_null(p);
    /* more than there are frames: after the failure the rest is dropped, not stuck */
    for (unsigned i = 0; i < 20; i++)
        feed(p, "pages-1.img", i, 1000);
    assert_int_equal(pack_finish(p, soon(), &e), -1);
    assert_int_equal(errno, ENOSPC);
    assert_non_null(strstr(e.text, "No space left"));
    assert_int_equal(pack_failed(p, NULL), -1);
    assert_true(pack_destroy(p));
    close(fd);
}

static void limit(void **state)
{
    int fd = memory();
    struct pack *p = pack_create(fd, 2, COMPRESS_NONE, 1, 2500, NULL);
    struct err e = {""};

    (void)state;
    assert_non_null(p);
    feed(p, "pages-1.img", 0, 1000);
    feed(p, "pages-1.img", 1, 1000);
    assert_int_equal(pack_finish(p, soon(), &e), 0);
    feed(p, "pages-1.img", 2, 1000);
    assert_int_equal(pack_finish(p, soon(), &e), -1);
    assert_int_equal(errno, EFBIG);
    assert_non_null(strstr(e.text, "MaxSize"));
    assert_int_equal(lseek(fd, 0, SEEK_END), 2000);
    assert_true(pack_destroy(p));
    close(fd);
}

/* A frame that zstd cannot make smaller. */
static void feed_noise(struct pack *p)
{
    uint32_t v = 1;
    struct pack_frame *f = get(p);

    snprintf(f->image, sizeof f->image, "pages-1.img");
    for (size_t i = 0; i < MANIFEST_FRAME_MAX; i++) {
        v = v * 1664525u + 1013904223u;
        f->raw[i] = (uint8_t)(v >> 24);
    }
    f->len = MANIFEST_FRAME_MAX;
    pack_submit(p, f);
}

/* The reader of a pipe that nobody reads stands for a file server that does not answer. */
static void stuck_writer(void **state)
{
    int pipefd[2];
    struct pack *p;
    struct err e = {""};
    struct pollfd written = {.events = POLLIN};
    int64_t start;
    char buf[65536];

    (void)state;
    assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
    written.fd = pipefd[0];
    p = pack_create(pipefd[1], 1, COMPRESS_ZSTD, 1, 0, NULL);
    assert_non_null(p);
    feed_noise(p);
    assert_int_equal(poll(&written, 1, 60000), 1); /* it writes, and the pipe is soon full */
    start = capture_now_ms();
    assert_int_equal(pack_finish(p, start + 200, &e), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(capture_now_ms() - start < 60000);
    assert_false(pack_destroy(p));
    for (size_t left = MANIFEST_FRAME_MAX; left > 0;) {
        ssize_t n = read(pipefd[0], buf, sizeof buf);

        assert_true(n > 0);
        left -= (size_t)n;
    }
    assert_true(pack_destroy(p));
    close(pipefd[0]);
    close(pipefd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(keeps_order_compressed),
        cmocka_unit_test(keeps_order_uncompressed),
        cmocka_unit_test(incremental_index),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(tells_when_idle),
        cmocka_unit_test(tells_when_filled),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(limit),
        cmocka_unit_test(stuck_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
