/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/keptlist.h"

#include "common/crimg.h"
#include "common/criu.pb-c.h"
#include "common/scratch.h"
#include "restore/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

struct sample {
    uint8_t data[65536];
    struct image image;
    struct bundle b;
    struct bulk bulks[3];
    struct index ix;
};

static void start(struct sample *s)
{
    memset(s, 0, sizeof *s);
    assert_true(crimg_parse_name(FILELIST_IMAGE, &s->image.parsed));
    memcpy(s->image.name, FILELIST_IMAGE, sizeof FILELIST_IMAGE);
    s->image.data = s->data;
    s->image.len = crimg_head_put(&s->image.parsed, s->data);
    s->b = (struct bundle){&s->image, 1};
    s->ix.images = s->bulks;
}

static void contents(struct sample *s, unsigned n, uint64_t size)
{
    struct bulk *b = &s->bulks[s->ix.nimages++];

    snprintf(b->name, sizeof b->name, FILELIST_CONTENTS, n);
    assert_true(crimg_parse_name(b->name, &b->parsed));
    b->raw = size;
}

static void message(struct sample *s, const CkptFile *m)
{
    size_t n = ckpt_file__pack(m, s->data + s->image.len + 4);

    crimg_put32(s->data + s->image.len, (uint32_t)n);
    s->image.len += 4 + n;
}

static CkptFile file(const char *path, uint32_t role)
{
    CkptFile m = CKPT_FILE__INIT;

    m.path = (char *)(uintptr_t)path;
    m.role = role;
    m.mode = 0644;
    return m;
}

static void refused(struct sample *s, const char *why)
{
    struct filelist l = {NULL, 77};
    struct err e = {""};

    errno = 0;
    if (keptlist_load(&s->b, &s->ix, &l, &e) != -1)
        fail_msg("accepted, should be: %s", why);
    assert_int_equal(errno, EBADMSG);
    if (!strstr(e.text, why))
        fail_msg("'%s' is not in: %s", why, e.text);
    assert_int_equal(l.n, 77);
}

static void hostile_paths(void **state)
{
    static const char *const bad[] = {"",    "x",      "./x", "/",     "//x",     "/x//y",
                                      "/x/", "/x/./y", "/..", "/../x", "/x/../y", "/x/.."};
    static struct sample s;
    char longest[PATH_MAX + 2], name[NAME_MAX + 3];
    CkptFile m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        start(&s);
        m = file(bad[i], FILE_CUT);
        message(&s, &m);
        refused(&s, "not a path");
    }
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 ? 'a' : '/';
    longest[PATH_MAX] = '\0';
    start(&s);
    m = file(longest, FILE_CUT);
    message(&s, &m);
    refused(&s, "not a path");
    memset(name, 'a', sizeof name);
    name[0] = '/';
    name[NAME_MAX + 2] = '\0';
    start(&s);
    m = file(name, FILE_CUT);
    message(&s, &m);
    refused(&s, "not a path");
}

static void hostile_fields(void **state)
{
    static uint8_t bytes[100];
    static struct sample s;
    CkptFile m;

    (void)state;
#define CASE(change, why)                                                                          \
    start(&s);                                                                                     \
    m = file("/a", FILE_COPY);                                                                     \
    change;                                                                                        \
    message(&s, &m);                                                                               \
    refused(&s, why)
    CASE(m.role = 0, "unknown role");
    CASE(m.role = 11, "unknown role");
    CASE(m.role = UINT32_MAX, "unknown role");
    CASE(m.mode = 04755, "mode");
    CASE(m.mode = 01000, "mode");
    CASE(m.mtime_ns = 1000000000, "range");
    CASE(m.size = UINT64_MAX, "range");
    CASE(m.size = 5, "contents are missing");
    CASE(m.has_image = 1, "do not belong");
    CASE((m.role = FILE_CODE, m.has_image = 1, m.size = 5), "do not belong");
    CASE(m.target = (char[]){"/etc"}, "target");
    CASE(m.role = FILE_LINK, "target");
    CASE((m.has_head = 1, m.head = (ProtobufCBinaryData){32, bytes}), "half of its digests");
    CASE((m.has_head = m.has_tail = 1, m.head = m.tail = (ProtobufCBinaryData){31, bytes}),
         "wrong length");
    CASE((m.has_build_id = 1, m.build_id = (ProtobufCBinaryData){65, bytes}), "wrong length");
    CASE((m.has_build_id = 1, m.build_id = (ProtobufCBinaryData){0, bytes}), "wrong length");
#undef CASE
    start(&s);
    s.data[4] ^= 1;
    refused(&s, "magic");
    start(&s);
    memcpy(s.data + s.image.len, "\2\0\0\0\xff\xff", 6);
    s.image.len += 6;
    refused(&s, FILELIST_IMAGE);
}

