/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/images.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/io.h"
#include "common/seal.h"

#include <errno.h>
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

static void put(struct images *im, const char *name, const void *data, size_t len)
{
    struct image *img = images_add(im, name, NULL);

    assert_non_null(img);
    assert_int_equal(images_append(im, img, data, len, NULL), 0);
}

static void bad_names(void **state)
{
    struct images *im = images_create();
    struct err e = {""};
    char longest[CRIMG_NAME_MAX + 2];

    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(images_add(im, longest, &e));
    assert_int_equal(errno, ENAMETOOLONG);
    longest[CRIMG_NAME_MAX] = '\0';
    assert_non_null(images_add(im, longest, NULL));
    assert_null(images_add(im, longest, &e));
    assert_int_equal(errno, EEXIST);
    assert_non_null(strstr(e.text, "twice"));
    images_destroy(im);
    images_destroy(NULL);
}

static void finds_among_many(void **state)
{
    struct images *im = images_create();
    size_t len;

    (void)state;
    assert_null(images_find(im, "core-1.img", &len));
    for (unsigned i = 1; i <= 1000; i++) {
        char name[32];

        snprintf(name, sizeof name, "core-%u.img", i);
        put(im, name, &i, sizeof i);
    }
    for (unsigned i = 1; i <= 1000; i++) {
        char name[32];
        const uint8_t *data;

        snprintf(name, sizeof name, "core-%u.img", i);
        data = images_find(im, name, &len);
        assert_non_null(data);
        assert_int_equal(len, sizeof i);
        assert_memory_equal(data, &i, sizeof i);
    }
    assert_null(images_find(im, "core-1001.img", &len));
    assert_int_equal(images_bytes(im), 4000);
    images_destroy(im);
}

