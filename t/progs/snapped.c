/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * snapped - memory and processes of every kind under copy-on-write snapshots.
 *
 *   snapped STOP KIND [MIB]
 *
 * MIB (default 16) of ordinary memory are changed and checked all the time, as invariant.c does it; beside it lies what
 * KIND says.  All the while it must have no child that it did not make, no SIGCHLD but its own, the same descriptors.
 */
#include "pages.h"
#include "prog.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#define EXTRA (8u << 20)

static volatile sig_atomic_t children;
static unsigned own_children;

static void count_child(int sig)
{
    (void)sig;
    children++;
}

static void check(const uint64_t *p, uint64_t page, const char *what)
{
    const uint64_t i = wrong_word(p, page);

    if (i)
        prog_broken("%s: page %llu, word %llu", what, (unsigned long long)page,
                    (unsigned long long)i);
}

static int gentle;

static void work(uint64_t *mem, uint64_t pages, const char *what)
{
    for (uint64_t i = 0; i < pages; i++) {
        check(mem + i * WORDS, i, what);
        fill(mem + i * WORDS, i, mem[i * WORDS] + 1);
        if (gentle && i % 256 == 0)
            prog_sleep_ms(2);
    }
}

static uint64_t *make_at(void *at, size_t bytes, int flags, int fd)
{
    uint64_t *mem = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (mem == MAP_FAILED)
        prog_broken("mmap: %s", strerror(errno));
    for (uint64_t i = 0; i < bytes / 4096; i++)
        fill(mem + i * WORDS, i, 0);
    return mem;
}

static uint64_t *make(size_t bytes, int flags, int fd)
{
    return make_at(NULL, bytes, flags, fd);
}

static int scratch_file(int in_memory)
{
    char name[] = "/tmp/snapped.XXXXXX";
    int fd = in_memory ? memfd_create("snapped", 0) : mkstemp(name);

    if (fd < 0 || ftruncate(fd, EXTRA) < 0)
        prog_broken("file: %s", strerror(errno));
    if (!in_memory)
        unlink(name);
    return fd;
}

static void need(int rc, const char *what)
{
    if (rc < 0)
        prog_broken("%s: %s", what, strerror(errno));
}

struct part {
    uint64_t *mem;
    uint64_t pages;
    const char *stop;
};

static void *thread(void *arg)
{
    const struct part *p = arg;

    while (!prog_stop(p->stop)) {
        work(p->mem, p->pages, "thread");
        prog_sleep_ms(1);
    }
    return NULL;
}

static unsigned descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* A child of our own that ends when the file is there; its memory was ours at first, and what it does not write to is shared
 * with its brothers for good. */
static void child_works(const char *stop, uint64_t *mem, uint64_t pages)
{
    pid_t pid = fork();

    need(pid, "fork");
    own_children++;
    if (pid > 0)
        return;
    while (!prog_stop(stop)) {
        work(mem, pages / 2, "child");
        for (uint64_t i = pages / 2; i < pages; i++)
            check(mem + i * WORDS, i, "shared by children");
        prog_sleep_ms(5);
    }
    _exit(0);
}

static void child_is(int sig)
{
    pid_t pid = fork();

    need(pid, "fork");
    own_children++;
    if (pid > 0) {
        siginfo_t info;

        need(waitid(P_PID, (id_t)pid, &info, (sig ? WSTOPPED : WEXITED) | WNOWAIT), "waitid");
        return;
    }
    if (sig) {
        raise(sig);
        for (;;)
            pause();
    }
    _exit(0);
}

static void start_threads(const char *stop)
{
    static struct part parts[4];

    for (int i = 0; i < 4; i++) {
        pthread_t t;

        parts[i] =
            (struct part){make(EXTRA / 4, MAP_PRIVATE | MAP_ANONYMOUS, -1), EXTRA / 4 / 4096, stop};
        need(pthread_create(&t, NULL, thread, &parts[i]) ? -1 : 0, "pthread_create");
    }
}

static long locked_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

struct extra {
    uint64_t *mem;
    size_t bytes;
    int hidden; /* PROT_NONE while we do not look */
    int guard;  /* the first page is a guard */
    long locked;
};

/* Properties of a whole area change all the time; its borders, and what is in it, do not. */
static void *advise(void *mem)
{
    for (;;) {
        need(madvise(mem, EXTRA, MADV_WIPEONFORK), "madvise");
        prog_sleep_ms(3);
        need(madvise(mem, EXTRA, MADV_KEEPONFORK), "madvise");
        prog_sleep_ms(30);
    }
    return NULL;
}

