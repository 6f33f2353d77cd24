/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/look.h"

#include "common/io.h"
#include "common/seal.h"
#include "restore/sample.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants those before it */
#include <cmocka.h>

#define MSG(m) ((const ProtobufCMessage *)&(m).base)
#define RAW (3 * SAMPLE_PAGE)
#define ARGS UINT64_C(0x20000ffa) /* so that they cross a page */

static struct sample s;
static struct checkpoint c;
static struct manifest_process processes[SAMPLE_PROCS] = {
    {.pid = 1000}, {.pid = 1003}, {.pid = 1004}};
static const char args[] = "program\0-x\0\033[2J"; /* and a final zero */

static void add_fd(const char *image, uint32_t fd, uint32_t type, uint32_t id)
{
    FdinfoEntry d = FDINFO_ENTRY__INIT;

    d.fd = fd;
    d.type = type;
    d.id = id;
    sample_add(&s, image, MSG(d));
}

static void add_files(void)
{
    FsEntry fs = FS_ENTRY__INIT;
    uint32_t local = htobe32(0x7f000001), any = 0;
    uint8_t nothing[1] = {0}, packed[256];
    InetSkEntry in = INET_SK_ENTRY__INIT;
    FileEntry e = FILE_ENTRY__INIT;

    fs.cwd_id = fs.root_id = 1;
    sample_add(&s, "fs-1000.img", MSG(fs));
    sample_add(&s, "fs-1003.img", MSG(fs));
    in.family = 2;
    in.type = 1;
    in.state = 10;
    in.src_port = 8080;
    in.src_addr = &local;
    in.dst_addr = &any;
    in.n_src_addr = in.n_dst_addr = 1;
    in.fown.data = in.opts.data = nothing;
    e.type = CRIMG_FD_INETSK;
    e.id = 7;
    e.has_isk = 1;
    e.isk.data = packed;
    e.isk.len = inet_sk_entry__pack(&in, packed);
    assert_true(e.isk.len <= sizeof packed);
    sample_add(&s, "files.img", MSG(e));
    add_fd("fdinfo-2.img", 9, CRIMG_FD_INETSK, 7);
    add_fd("fdinfo-2.img", 3, CRIMG_FD_REG, 1);
    add_fd("fdinfo-2.img", 4, CRIMG_FD_TIMERFD, 99); /* of which nothing is said */
}

/* pages.zst as "none" stores it: two frames, of which each has a digest */
static void add_pages(void)
{
    char raw[2][RAW], text[400], hex[2][65];

    memset(raw, 'x', sizeof raw);
    /* page 1 and 2 of each image are at 0x20000000 */
    memcpy(raw[0] + SAMPLE_PAGE + (ARGS - 0x20000000), args, sizeof args);
    for (int i = 0; i < 2; i++)
        seal_digest(raw[i], RAW, hex[i]);
    snprintf(text, sizeof text, "pages-1.img %u %u %s\npages-2.img %u %u %s\n", RAW, RAW, hex[0],
             RAW, RAW, hex[1]);
    index_free(&s.ix);
    assert_int_equal(index_load(text, strlen(text), 0, &s.ix, NULL), 0);
    c.pages.fd[0] = memfd_create("pages", MFD_CLOEXEC);
    assert_true(c.pages.fd[0] >= 0);
    assert_int_equal(io_write_full(c.pages.fd[0], raw, sizeof raw), 0);
}

static int set_up(void **state)
{
    (void)state;
    sample_init(&s);
    s.reg.flags = 02001; /* O_WRONLY | O_APPEND */
    s.reg.pos = 77;
    s.reg.has_size = 1;
    s.reg.size = 78;
    for (int i = 0; i < SAMPLE_LIVE; i++)
        s.mm[i].exe_file_id = 1;
    s.mm[0].mm_arg_start = ARGS;
    s.mm[0].mm_arg_end = ARGS + sizeof args;
    s.mm[1].mm_arg_start = 0x50000000; /* not saved */
    s.mm[1].mm_arg_end = 0x50000010;
    sample_encode(&s);
    memset(&c, 0, sizeof c);
    snprintf(c.m.compress, sizeof c.m.compress, "none");
    c.m.nprocesses = SAMPLE_PROCS;
    c.m.processes = processes;
    add_files();
    add_pages();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    io_close(&c.pages.fd[0]);
    sample_free(&s);
    return 0;
}

