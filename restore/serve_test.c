/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server against readers that behave like CRIU's tasks, and some that do not.
 */
#include "common/criu.pb-c.h"
#include "restore/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <openssl/evp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#define FRAME (1u << 20)
#define FRAMES 9
#define IMAGES 3

struct env {
    struct bundle b;
    struct index ix;
    uint8_t *raw[IMAGES]; /* pages-1.. */
    int pages, sock;      /* criu's end */
    struct serve *s;
    struct pages files;
};

static struct image small;
static uint8_t small_data[200000];

static int put_line(char *text, int image, size_t raw, size_t stored, const uint8_t md[32])
{
    int n = snprintf(text, 64, "pages-%d.img %zu %zu ", image, raw, stored);

    for (int i = 0; i < 32; i++)
        n += snprintf(text + n, 3, "%02x", md[i]);
    text[n++] = '\n';
    return n;
}

/* Bytes of the frame at `at`.  Mixed: large ones, which go into the pipe as pages, and small ones, of which more than are
 * kept for that fit a pipe. */
static size_t frame_size(bool mixed, size_t at)
{
    static const size_t sizes[] = {FRAME, 300000, 4096, 700001, 1};
    const size_t left = FRAME * FRAMES - at;
    size_t n = FRAME;

    if (mixed)
        n = at > 3 * FRAME && at < 4 * FRAME ? 8192
                                             : sizes[at / 1000 % (sizeof sizes / sizeof sizes[0])];
    return n < left ? n : left;
}

/* Three images of nine frames each, or as many bytes in mixed ones, turn about, compressed or not. */
static void make_pages(struct env *e, enum facts_compress compress, bool mixed)
{
    const size_t room = ZSTD_compressBound(FRAME) + LZ4F_compressFrameBound(FRAME, NULL);
    uint8_t *out = malloc(room);
    char *text = calloc(1, 1 << 20);
    size_t used = 0, size;

    assert_true(out && text);
    e->pages = memfd_create("pages", MFD_CLOEXEC);
    assert_true(e->pages >= 0);
    for (int i = 0; i < IMAGES; i++) {
        e->raw[i] = malloc(FRAME * FRAMES);
        assert_non_null(e->raw[i]);
        for (size_t j = 0; j < FRAME * FRAMES; j++)
            e->raw[i][j] = (uint8_t)(j / 3 * 7 + (size_t)i + (j >> 13) * 31);
    }
    for (size_t at = 0; at < FRAME * FRAMES; at += size) {
        size = frame_size(mixed, at);
        for (int i = 0; i < IMAGES; i++) {
            const uint8_t *raw = e->raw[i] + at, *stored = raw;
            size_t n = size;
            uint8_t md[32];

            if (compress == COMPRESS_ZSTD)
                n = ZSTD_compress(out, room, raw, size, 1);
            else if (compress == COMPRESS_LZ4)
                n = LZ4F_compressFrame(out, room, raw, size, NULL);
            assert_false(ZSTD_isError(n) || LZ4F_isError(n));
            if (compress != COMPRESS_NONE)
                stored = out;
            assert_int_equal(write(e->pages, stored, n), n);
            assert_int_equal(EVP_Digest(stored, n, md, NULL, EVP_sha256(), NULL), 1);
            used += (size_t)put_line(text + used, i + 1, size, n, md);
            assert_true(used < (1 << 20) - 200);
        }
    }
    assert_int_equal(index_load(text, used, compress != COMPRESS_NONE, &e->ix, NULL), 0);
    free(out);
    free(text);
}

static void open_mixed(struct env *e, enum facts_compress compress, unsigned threads, bool mixed)
{
    struct serve_opts o = {.bundle = &e->b,
                           .index = &e->ix,
                           .pages = &e->files,
                           .compress = compress,
                           .threads = threads};
    int pair[2];

    memset(e, 0, sizeof *e);
    memset(small_data, 's', sizeof small_data);
    snprintf(small.name, sizeof small.name, "pstree.img");
    small.data = small_data;
    small.len = sizeof small_data;
    e->b.images = &small;
    e->b.n = 1;
    make_pages(e, compress, mixed);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    e->sock = pair[1];
    o.sock = pair[0];
    e->files.fd[0] = e->pages;
    e->s = serve_create(&o, NULL);
    assert_non_null(e->s);
}

