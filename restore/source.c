/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore/source.h"

#include "common/gendir.h"
#include "common/io.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the kernel names it, and so CRIU. */
static int fd_path(int fd, char path[PATH_MAX], struct err *err)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATH_MAX - 1);
    if (n < 0)
        return err_sys(err, "%s", link);
    path[n] = '\0';
    return 0;
}

static int add(struct source *s, const char *from, const char *to, bool output, struct err *err)
{
    struct filter_rename r = {strdup(from), strdup(to), output};

    if (!r.from || !r.to) {
        free(r.from);
        free(r.to);
        return err_sys(err, "no memory");
    }
    s->renames[s->n++] = r;
    return 0;
}

static int add_copy(struct source *s, const char *olddir, const char *newdir, const char *name,
                    struct err *err)
{
    char from[PATH_MAX + 32], to[PATH_MAX + 32];

    snprintf(from, sizeof from, "%s/%s", olddir, name);
    snprintf(to, sizeof to, "%s/%s", newdir, name);
    return add(s, from, to, false, err);
}

/* Where one of them is no file there is nothing to replace, or nothing to put there. */
static int add_output(struct source *s, int oldfd, int newfd, const char *name, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    ssize_t n = readlinkat(oldfd, name, from, sizeof from - 1);
    ssize_t m = readlinkat(newfd, name, to, sizeof to - 1);

    if (n < 1 || m < 1 || *from != '/' || *to != '/')
        return 0;
    from[n] = to[m] = '\0';
    return add(s, from, to, true, err);
}

int source_open(const struct facts *f, struct source *s, int *taskfd, struct err *err)
{
    char olddir[PATH_MAX], newdir[PATH_MAX];
    int oldfd = -1, newfd = -1;

    memset(s, 0, sizeof *s);
    s->facts = *f;
    s->facts.epoch = UINT32_MAX; /* any start of it */
    if (gendir_find_source(f, &s->facts.job, s->facts.nonce, err) < 0)
        return -1;
    oldfd = gendir_open_task(&s->facts, false, err);
    newfd = oldfd < 0 ? -1 : gendir_open_task(f, false, err);
    if (newfd < 0 || fd_path(oldfd, olddir, err) < 0 || fd_path(newfd, newdir, err) < 0 ||
        add_copy(s, olddir, newdir, "ckpt-init", err) < 0 ||
        add_copy(s, olddir, newdir, "script", err) < 0 ||
        add_output(s, oldfd, newfd, GENDIR_STDOUT, err) < 0 ||
        add_output(s, oldfd, newfd, GENDIR_STDERR, err) < 0) {
        int saved = errno;

        source_close(s);
        io_close(&oldfd);
        io_close(&newfd);
        errno = saved;
        return -1;
    }
    io_close(&newfd);
    *taskfd = oldfd;
    return 0;
}

void source_close(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->renames[i].from);
        free(s->renames[i].to);
    }
    s->n = 0;
}
