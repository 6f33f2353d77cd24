/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "able/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *field(const char *status, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = status; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, name, n) == 0)
            return p + n + strspn(p + n, " \t");
    }
    return NULL;
}

static long number(const char *status, const char *name)
{
    const char *p = field(status, name);

    return p ? strtol(p, NULL, 10) : 0;
}

static void take_name(const char *status, struct able_process *p)
{
    const char *name = field(status, "Name:");
    size_t len = name ? strcspn(name, "\n") : 0;

    if (len >= sizeof p->program)
        len = sizeof p->program - 1;
    if (name)
        memcpy(p->program, name, len);
    p->program[len] = '\0';
    err_clean(p->program);
}

/* CRIU stops what runs as the job's user only; all four ids count. */
static void look_ids(struct able_walk *w, struct able_process *p, const char *status)
{
    static const char *const names[] = {"Uid:", "Gid:"};
    const long own[] = {(long)getuid(), (long)getgid()};
    char text[96];

    for (int k = 0; k < 2; k++) {
        const char *at = field(status, names[k]);
        char *end;

        for (int i = 0; at && i < 4; i++, at = end) {
            long id = strtol(at, &end, 10);

            if (id == own[k])
                continue;
            snprintf(text, sizeof text, "runs with %s %ld, which is not the job's",
                     k == 0 ? "user id" : "group id", id);
            able_add(w, p, ABLE_USER, "", text);
            p->closed = true;
            return;
        }
    }
}

static void look_tracer(struct able_walk *w, struct able_process *p, const char *status)
{
    long tracer = number(status, "TracerPid:");
    char text[96];

    if (tracer == 0)
        return;
    snprintf(text, sizeof text, "is traced by process %ld: nobody else can stop it", tracer);
    able_add(w, p, ABLE_TRACED, "", text);
}

static void look_namespaces(struct able_walk *w, struct able_process *p)
{
    static const char *const names[] = {"user", "mnt", "pid",    "net",
                                        "ipc",  "uts", "cgroup", "time"};
    char path[32], theirs[64], ours[64], text[160] = "";
    size_t len = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "ns/%s", names[i]);
        if (able_link(p->fd, path, theirs, sizeof theirs) < 0 ||
            able_link(w->self, path, ours, sizeof ours) < 0 || strcmp(theirs, ours) == 0)
            continue;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? ", " : "", names[i]);
    }
    if (len > 0) {
        char what[256];

        snprintf(what, sizeof what, "lives in namespaces of its own (%s): a container", text);
        able_add(w, p, ABLE_NAMESPACE, "", what);
    }
}

/* The kernel hides a process from everybody but root when its program may be run but not read, or when it asked for
 * that itself.  Its command line is shown all the same; what is called through a link or PATH is not found again. */
static void look_closed(struct able_walk *w, struct able_process *p)
{
    char *program = able_slurp(p->fd, "cmdline"), what[256];

    if (program && *program == '/' && access(program, X_OK) == 0 && access(program, R_OK) < 0 &&
        errno == EACCES) {
        err_clean(program);
        snprintf(what, sizeof what,
                 "its program %.150s may be run but not read, so that nobody may look into it",
                 program);
        able_add(w, p, ABLE_UNREADABLE, "", what);
    } else {
        able_add(
            w, p, ABLE_CLOSED, "",
            "nobody may look into it: its program may be run but not read, or it has closed itself "
            "(PR_SET_DUMPABLE)");
    }
    free(program);
}

int able_look_process(struct able_walk *w, struct able_process *p)
{
    char *status = able_slurp(p->fd, "status"), link[64];
    const char *state = status ? field(status, "State:") : NULL;

    if (!state || *state == 'Z' || *state == 'X') {
        free(status);
        return -1;
    }
    take_name(status, p);
    look_ids(w, p, status);
    look_tracer(w, p, status);
    if (number(status, "Seccomp:") > 0)
        able_add(w, p, ABLE_SECCOMP, "", "has restricted its system calls (seccomp)");
    if (!p->closed && able_link(p->fd, "ns/mnt", link, sizeof link) < 0 && errno == EACCES) {
        p->closed = true;
        look_closed(w, p);
    }
    if (!p->closed)
        look_namespaces(w, p);
    free(status);
    return 0;
}