static void open_env(struct env *e, enum facts_compress compress, unsigned threads)
{
    open_mixed(e, compress, threads, false);
}

static void close_env(struct env *e)
{
    bool ended = serve_destroy(e->s);

    /* It gives its threads a second, which on a busy machine they may not get. */
    for (int i = 0; !ended && i < 60; i++)
        ended = serve_destroy(e->s);
    assert_true(ended);
    index_free(&e->ix);
    for (int i = 0; i < IMAGES; i++)
        free(e->raw[i]);
    close(e->pages);
    if (e->sock >= 0)
        close(e->sock);
}

#define IDLE 200     /* ms in which nothing more comes, probably */
#define SURELY 60000 /* something comes, on the slowest of machines */

/* One step, when there is something to do within so many ms: 1; 0 idle; -1 failed. */
static int step(struct env *e, int ms, struct err *err)
{
    struct pollfd p = {.fd = serve_fd(e->s), .events = POLLIN};

    if (poll(&p, 1, ms) == 0)
        return 0;
    return serve_step(e->s, err) < 0 ? -1 : 1;
}

static void request(struct env *e, const char *name)
{
    ImgStreamerRequestEntry r = IMG_STREAMER_REQUEST_ENTRY__INIT;
    uint8_t buf[256];
    size_t n;

    r.filename = (char *)(uintptr_t)name;
    n = img_streamer_request_entry__pack(&r, buf + 4);
    crimg_put32(buf, (uint32_t)n);
    assert_int_equal(write(e->sock, buf, n + 4), n + 4);
}

static bool reply(struct env *e)
{
    uint8_t buf[64];
    ssize_t n;

    assert_int_equal(step(e, SURELY, NULL), 1);
    n = recv(e->sock, buf, sizeof buf, MSG_DONTWAIT);
    assert_true(n >= 6 && crimg_get32(buf) == (uint32_t)n - 4);
    return buf[5] != 0;
}

static void send_fd(struct env *e, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {(char[]){"*"}, 1};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    struct cmsghdr *c;

    memset(&control, 0, sizeof control);
    c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    assert_int_equal(sendmsg(e->sock, &h, 0), 1);
}

/* Open an image as CRIU does; the read end, not blocking. */
static int open_image(struct env *e, const char *name)
{
    int p[2];

    request(e, name);
    assert_true(reply(e));
    assert_int_equal(pipe(p), 0);
    assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
    send_fd(e, p[1]);
    close(p[1]);
    return p[0];
}

/* Read what there is; true at the end. */
static bool drain(int fd, uint8_t *buf, size_t *used, size_t most)
{
    ssize_t n;

    while ((n = read(fd, buf + *used, most - *used)) > 0)
        *used += (size_t)n;
    return n == 0;
}

static void read_whole(struct env *e, int fd, const uint8_t *want, size_t len)
{
    uint8_t *got = malloc(len + 1);
    size_t used = 0;

    assert_non_null(got);
    while (!drain(fd, got, &used, len + 1))
        assert_int_equal(step(e, SURELY, NULL), 1);
    assert_int_equal(used, len);
    assert_memory_equal(got, want, len);
    free(got);
    close(fd);
}

static void test_small_and_missing(void **state)
{
    struct env e;

    (void)state;
    open_env(&e, COMPRESS_ZSTD, 2);
    request(&e, "seccomp.img");
    assert_false(reply(&e));
    request(&e, "../pstree.img");
    assert_false(reply(&e));
    read_whole(&e, open_image(&e, "pstree.img"), small_data, sizeof small_data);
    read_whole(&e, open_image(&e, "pstree.img"), small_data, sizeof small_data); /* again */
    assert_int_equal(serve_bytes(e.s), 2 * sizeof small_data);
    close_env(&e);
}