static uint64_t *make_advised(void)
{
    /* Apart from its neighbours: else it would be one area with them now and then. */
    char *room = mmap(NULL, EXTRA + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *mem;
    pthread_t t;

    if (room == MAP_FAILED)
        prog_broken("mmap: %s", strerror(errno));
    mem = make_at(room + 4096, EXTRA, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
    need(pthread_create(&t, NULL, advise, mem) ? -1 : 0, "pthread_create");
    return mem;
}

static void set_up(const char *kind, const char *stop, struct extra *x, uint64_t *mem,
                   uint64_t pages)
{
    const int private = MAP_PRIVATE | MAP_ANONYMOUS;

    x->bytes = EXTRA;
    if (!strcmp(kind, "dontfork") || !strcmp(kind, "wipeonfork")) {
        x->mem = make(EXTRA, private, -1);
        need(madvise(x->mem, EXTRA, *kind == 'd' ? MADV_DONTFORK : MADV_WIPEONFORK), "madvise");
    } else if (!strcmp(kind, "advised")) {
        x->mem = make_advised();
    } else if (!strcmp(kind, "shared")) {
        x->mem = make(EXTRA, MAP_SHARED | MAP_ANONYMOUS, -1);
    } else if (!strcmp(kind, "memfd")) {
        x->mem = make(EXTRA, MAP_SHARED, scratch_file(1));
    } else if (!strcmp(kind, "file")) {
        x->mem = make(EXTRA, MAP_PRIVATE, scratch_file(0));
    } else if (!strcmp(kind, "huge")) {
        x->mem = mmap(NULL, 4 * EXTRA, PROT_READ | PROT_WRITE, private, -1, 0);
        need(madvise(x->mem, 4 * EXTRA, MADV_HUGEPAGE), "madvise");
        for (uint64_t i = 0; i < EXTRA / 4096; i++)
            fill(x->mem + i * WORDS, i, 0);
    } else if (!strcmp(kind, "locked")) {
        x->bytes = 1u << 20;
        x->mem = make(x->bytes, private, -1);
        need(mlock(x->mem, x->bytes), "mlock");
        x->locked = locked_kib();
    } else if (!strcmp(kind, "hidden")) {
        x->mem = make(EXTRA, private, -1);
        x->hidden = 1;
        need(mprotect(x->mem, EXTRA, PROT_NONE), "mprotect");
    } else if (!strcmp(kind, "guard")) {
        x->mem = make(EXTRA, private, -1);
        x->guard = madvise(x->mem, 4096, MADV_GUARD_INSTALL) == 0;
    } else if (!strcmp(kind, "subreaper")) {
        need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl");
    } else if (!strcmp(kind, "nproc")) {
        struct rlimit few = {20, 20};

        need(setrlimit(RLIMIT_NPROC, &few), "setrlimit");
    } else if (!strcmp(kind, "zombie")) {
        child_is(0);
    } else if (!strcmp(kind, "stopped")) {
        child_is(SIGSTOP);
    } else if (!strcmp(kind, "fork")) {
        child_works(stop, mem, pages);
        child_works(stop, mem, pages);
    } else if (!strcmp(kind, "threads")) {
        start_threads(stop);
    } else if (!strcmp(kind, "all")) {
        child_works(stop, mem, pages);
        child_works(stop, mem, pages);
        start_threads(stop);
    } else if (!strcmp(kind, "gentle")) {
        gentle = 1; /* 300 MiB a second and no more */
    } else if (strcmp(kind, "plain") != 0) {
        prog_broken("no kind %s", kind);
    }
}

static void look_at_extra(const struct extra *x)
{
    uint64_t first = x->guard ? 1 : 0;

    if (!x->mem)
        return;
    if (x->hidden)
        need(mprotect(x->mem, x->bytes, PROT_READ | PROT_WRITE), "mprotect");
    for (uint64_t i = first; i < x->bytes / 4096; i++) {
        check(x->mem + i * WORDS, i, "extra");
        fill(x->mem + i * WORDS, i, x->mem[i * WORDS] + 1);
    }
    if (x->hidden)
        need(mprotect(x->mem, x->bytes, PROT_NONE), "mprotect");
    if (x->locked && locked_kib() != x->locked)
        prog_broken("%ld KiB locked instead of %ld", locked_kib(), x->locked);
}

/* No child that we did not make, dead or alive, of any kind. */
static void look_around(unsigned files)
{
    siginfo_t info = {0};
    int rc = waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL);

    if (own_children == 0 && (rc == 0 || errno != ECHILD))
        prog_broken("a child that is not mine: %d", (int)info.si_pid);
    if (own_children == 0 && children)
        prog_broken("SIGCHLD");
    if (descriptors() != files)
        prog_broken("%u descriptors instead of %u", descriptors(), files);
}

int main(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = count_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    struct extra x = {NULL, 0, 0, 0, 0};
    uint64_t pages, *mem;
    unsigned files;

    prog_need(argc, 2, "snapped STOP KIND [MIB]");
    pages = (argc > 3 ? strtoull(argv[3], NULL, 10) : 16) * 256;
    sigaction(SIGCHLD, &act, NULL);
    mem = make(pages * 4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    set_up(argv[2], argv[1], &x, mem, pages);
    /* The end of our own children must not interrupt a sleep. */
    if (own_children > 0)
        signal(SIGCHLD, SIG_DFL);
    files = descriptors();
    prog_print("start %s\n", argv[2]);
    for (unsigned n = 1; !prog_stop(argv[1]); n++) {
        work(mem, pages, "memory");
        look_at_extra(&x);
        look_around(files);
        prog_step(n);
        prog_sleep_ms(5);
    }
    while (own_children && waitpid(-1, NULL, WNOHANG) > 0)
        ;
    work(mem, pages, "memory");
    look_at_extra(&x);
    prog_print("result ok\n");
    return 0;
}
