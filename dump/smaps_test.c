/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

#define HEAP "10000000-11000000 rw-p 00000000 00:00 0                          [heap]\n"
#define FILED "20000000-20100000 r--p 00001000 fe:00 1234                       /usr/lib/a b.so\n"
#define STACK "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]\n"
#define SIZES "Size:                 12 kB\nTHPeligible:           0\n"
#define BEFORE                                                                                     \
    HEAP SIZES "VmFlags: rd wr mr mw me ac \n" FILED SIZES "VmFlags: rd mr mw me \n" STACK SIZES   \
               "VmFlags: rd wr mr mw me gd ac \n"
#define STATUS "Name:\tx\nVmLck:\t       0 kB\n"

static void what_is_none(void **state)
{
    (void)state;
    errno = 0;
    assert_null(smaps_read(-1));
    assert_int_equal(errno, EBADF);
    assert_null(smaps_read_of(-1, "smaps"));
    assert_int_equal(errno, ENOENT);
    assert_false(smaps_same_areas("nonsense\n", "nonsense\n", STATUS));
    assert_false(smaps_same_areas(HEAP, HEAP, STATUS)); /* without its flags */
    assert_false(smaps_same_areas(BEFORE "junk", HEAP FILED STACK, STATUS));
    assert_false(smaps_same_flags("nonsense\n", "nonsense\n"));
    assert_false(smaps_same_flags(BEFORE, ""));
    assert_false(smaps_same_flags(BEFORE, HEAP SIZES));
    assert_true(smaps_same_areas("", "", STATUS));
    assert_true(smaps_same_flags("", ""));
}

static void areas(void **state)
{
    (void)state;
    assert_true(smaps_same_areas(BEFORE, HEAP FILED STACK, STATUS));
    assert_false(smaps_same_areas(BEFORE, HEAP FILED, STATUS));
    assert_false(smaps_same_areas(BEFORE, HEAP STACK, STATUS));
    assert_false(smaps_same_areas(BEFORE, HEAP FILED STACK "8000-9000 r--p 0 00:00 0\n", STATUS));
    assert_false(smaps_same_areas(
        BEFORE, "10000000-11001000 rw-p 00000000 00:00 0  [heap]\n" FILED STACK, STATUS));
    assert_false(
        smaps_same_areas(BEFORE, HEAP FILED "7ffc00000000-7ffc00021000 r--p 0 00:00 0\n", STATUS));
    assert_false(smaps_same_areas("", HEAP, STATUS));
}

/* A fork does not tell them. */
static void what_a_fork_leaves_out(void **state)
{
    (void)state;
    assert_false(smaps_same_areas(HEAP SIZES "VmFlags: rd wr dc ac \n", HEAP, STATUS));
    assert_false(smaps_same_areas(HEAP SIZES "VmFlags: rd wr lo ac \n", HEAP, STATUS));
    assert_true(smaps_same_areas(HEAP SIZES "VmFlags: rd wr lo ac \n", HEAP,
                                 "Name:\tx\nVmLck:\t   16384 kB\n"));
    assert_false(smaps_same_areas(HEAP SIZES "VmFlags: rd wr ac \n", HEAP,
                                  "Name:\tx\nVmLck:\t   16384 kB\n"));
}

static void flags(void **state)
{
    (void)state;
    assert_true(smaps_same_flags(BEFORE, BEFORE));
    /* What a fork changes. */
    assert_true(
        smaps_same_flags(HEAP SIZES "VmFlags: rd wr lo lf sd ac \n", HEAP "VmFlags: rd wr ac \n"));
    assert_true(smaps_same_flags(STACK SIZES "VmFlags: rd wr gd \n",
                                 "7ffbffff0000-7ffc00021000 rw-p 0 00:00 0\nVmFlags: rd wr gd \n"));
    /* What only its owner can have changed. */
    assert_false(
        smaps_same_flags(HEAP SIZES "VmFlags: rd wr ac \n", HEAP "VmFlags: rd wr wf ac \n"));
    assert_false(
        smaps_same_flags(HEAP SIZES "VmFlags: rd wr wf ac \n", HEAP "VmFlags: rd wr ac \n"));
    assert_false(
        smaps_same_flags(HEAP SIZES "VmFlags: rd wr ac \n", HEAP "VmFlags: rd wr ac ?? xyz\n"));
    assert_false(smaps_same_flags(HEAP SIZES "VmFlags: rd wr hg \n", HEAP "VmFlags: rd wr nh \n"));
    /* MADV_DONTFORK: it is not there. */
    assert_false(smaps_same_flags(HEAP SIZES "VmFlags: rd wr ac \n" FILED "VmFlags: rd \n",
                                  FILED "VmFlags: rd \n"));
    assert_false(smaps_same_flags(FILED "VmFlags: rd \n",
                                  "20000000-20200000 r--p 0 fe:00 1234 x\nVmFlags: rd \n"));
}

/* The kernel's own: this process, and a fork of it, in which one thing has changed. */
static bool same_after(int (*change)(void *at), void *at)
{
    char *before = smaps_read_of(getpid(), "smaps"), *copy;
    int go[2], status;
    bool same;
    pid_t child;
    char c;

    assert_non_null(before);
    assert_int_equal(change ? change(at) : 0, 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(go[1]);
        _exit(read(go[0], &c, 1) != 0);
    }
    close(go[0]);
    copy = smaps_read_of(child, "smaps");
    assert_non_null(copy);
    close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    same = smaps_same_flags(before, copy);
    free(before);
    free(copy);
    return same;
}
static int wipe(void *at)
{
    return madvise(at, 1 << 20, MADV_WIPEONFORK);
}
static int keep(void *at)
{
    return madvise(at, 1 << 20, MADV_KEEPONFORK);
}
static int dont_fork(void *at)
{
    return madvise(at, 1 << 20, MADV_DONTFORK);
}
static int no_dump(void *at)
{
    return madvise(at, 1 << 20, MADV_DONTDUMP);
}

static void a_fork(void **state)
{
    void *at = mmap(NULL, 3 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *middle = (char *)at + (1 << 20), *before, *maps, *status;

    (void)state;
    assert_true(at != MAP_FAILED);
    /* An area of its own: what is done to it changes no border. */
    assert_int_equal(mprotect(middle, 1 << 20, PROT_READ | PROT_WRITE), 0);
    /* Large enough that no smaps_read makes the heap grow in between. */
    free(malloc(100 << 10));
    (void)same_after(NULL, NULL);
    assert_true(same_after(NULL, NULL));
    assert_false(same_after(wipe, middle));
    assert_true(same_after(NULL, NULL));
    assert_false(same_after(keep, middle));
    assert_false(same_after(no_dump, middle));
    assert_false(same_after(dont_fork, middle));
    before = smaps_read_of(getpid(), "smaps");
    maps = smaps_read_of(getpid(), "maps");
    status = smaps_read_of(getpid(), "status");
    assert_non_null(before);
    assert_non_null(maps);
    assert_non_null(status);
    assert_false(smaps_same_areas(before, maps, status)); /* it has an area that no fork has */
    free(before);
    free(maps);
    free(status);
    munmap(at, 3 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(areas),
        cmocka_unit_test(what_a_fork_leaves_out),
        cmocka_unit_test(flags),
        cmocka_unit_test(a_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