static void contents_must_fit(void **state)
{
    static struct sample s;
    CkptFile m = file("/a", FILE_COPY);

    (void)state;
    m.has_image = 1;
    m.size = 5;
    start(&s);
    message(&s, &m);
    refused(&s, "contents are missing");
    start(&s);
    contents(&s, 0, 6);
    message(&s, &m);
    refused(&s, "as long");
    start(&s);
    contents(&s, 0, 5);
    contents(&s, 1, 5);
    message(&s, &m);
    refused(&s, "belong to no file");
    start(&s);
    contents(&s, 0, 5);
    message(&s, &m);
    m.path = (char[]){"/b"};
    message(&s, &m);
    refused(&s, "another file's");
    start(&s);
    contents(&s, 0, 5);
    message(&s, &m);
    m.has_image = 0;
    m.size = 0;
    message(&s, &m);
    refused(&s, "there twice");
}

static void a_good_one(void **state)
{
    static struct sample s;
    struct filelist l;
    CkptFile m = file("/b", FILE_COPY);

    (void)state;
    start(&s);
    contents(&s, 0, 5);
    m.has_image = 1;
    m.size = 5;
    message(&s, &m);
    m = file("/a \xff\n", FILE_LINK);
    m.target = (char[]){"../x"};
    message(&s, &m);
    assert_int_equal(keptlist_load(&s.b, &s.ix, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(keptlist_find(&l, "/b")->size, 5);
    assert_string_equal(keptlist_find(&l, "/a \xff\n")->target, "../x");
    assert_null(keptlist_find(&l, "/c"));
    filelist_free(&l);
    /* a generation of before there was such a list */
    s.b.n = 0;
    s.ix.nimages = 0;
    assert_int_equal(keptlist_load(&s.b, &s.ix, &l, NULL), 0);
    assert_int_equal(l.n, 0);
    assert_null(keptlist_find(&l, "/b"));
    assert_string_equal(keptlist_role(FILE_LEFT), "left");
}

static int open_with(char dir[256], const char *text, size_t len)
{
    char path[300];

    snprintf(path, sizeof path, "%s/f", dir);
    unlink(path);
    scratch_write(AT_FDCWD, path, text, len, 0600);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void build_ids(void **state)
{
    static const char *const bad[] = {"", "\177ELF", "#!/bin/sh\n"};
    uint8_t id[FILELIST_BUILD_ID_MAX];
    char dir[256], big[4096];
    int fd;

    (void)state;
    scratch_make(dir);
    for (size_t i = 0; i < 3; i++) {
        fd = open_with(dir, bad[i], 0);
        assert_int_equal(inputs_build_id(fd, id), 0);
        close(fd);
    }
    /* headers that lead out of the file, and ever so many */
    memset(big, 0xff, sizeof big);
    memcpy(big, "\177ELF\2", 5);
    fd = open_with(dir, big, sizeof big);
    assert_int_equal(inputs_build_id(fd, id), 0);
    close(fd);
    scratch_remove(dir);
}

static void sums(void **state)
{
    uint8_t head[32], tail[32], other[32];
    char dir[256];
    int fd;

    (void)state;
    scratch_make(dir);
    fd = open_with(dir, "hello", 5);
    memset(head, 7, sizeof head);
    assert_int_equal(filelist_sums(fd, 6, head, tail, NULL), -1); /* shorter than that */
    assert_int_equal(head[0], 7);
    assert_int_equal(filelist_sums(fd, 5, head, tail, NULL), 0);
    assert_memory_equal(head, tail, 32);
    assert_int_equal(filelist_sums(fd, 4, other, tail, NULL), 0);
    assert_memory_not_equal(head, other, 32);
    assert_int_equal(filelist_sums(fd, 0, head, tail, NULL), 0);
    close(fd);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_paths),     cmocka_unit_test(hostile_fields),
        cmocka_unit_test(contents_must_fit), cmocka_unit_test(a_good_one),
        cmocka_unit_test(build_ids),         cmocka_unit_test(sums),
    };

    return cmocka_run_group_tests_name("keptlist", tests, NULL, NULL);
}
