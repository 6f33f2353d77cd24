/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/headroom.h"

#include "common/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants some of those before it */
#include <cmocka.h>

static char top[256];

static int set_up(void **state)
{
    (void)state;
    scratch_make(top);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(top);
    return 0;
}

/* Write text into TOP/path, with the directories above it. */
static void put(const char *path, const char *text)
{
    char whole[PATH_MAX];
    int fd;

    snprintf(whole, sizeof whole, "%s/%s", top, path);
    for (char *p = whole + strlen(top) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *p = '/';
    }
    fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static struct headroom read_room(void)
{
    struct headroom h = {.room = 1, .limit = 1, .all_die = true};

    headroom_read(top, &h);
    return h;
}

static void nothing_there(void **state)
{
    struct headroom h = read_room();

    (void)state;
    assert_true(h.room == UINT64_MAX && h.limit == UINT64_MAX);
    put("proc/self/cgroup", "");
    put("proc/self/mountinfo", "nonsense\n - \n1 2 3 - cgroup2\n");
    put("proc/meminfo", "MemTotal: 7 kB\n");
    h = read_room();
    assert_true(h.room == UINT64_MAX);
    put("proc/self/cgroup", "no colons at all");
    h = read_room();
    assert_true(h.room == UINT64_MAX);
}

static void machine(void **state)
{
    struct headroom h;

    (void)state;
    put("proc/meminfo", "MemTotal:       2000 kB\nMemAvailable:   1000 kB\n");
    h = read_room();
    assert_true(h.room == 1000 * 1024 && h.limit == UINT64_MAX);
}

static void version_two(void **state)
{
    struct headroom h;

    (void)state;
    put("proc/self/cgroup", "0::/slurm/job_1/step_batch\n");
    put("proc/self/mountinfo",
        "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.max", "max\n");
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.current", "1\n");
    h = read_room();
    assert_true(h.room == UINT64_MAX);
    put("sys/fs/cgroup/slurm/job_1/memory.max", "1000\n");
    put("sys/fs/cgroup/slurm/job_1/memory.current", "950\n");
    put("sys/fs/cgroup/slurm/job_1/memory.stat",
        "anon 700\nfile 250\nfile_dirty 20\nfile_writeback 10\ninactive_file 90\nactive_file 60\n");
    h = read_room();
    assert_true(h.limit == 1000);
    assert_true(h.room == 50 + 150 - 30);
    assert_true(h.slow == 30);
    /* a nearer group may leave less */
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.max", "500\n");
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.current", "600\n");
    h = read_room();
    assert_true(h.limit == 500 && h.room == 0);
}

/* Any group above may have it. */
static void whole_group(void **state)
{
    struct headroom h;

    (void)state;
    put("proc/self/cgroup", "0::/slurm/job_1/step_batch\n");
    put("proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.max", "500\n");
    put("sys/fs/cgroup/slurm/job_1/step_batch/memory.oom.group", "0\n");
    h = read_room();
    assert_true(h.limit == 500 && !h.all_die);
    put("sys/fs/cgroup/slurm/job_1/memory.max", "max\n");
    put("sys/fs/cgroup/slurm/job_1/memory.oom.group", "1\n");
    h = read_room();
    assert_true(h.limit == 500 && h.all_die);
}

static void promises(void **state)
{
    (void)state;
    assert_true(headroom_commit(top) == UINT64_MAX);
    put("proc/meminfo", "MemTotal: 9 kB\nCommitLimit:    1000 kB\nCommitted_AS:    900 kB\n");
    put("proc/sys/vm/overcommit_memory", "0\n");
    assert_true(headroom_commit(top) == UINT64_MAX);
    put("proc/sys/vm/overcommit_memory", "2\n");
    assert_true(headroom_commit(top) == 100 * 1024);
    put("proc/meminfo", "CommitLimit:    1000 kB\nCommitted_AS:    1900 kB\n");
    assert_true(headroom_commit(top) == 0);
}

static void version_one(void **state)
{
    struct headroom h;

    (void)state;
    put("proc/self/cgroup", "5:freezer:/f\n4:cpu,memory:/pod/u/job_1\n1:name=systemd:/x\n0::/\n");
    /* of which a container shows only a part */
    put("proc/self/mountinfo",
        "29 20 0:25 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
        "30 20 0:26 /pod /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,cpu,memory\n");
    put("sys/fs/cgroup/memory/u/job_1/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/u/job_1/memory.usage_in_bytes", "4096\n");
    h = read_room();
    assert_true(h.room == UINT64_MAX);
    put("sys/fs/cgroup/memory/u/job_1/memory.limit_in_bytes", "100000\n");
    put("sys/fs/cgroup/memory/u/job_1/memory.stat",
        "inactive_file 1\ntotal_inactive_file 1000\ntotal_active_file 200\ntotal_dirty 100\n");
    h = read_room();
    assert_true(h.limit == 100000 && h.room == 100000 - 4096 + 1100);
    /* cache cannot leave more than the limit */
    put("sys/fs/cgroup/memory/u/job_1/memory.stat", "total_inactive_file 99999999\n");
    h = read_room();
    assert_true(h.room == 100000);
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n");
    h = read_room();
    assert_true(h.limit == 7000);
}

static void need(void **state)
{
    (void)state;
    assert_true(headroom_need(1) > 1 << 20);
    assert_true(headroom_need(100) > headroom_need(1));
}

static void processes(void **state)
{
    struct headroom h = {.room = 1, .limit = 1};

    (void)state;
    headroom_pids(top, &h);
    assert_true(h.room == UINT64_MAX && h.limit == UINT64_MAX);
    put("proc/meminfo", "MemAvailable: 7 kB\n"); /* no matter */
    put("proc/self/cgroup", "9:xpids:/a\n8:cpu,pids:/j/s\n3:memory:/j\n");
    put("proc/self/mountinfo", "1 2 0:3 / /c rw - cgroup cgroup rw,memory\n"
                               "1 2 0:3 / /p rw - cgroup cgroup rw,cpu,pids\n");
    put("p/j/s/pids.max", "max\n");
    put("p/j/s/pids.current", "7\n");
    headroom_pids(top, &h);
    assert_true(h.room == UINT64_MAX);
    put("p/j/pids.max", "10\n");
    put("p/j/pids.current", "7\n");
    headroom_pids(top, &h);
    assert_true(h.room == 3 && h.limit == 10);
    put("p/j/pids.current", "17\n");
    headroom_pids(top, &h);
    assert_true(h.room == 0 && h.limit == 10);
    put("proc/self/cgroup", "0::/u\n");
    put("proc/self/mountinfo", "1 2 0:3 / /two rw - cgroup2 cgroup2 rw\n");
    put("two/u/pids.max", "5\n");
    put("two/u/pids.current", "1\n");
    headroom_pids(top, &h);
    assert_true(h.room == 4 && h.limit == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_two, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(promises, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_one, set_up, tear_down),
        cmocka_unit_test(need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