static void too_large(void **state)
{
    struct images *im = images_create();
    struct image *img = images_add(im, "files.img", NULL);
    size_t piece = 32u << 20;
    char *data = calloc(1, piece);
    struct err e = {""};

    (void)state;
    assert_non_null(data);
    for (size_t n = 0; n < CRIMG_TOTAL_MAX; n += piece)
        assert_int_equal(images_append(im, img, data, piece, NULL), 0);
    assert_int_equal(images_append(im, img, data, 1, &e), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(images_bytes(im), CRIMG_TOTAL_MAX);
    free(data);
    images_destroy(im);
}

/* The archive as written, unpacked: malloc'ed. */
static char *unpacked(const struct images *im, size_t *len)
{
    int fd = memfd_create("images-test", MFD_CLOEXEC);
    char hex[65], again[65], *raw, *tar;
    uint64_t bytes;
    size_t raw_len;

    assert_true(fd >= 0);
    assert_int_equal(images_write(im, fd, 1, &bytes, hex, NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), bytes);
    lseek(fd, 0, SEEK_SET);
    raw = io_slurp(fd, 1u << 20, &raw_len, NULL);
    close(fd);
    assert_non_null(raw);
    seal_digest(raw, raw_len, again);
    assert_string_equal(hex, again);
    tar = malloc(1u << 20);
    assert_non_null(tar);
    /* streamed, so the frame does not tell its size; one frame only */
    assert_int_equal(ZSTD_findFrameCompressedSize(raw, raw_len), raw_len);
    *len = ZSTD_decompress(tar, 1u << 20, raw, raw_len);
    assert_false(ZSTD_isError(*len));
    free(raw);
    return tar;
}

static void check_member(const char *h, const char *name, const char *data, size_t len)
{
    unsigned sum = 0;

    assert_string_equal(h, name);
    assert_string_equal(h + 100, "0000600");
    assert_int_equal(strtoul(h + 124, NULL, 8), len);
    assert_int_equal(h[156], '0');
    assert_memory_equal(h + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)h[i];
    assert_int_equal(strtoul(h + 148, NULL, 8), sum);
    assert_memory_equal(h + 512, data, len);
}

static void writes_ustar(void **state)
{
    static const char zeros[1024], block[512] = "exactly one block";
    struct images *im = images_create();
    size_t len;
    char *tar;

    (void)state;
    put(im, "inventory.img", "abc", 3);
    assert_non_null(images_add(im, "files.img", NULL)); /* empty */
    put(im, "pstree.img", block, sizeof block);
    tar = unpacked(im, &len);
    assert_int_equal(len, 512 + 512 + 512 + 512 + 512 + 1024);
    check_member(tar, "inventory.img", "abc", 3);
    check_member(tar + 1024, "files.img", "", 0);
    check_member(tar + 1536, "pstree.img", block, sizeof block);
    assert_memory_equal(tar + 2560, zeros, sizeof zeros);
    free(tar);
    images_destroy(im);
}

static void write_fails(void **state)
{
    struct images *im = images_create();
    struct err e = {""};
    uint64_t bytes = 7;
    char hex[65] = "";

    (void)state;
    put(im, "inventory.img", "abc", 3);
    assert_int_equal(images_write(im, -1, 1, &bytes, hex, &e), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(bytes, 7);
    images_destroy(im);
}

static void put_message(struct images *im, const char *name, const ProtobufCMessage *m)
{
    struct crimg_name parsed;
    uint8_t buf[512], head[8], *packed = buf + 4;
    size_t len = protobuf_c_message_get_packed_size(m), n;
    struct image *img;

    assert_true(len + 4 <= sizeof buf && crimg_parse_name(name, &parsed));
    crimg_put32(buf, (uint32_t)len);
    protobuf_c_message_pack(m, packed);
    if (!images_find(im, name, &n)) {
        img = images_add(im, name, NULL);
        n = crimg_head_put(&parsed, head);
        assert_int_equal(images_append(im, img, head, n, NULL), 0);
        assert_int_equal(images_append(im, img, buf, len + 4, NULL), 0);
    } else {
        fail_msg("%s twice", name);
    }
}

static void put_core(struct images *im, uint32_t pid, const char *comm, uint32_t task_state)
{
    CoreEntry core = CORE_ENTRY__INIT;
    TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
    char name[32], kept[32];

    snprintf(name, sizeof name, "core-%u.img", pid);
    snprintf(kept, sizeof kept, "%s", comm);
    core.mtype = 1;
    core.tc = &tc;
    tc.comm = kept;
    tc.task_state = task_state;
    put_message(im, name, &core.base);
}

static void put_tree(struct images *im, uint32_t thread_of_zombie)
{
    struct crimg_name parsed;
    uint32_t threads[] = {300, 301}, dead[] = {thread_of_zombie};
    PstreeEntry e[2] = {PSTREE_ENTRY__INIT, PSTREE_ENTRY__INIT};
    struct image *img = images_add(im, "pstree.img", NULL);
    uint8_t buf[128];

    assert_true(crimg_parse_name("pstree.img", &parsed));
    assert_int_equal(images_append(im, img, buf, crimg_head_put(&parsed, buf), NULL), 0);
    e[0].pid = e[0].pgid = e[0].sid = 300;
    e[0].n_threads = 2;
    e[0].threads = threads;
    e[1].pid = e[1].pgid = 310;
    e[1].ppid = e[1].sid = 300;
    e[1].n_threads = 1;
    e[1].threads = dead;
    for (int i = 0; i < 2; i++) {
        size_t len = pstree_entry__get_packed_size(&e[i]);

        crimg_put32(buf, (uint32_t)len);
        pstree_entry__pack(&e[i], buf + 4);
        assert_int_equal(images_append(im, img, buf, len + 4, NULL), 0);
    }
}

static void lists_processes(void **state)
{
    struct images *im = images_create();
    struct manifest_process *list;
    uint32_t *states;
    size_t n;

    (void)state;
    put_tree(im, 0xdeadbeef);
    put_core(im, 300, "a-very-long-name-indeed", IMAGES_STOPPED);
    put_core(im, 310, "zombie", IMAGES_DEAD);
    assert_int_equal(images_processes(im, &list, &n, &states, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(list[0].pid, 300);
    assert_int_equal(list[0].ppid, 0);
    assert_int_equal(list[0].nthreads, 2);
    assert_int_equal(list[0].threads[1], 301);
    assert_string_equal(list[0].comm, "a-very-long-nam");
    assert_int_equal(states[0], IMAGES_STOPPED);
    assert_int_equal(list[1].ppid, 300);
    assert_int_equal(list[1].threads[0], 310); /* CRIU wrote garbage */
    assert_int_equal(states[1], IMAGES_DEAD);
    for (size_t i = 0; i < n; i++)
        free(list[i].threads);
    free(list);
    free(states);
    images_destroy(im);
}

static void missing_parts(void **state)
{
    struct images *im = images_create();
    struct manifest_process *list;
    struct err e = {""};
    uint32_t *states;
    size_t n;

    (void)state;
    assert_int_equal(images_processes(im, &list, &n, &states, &e), -1);
    assert_non_null(strstr(e.text, "pstree.img"));
    put_tree(im, 310);
    put_core(im, 300, "root", IMAGES_ALIVE);
    assert_int_equal(images_processes(im, &list, &n, &states, &e), -1);
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(e.text, "core-310.img"));
    images_destroy(im);

    /* a core that is only its head */
    im = images_create();
    put_tree(im, 310);
    put(im, "core-300.img", "\x19\x43\x56\x54\x47\x38\x05\x55", 8);
    assert_int_equal(images_processes(im, &list, &n, &states, &e), -1);
    images_destroy(im);

    /* a length that runs past the end */
    im = images_create();
    put(im, "pstree.img", "\x19\x43\x56\x54\x30\x30\x27\x50\xff\xff\x00\x00", 12);
    assert_int_equal(images_processes(im, &list, &n, &states, &e), -1);
    assert_int_equal(errno, EBADMSG);
    images_destroy(im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_names),     cmocka_unit_test(finds_among_many),
        cmocka_unit_test(too_large),     cmocka_unit_test(writes_ustar),
        cmocka_unit_test(write_fails),   cmocka_unit_test(lists_processes),
        cmocka_unit_test(missing_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