static int load(struct look *look, char text[512])
{
    struct err err = {""};
    int rc;

    c.b = s.b;
    c.ix = s.ix;
    rc = look_load(&c, look, &err);
    snprintf(text, 512, "%s", err.text);
    return rc < 0 ? errno : 0;
}

static void refused(const char *why)
{
    struct look look = {NULL, 12345, {NULL, 0}};
    char text[512];

    assert_int_equal(load(&look, text), EBADMSG);
    assert_non_null(strstr(text, why));
    assert_int_equal(look.n, 12345);
}

static void images_that_lack_something(void **state)
{
    struct look look;
    char text[512];

    (void)state;
    sample_remove(&s, "core-1003.img");
    assert_int_equal(load(&look, text), ENOENT);
    assert_non_null(strstr(text, "core-1003.img"));
}

static void images_with_nonsense(void **state)
{
    (void)state;
    sample_append(&s, "fdinfo-2.img", "\xff\xff\xff\x7f", 4, false);
    refused("fdinfo-2.img");
}

static void fields_that_nobody_knows(void **state)
{
    (void)state;
    sample_append(&s, "fs-1000.img", "\x78\x01", 2, true);
    refused("fs-1000.img");
}

static void pages_beyond_all_numbers(void **state)
{
    PagemapEntry e = PAGEMAP_ENTRY__INIT;

    (void)state;
    e.vaddr = UINT64_MAX - 4095;
    e.has_nr_pages = 1;
    e.nr_pages = UINT64_MAX;
    sample_add(&s, "pagemap-1000.img", MSG(e));
    refused("pagemap-1000.img");
}

/* The text is then not known; the rest is. */
static void memory_that_is_damaged(void **state)
{
    struct look look;
    char text[512];

    (void)state;
    assert_int_equal(pwrite(c.pages.fd[0], "!", 1, 0), 1);
    assert_int_equal(load(&look, text), 0);
    assert_null(look.processes[0].command);
    assert_string_equal(look.processes[0].exe, "/usr/bin/program");
    look_free(&look);
}

static void a_good_one(void **state)
{
    const struct look_process *p;
    struct look look;
    char text[512], flags[64];

    (void)state;
    assert_int_equal(load(&look, text), 0);
    assert_int_equal(look.n, SAMPLE_PROCS);
    p = &look.processes[0];
    assert_string_equal(p->state, "running");
    assert_string_equal(p->exe, "/usr/bin/program");
    assert_string_equal(p->cwd, "/usr/bin/program");
    assert_int_equal(p->memory, RAW);
    assert_int_equal(p->command_len, sizeof args);
    assert_memory_equal(p->command, args, sizeof args);
    assert_int_equal(p->nfiles, 3);
    assert_int_equal(p->files[0].fd, 3);
    assert_string_equal(p->files[0].kind, "file");
    assert_true(p->files[0].regular);
    assert_int_equal(p->files[0].position, 77);
    assert_int_equal(p->files[0].size, 78);
    look_flags(p->files[0].flags, flags);
    assert_string_equal(flags, "write,append");
    assert_string_equal(p->files[1].kind, "timerfd");
    assert_string_equal(p->files[1].text, "-");
    assert_string_equal(p->files[2].kind, "tcp");
    assert_string_equal(p->files[2].text, "127.0.0.1:8080, listening");
    assert_null(look.processes[1].command);
    assert_int_equal(look.processes[1].nfiles, 0);
    assert_string_equal(look.processes[2].state, "zombie");
    look_free(&look);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(images_that_lack_something), TEST(images_with_nonsense),
        TEST(fields_that_nobody_knows),   TEST(pages_beyond_all_numbers),
        TEST(memory_that_is_damaged),     TEST(a_good_one),
    };

    return cmocka_run_group_tests_name("cmd/look", tests, NULL, NULL);
}