/* CRIU still has the end that it has sent when the image is in the pipe already, and the reader leaves first. */
static void test_late_close(void **state)
{
    struct env e;
    int p[2], steps = 0;

    (void)state;
    open_env(&e, COMPRESS_ZSTD, 2);
    request(&e, "pstree.img");
    assert_true(reply(&e));
    assert_int_equal(pipe(p), 0);
    send_fd(&e, p[1]);
    while (serve_bytes(e.s) < sizeof small_data)
        assert_int_equal(step(&e, SURELY, NULL), 1);
    close(p[0]);
    while (step(&e, IDLE, NULL) > 0)
        assert_true(++steps < 100);
    close(p[1]);
    read_whole(&e, open_image(&e, "pages-1.img"), e.raw[0], FRAME * FRAMES);
    close_env(&e);
}

static void test_bulk(void **state)
{
    (void)state;
    for (int how = COMPRESS_NONE; how <= COMPRESS_LZ4; how++) {
        struct env e;

        open_env(&e, (enum facts_compress)how, 3);
        read_whole(&e, open_image(&e, "pages-2.img"), e.raw[1], FRAME * FRAMES);
        close_env(&e);
    }
}

/* Three images at once; the last one opened is read first, the first one last. */
static void test_any_order(void **state)
{
    static const char *const names[] = {"pages-1.img", "pages-2.img", "pages-3.img"};
    struct env e;
    int fd[IMAGES];

    (void)state;
    open_env(&e, COMPRESS_ZSTD, 1);
    for (int i = 0; i < IMAGES; i++)
        fd[i] = open_image(&e, names[i]);
    while (step(&e, IDLE, NULL) > 0)
        ; /* all pipes are full, everything waits */
    for (int i = IMAGES - 1; i >= 0; i--)
        read_whole(&e, fd[i], e.raw[i], FRAME * FRAMES);
    close_env(&e);
}

/* Readers that lag behind a full pipe, more of them than may have pages of ours in their pipes, and of frames of any size:
 * what has been put there stays as it is until it is read. */
static void lag(enum facts_compress compress, bool mixed, size_t streams)
{
    uint8_t *got = malloc(streams * (FRAME * FRAMES + 1));
    size_t used[12] = {0}, open = streams;
    struct env e;
    int fd[12];

    assert_true(got && streams <= 12);
    open_mixed(&e, compress, 3, mixed);
    for (size_t i = 0; i < streams; i++)
        fd[i] = open_image(
            &e, (const char *[]){"pages-1.img", "pages-2.img", "pages-3.img"}[i % IMAGES]);
    while (open > 0) {
        while (step(&e, 2, NULL) > 0)
            ;
        for (size_t i = 0; i < streams; i++) {
            uint8_t *to = got + i * (FRAME * FRAMES + 1) + used[i];
            size_t room = FRAME * FRAMES + 1 - used[i], most = room < 300001 ? 4099 : 300001;
            ssize_t n = fd[i] < 0 ? -1 : read(fd[i], to, room < most ? room : most);

            assert_true(n >= 0 || fd[i] < 0 || errno == EAGAIN);
            if (n > 0)
                used[i] += (size_t)n;
            if (n != 0)
                continue;
            assert_int_equal(used[i], FRAME * FRAMES);
            assert_memory_equal(got + i * (FRAME * FRAMES + 1), e.raw[i % IMAGES], FRAME * FRAMES);
            close(fd[i]);
            fd[i] = -1;
            open--;
        }
    }
    close_env(&e);
    free(got);
}

static void test_lag(void **state)
{
    (void)state;
    lag(COMPRESS_NONE, false, 1);
    lag(COMPRESS_NONE, true, 1);
    lag(COMPRESS_LZ4, true, 3);
    lag(COMPRESS_NONE, false, 12);
    lag(COMPRESS_ZSTD, true, 12);
}

