/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/quietly.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct wish {
    clerk_work work;
    void *arg;
};

static int without_output(void *arg, void *result, struct err *err)
{
    const struct wish *w = arg;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        return err_sys(err, "/dev/null");
    return w->work(w->arg, result, err);
}

int quietly(clerk_work work, void *arg, void *result, size_t size)
{
    struct wish w = {work, arg};

    fflush(stdout);
    return clerk_run(without_output, &w, result, size, PATIENCE_MS, NULL);
}
