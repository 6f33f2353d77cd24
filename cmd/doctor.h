/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * doctor - does checkpointing work on this node?  One point per thing that a site can get wrong.
 */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include "check/preflight.h"
#include "cmd/cmd.h"
#include "common/conf.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define DOCTOR_MAX 48

struct doctor_point {
    char name[16];
    enum preflight_verdict verdict;
    char text[400];
};

struct doctor {
    const struct cmd *cmd;
    char conf_path
        [PATH_MAX];   /* checkpoint.conf: --conf, else what plugstack.conf says, else the default */
    bool conf_named;  /* by --conf or the environment */
    struct conf conf; /* the defaults when it cannot be read */
    char node[65];    /* as Slurm calls this machine; "": unknown */
    size_t n;
    struct doctor_point points[DOCTOR_MAX];
};

/* Add a point; the text is cleaned.  Any number beyond DOCTOR_MAX is dropped. */
void doctor_add(struct doctor *d, const char *name, enum preflight_verdict v, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Each piece of the file at `path` between any of `separators`, until fn returns true, which is then the answer; false also
 * when there is no such file. */
bool doctor_each(const char *path, const char *separators, bool (*fn)(char *piece, void *arg),
                 void *arg);

/* What Slurm tells: its release, plugstack, process tracking, requeue, times.  Sets conf_path and node. */
void doctor_slurm(struct doctor *d);

/* The plugstack.conf at `path` (a file and what it includes): how checkpoint.so stands in it.  Sets conf_path from
 * its conf= when it is not named.  plugin_dirs: PluginDir, separated by colons. */
void doctor_plugstack(struct doctor *d, const char *path, const char *plugin_dirs);

/* checkpoint.conf into d->conf. */
void doctor_conf(struct doctor *d);

/* Kernel, CRIU, helpers, capabilities, namespaces, munge, directories, space. */
void doctor_node(struct doctor *d);

/* As root: two small jobs of `user` on this node: the first is checkpointed, the second begins with that checkpoint.
 * They go the whole way that a user's jobs go. */
void doctor_try(struct doctor *d, const char *user);

#endif
