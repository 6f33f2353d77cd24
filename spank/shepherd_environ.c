/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "spank/clerk.h"
#include "spank/environ.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEW ENVIRON_FILE ".tmp"

extern char **environ;

/* Whoever reads it meanwhile finds the old one or the new one, whole. */
static int write_file(void *arg, void *result, struct err *err)
{
    char host[65] = "", *text;
    int taskfd = gendir_open_task(arg, false, err), fd = -1, rc = -1;

    (void)result;
    if (taskfd < 0)
        return -1;
    (void)gethostname(host, sizeof host - 1);
    text = environ_text(environ, host);
    (void)unlinkat(taskfd, NEW, 0);
    if (!text)
        err_sys(err, "no memory");
    else
        fd = gendir_open_file(taskfd, NEW, O_WRONLY | O_CREAT, 0600, err);
    if (fd >= 0 && io_write_full(fd, text, strlen(text)) == 0 &&
        renameat(taskfd, NEW, taskfd, ENVIRON_FILE) == 0)
        rc = 0;
    else if (fd >= 0)
        err_sys(err, "%s", ENVIRON_FILE);
    free(text);
    io_close(&fd);
    io_close(&taskfd);
    return rc;
}

void shepherd_environ(struct shepherd *s)
{
    char path[2 * PATH_MAX];
    struct err err = {{0}};

    if (!s->files)
        return;
    if (clerk_run(write_file, &s->facts, NULL, 0, SHEPHERD_FILES_TIMEOUT_MS, &err) < 0)
        shepherd_say("the names of this run are not written down: %s", err.text);
    shepherd_task_path(s, ENVIRON_FILE, path);
    setenv(ENVIRON_VARIABLE, path, 1);
}
