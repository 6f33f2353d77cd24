/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * shared - two processes with all kinds of shared memory, each of which must stay one and the same to both.
 *
 *   shared STOP DIRECTORY
 *
 * Shared anonymous memory of which the parent has only a part from the middle mapped, the child another and more; a
 * semaphore (sem_open, sem_unlink) on which they wait for each other; a deleted file in DIRECTORY that nobody has open;
 * a deleted one and a memfd that are open and mapped: what is written to the descriptor is seen in the mapping.
 */
#include "prog.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { PAGES = 64, WORDS = 4096 / sizeof(uint64_t) };

static void *checked(void *p, const char *what)
{
    if (p == MAP_FAILED)
        prog_broken("%s: %s", what, strerror(errno));
    return p;
}

static uint64_t *map_file(int fd, const char *what)
{
    if (fd < 0 || ftruncate(fd, 4096) < 0)
        prog_broken("%s: %s", what, strerror(errno));
    return checked(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), what);
}

static sem_t *semaphore(const char *which)
{
    char name[64];
    sem_t *s;

    snprintf(name, sizeof name, "/ckpt-%s-%ld-%ld", which, (long)getpid(), prog_ms());
    s = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    if (s == SEM_FAILED || sem_unlink(name) < 0)
        prog_broken("sem_open: %s", strerror(errno));
    return s;
}

static void down(sem_t *s)
{
    if (sem_wait(s) < 0)
        prog_broken("sem_wait: %s", strerror(errno));
}

static void page_is(const uint64_t *pages, unsigned page, uint64_t wanted, const char *who)
{
    if (pages[page * WORDS] != wanted)
        prog_broken("%s: page %u: %llu instead of %llu", who, page,
                    (unsigned long long)pages[page * WORDS], (unsigned long long)wanted);
}

/* Each has 16 pages that the other has not mapped; between them lie 32 that both have, one of which is 0. */
static void child(uint64_t *pages, uint64_t *file, uint64_t *opened, uint64_t *memfd, sem_t *go,
                  sem_t *done)
{
    munmap(pages, 16 * 4096);
    for (uint64_t n = 1;; n++) {
        down(go);
        for (unsigned p = 16; p < 48; p++)
            page_is(pages, p, p == 20 ? 0 : n * 1000 + p, "child");
        for (unsigned p = 48; p < PAGES; p++) {
            page_is(pages, p, n == 1 ? 0 : (n - 1) * 1000 + p, "child");
            pages[p * WORDS] = n * 1000 + p;
        }
        if (file[3] != n || opened[3] != n || memfd[3] != n)
            prog_broken("child: files: %llu %llu %llu instead of %llu", (unsigned long long)file[3],
                        (unsigned long long)opened[3], (unsigned long long)memfd[3],
                        (unsigned long long)n);
        file[4] = opened[4] = memfd[4] = n;
        if (sem_post(done) < 0)
            prog_broken("sem_post: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    uint64_t *pages, *file, *opened, *memfd;
    int fd, openfd, mfd;
    char path[4096];
    sem_t *go, *done;
    pid_t pid;

    prog_need(argc, 2, "shared STOP DIRECTORY");
    prog_print("start pid %d\n", (int)getpid());
    pages =
        checked(mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
                "shared memory");
    snprintf(path, sizeof path, "%s/closed.%d", argv[2], (int)getpid());
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    file = map_file(fd, path);
    close(fd);
    unlink(path);
    snprintf(path, sizeof path, "/dev/shm/ckpt-opened.%d.%ld", (int)getpid(), prog_ms());
    openfd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    opened = map_file(openfd, path);
    unlink(path);
    mfd = memfd_create("shared", MFD_CLOEXEC);
    memfd = map_file(mfd, "memfd");
    go = semaphore("go");
    done = semaphore("done");
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        child(pages, file, opened, memfd, go, done);
    }
    munmap(pages + 48 * WORDS, 16 * 4096);
    for (uint64_t n = 1; !prog_stop(argv[1]); n++) {
        for (unsigned p = 0; p < 48; p++) {
            if (p == 20)
                continue;
            page_is(pages, p, n == 1 ? 0 : (n - 1) * 1000 + p, "parent");
            pages[p * WORDS] = n * 1000 + p;
        }
        file[3] = n;
        if (pwrite(openfd, &n, sizeof n, 3 * sizeof n) != sizeof n ||
            pwrite(mfd, &n, sizeof n, 3 * sizeof n) != sizeof n)
            prog_broken("pwrite: %s", strerror(errno));
        if (sem_post(go) < 0)
            prog_broken("sem_post: %s", strerror(errno));
        down(done);
        if (waitpid(pid, NULL, WNOHANG) != 0)
            prog_broken("the child has ended");
        if (file[4] != n || opened[4] != n || memfd[4] != n)
            prog_broken("parent: the child's words are not there");
        prog_step((unsigned)n);
        prog_sleep_ms(50);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    prog_print("result ok\n");
    return 0;
}
