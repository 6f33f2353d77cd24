/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void give_up(const char *what)
{
    perror(what);
    exit(99);
}

void scratch_make(char path[256])
{
    const char *tmp = getenv("TMPDIR");

    snprintf(path, 256, "%s/ckpt-test.XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!mkdtemp(path))
        give_up(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_facts(struct facts *f, const char *base)
{
    memset(f, 0, sizeof *f);
    snprintf(f->cluster, sizeof f->cluster, "test");
    snprintf(f->task, sizeof f->task, "batch");
    snprintf(f->nonce, sizeof f->nonce, "0123456789abcdef");
    snprintf(f->dir, sizeof f->dir, "%s", base);
    f->job = 42;
    f->uid = geteuid();
}

void scratch_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_write(int dirfd, const char *name, const char *text, size_t len, mode_t mode)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        give_up(name);
    if (len == 0)
        len = strlen(text);
    if (write(fd, text, len) != (ssize_t)len || fchmod(fd, mode) < 0)
        give_up(name);
    close(fd);
}

int scratch_as(uid_t uid, int (*fn)(void *), void *arg)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            _exit(98);
        _exit(fn(arg));
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}