/* A reader that leaves in the middle does not disturb the others. */
static void test_early_close(void **state)
{
    struct env e;
    int one, two;

    (void)state;
    open_env(&e, COMPRESS_ZSTD, 2);
    one = open_image(&e, "pages-1.img");
    two = open_image(&e, "pages-2.img");
    while (step(&e, IDLE, NULL) > 0)
        ;
    close(one);
    read_whole(&e, two, e.raw[1], FRAME * FRAMES);
    one = open_image(&e, "pages-3.img");
    assert_int_equal(step(&e, SURELY, NULL), 1);
    close(one);
    close(e.sock); /* criu leaves: no error of ours */
    e.sock = -1;
    while (step(&e, IDLE, NULL) > 0)
        ;
    close_env(&e);
}

static void test_blanks(void **state)
{
    struct env e;
    struct bulk *im;

    (void)state;
    open_env(&e, COMPRESS_ZSTD, 2);
    im = index_find(&e.ix, "pages-1.img");
    assert_int_equal(index_blank(im, 16, NULL), 0);
    assert_int_equal(index_blank(im, FRAME - 3, NULL), 0); /* across two frames */
    assert_int_equal(index_blank(im, FRAME * FRAMES - 8, NULL), 0);
    memset(e.raw[0] + 16, 0, 8);
    memset(e.raw[0] + FRAME - 3, 0, 8);
    memset(e.raw[0] + FRAME * FRAMES - 8, 0, 8);
    read_whole(&e, open_image(&e, "pages-1.img"), e.raw[0], FRAME * FRAMES);
    close_env(&e);
}

/* Row 31: a frame that was changed or is gone is never served. */
static void damage(off_t at, bool cut, const char *why)
{
    struct env e;
    struct err err = {""};
    uint8_t byte, *got = malloc(FRAME * FRAMES + 1);
    size_t used = 0;
    int fd, rc = 1;

    assert_non_null(got);
    open_env(&e, COMPRESS_ZSTD, 2);
    at += (off_t)e.ix.frames[3].at; /* the second frame of pages-1.img */
    if (cut) {
        assert_int_equal(ftruncate(e.pages, at), 0);
    } else {
        assert_int_equal(pread(e.pages, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(e.pages, &byte, 1, at), 1);
    }
    fd = open_image(&e, "pages-1.img");
    while (rc > 0 && !drain(fd, got, &used, FRAME * FRAMES + 1))
        rc = step(&e, SURELY, &err);
    assert_int_equal(rc, -1);
    if (!strstr(err.text, why))
        fail_msg("%s, not %s", err.text, why);
    assert_true(used <= FRAME);
    assert_memory_equal(got, e.raw[0], used);
    close(fd);
    close_env(&e);
    free(got);
}

static void test_damage(void **state)
{
    (void)state;
    damage(0, false, "digest differs");
    damage(100, false, "digest differs");
    damage(0, true, "unreadable");
    damage(50, true, "unreadable");
}

static void broken(const void *bytes, size_t n, int fd, bool expect_reply)
{
    struct env e;
    struct err err = {""};

    open_env(&e, COMPRESS_ZSTD, 1);
    if (expect_reply) {
        request(&e, "pstree.img");
        assert_true(reply(&e));
    }
    if (n)
        assert_int_equal(write(e.sock, bytes, n), n);
    if (fd >= 0)
        send_fd(&e, fd);
    errno = 0;
    assert_int_equal(step(&e, SURELY, &err), -1);
    assert_true(errno == EPROTO || errno == EBADMSG);
    close_env(&e);
}

static void test_broken_protocol(void **state)
{
    int p[2], null = open("/dev/null", O_WRONLY);

    (void)state;
    assert_int_equal(pipe(p), 0);
    broken("\xff\xff\xff\xff", 4, -1, false);
    broken("\x00\x00\x00\x00", 4, -1, false);
    broken("\x02\x00\x00\x00\x08\x01", 6, -1, false);
    broken("\x08\x00\x00\x00\x0a\x01x\x0a\x01y\x10\x01", 12, -1, false);
    broken("*", 1, -1, true);    /* no descriptor */
    broken(NULL, 0, null, true); /* not a pipe */
    broken(NULL, 0, p[0], true); /* its wrong end */
    close(p[0]);
    close(p[1]);
    close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_and_missing),
        cmocka_unit_test(test_late_close),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_early_close),
        cmocka_unit_test(test_blanks),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_broken_protocol),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
