/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * brim - fills its memory control group, keeps it full, and counts; all its memory is looked at in turn.
 *
 *   brim STOP PERCENT [FILE]
 *
 * PERCENT of the group's limit is anonymous memory.  With FILE a child writes and reads a file of the limit's size over
 * and over, so that page cache fills the rest.  "limit L used U" tells both in MiB.
 */
#include "prog.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define CHUNK (1u << 20)
#define DIRTY 4 /* chunks of a file */

static char group[PATH_MAX + 64];
static int two; /* control groups v2 */

static long long read_number(const char *name, const char *key)
{
    char path[PATH_MAX + 128], line[256];
    long long v = -1;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", group, name);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (!key || strncmp(line, key, strlen(key)) == 0) {
            v = strtoll(line + (key ? strlen(key) : 0), NULL, 10);
            break;
        }
    if (f)
        fclose(f);
    return v;
}

static long long limit(void)
{
    return read_number(two ? "memory.max" : "memory.limit_in_bytes", NULL);
}

static long long anonymous(void)
{
    return read_number("memory.stat", two ? "anon " : "total_rss ");
}

/* The nearest group above ours that has a limit. */
static void find_group(void)
{
    char line[PATH_MAX], *path = NULL;
    FILE *f = fopen("/proc/self/cgroup", "re");

    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        path = strstr(line, ":memory:");
        if (path) {
            snprintf(group, sizeof group, "/sys/fs/cgroup/memory%s", path + 8);
            break;
        }
        if (strncmp(line, "0::", 3) == 0) {
            two = 1;
            snprintf(group, sizeof group, "/sys/fs/cgroup%s", line + 3);
        }
    }
    if (f)
        fclose(f);
    if (path)
        two = 0;
    while (*group && (limit() <= 0 || limit() > (1LL << 50))) {
        char *slash = strrchr(group, '/');

        if (!slash)
            break;
        *slash = '\0';
    }
    if (limit() <= 0)
        prog_broken("no memory limit");
}

static void press(const char *file, long long bytes)
{
    static char buf[CHUNK];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        /* Little of it dirty at a time: under version 1 of control groups nothing holds up who writes faster than the
         * disk, and a group full of what cannot be given up yet is out of memory. */
        for (long long n = 0; fd >= 0 && n < bytes; n += CHUNK)
            if (write(fd, buf, sizeof buf) < 0 ||
                (n / CHUNK % DIRTY == DIRTY - 1 && fdatasync(fd) < 0))
                _exit(7);
        (void)lseek(fd, 0, SEEK_SET);
        while (fd >= 0 && read(fd, buf, sizeof buf) > 0)
            ;
        close(fd);
    }
}

int main(int argc, char **argv)
{
    static uint64_t *chunks[8192];
    long long want, used;
    size_t n = 0;

    prog_need(argc, 2, "brim STOP PERCENT [FILE]");
    find_group();
    want = limit() / 100 * strtol(argv[2], NULL, 10);
    /* Counted by ourselves: what memory.stat tells may be some seconds old on a busy machine. */
    for (used = anonymous(); n < 8192 && used < want; used += CHUNK) {
        chunks[n] = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunks[n] == MAP_FAILED)
            prog_broken("no memory");
        for (size_t i = 0; i < CHUNK / 8; i++)
            chunks[n][i] = (n << 32 | i) * 0x9e3779b97f4a7c15u;
        n++;
    }
    prog_print("limit %lld used %lld\n", limit() >> 20, used >> 20);
    if (argc > 3 && fork() == 0)
        press(argv[3], limit());
    for (unsigned step = 1; !prog_stop(argv[1]); step++) {
        uint64_t *c = chunks[step % n];

        for (size_t i = 0; i < CHUNK / 8; i++)
            if (c[i] != ((uint64_t)(step % n) << 32 | i) * 0x9e3779b97f4a7c15u)
                prog_broken("memory %u of chunk %u", (unsigned)i, (unsigned)(step % n));
        prog_step(step);
        prog_sleep_ms(50);
    }
    prog_print("result ok\n");
    return 0;
}
