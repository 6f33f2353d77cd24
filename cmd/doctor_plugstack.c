/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/doctor.h"

#include "common/helper.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 4

/* The first line with checkpoint.so. */
struct found {
    bool there, required;
    char plugin[PATH_MAX], conf[PATH_MAX];
    char file[PATH_MAX]; /* where it stands */
};

static void take_line(char *line, const char *file, struct found *f)
{
    char *save = NULL, *word = strtok_r(line, " \t", &save), *plugin;
    const char *base;

    if (!word || (strcmp(word, "optional") != 0 && strcmp(word, "required") != 0))
        return;
    plugin = strtok_r(NULL, " \t", &save);
    base = plugin ? strrchr(plugin, '/') : NULL;
    if (!plugin || strcmp(base ? base + 1 : plugin, "checkpoint.so") != 0)
        return;
    f->there = true;
    f->required = strcmp(word, "required") == 0;
    snprintf(f->plugin, sizeof f->plugin, "%s", plugin);
    snprintf(f->file, sizeof f->file, "%s", file);
    while ((word = strtok_r(NULL, " \t", &save)))
        if (strncmp(word, "conf=", 5) == 0)
            snprintf(f->conf, sizeof f->conf, "%s", word + 5);
}

static void take_file(const char *path, int depth, struct found *f);

/* Slurm's own way (src/common/plugstack.c of 22.05): a glob, relative to the directory of the file. */
static void take_include(const char *pattern, const char *file, int depth, struct found *f)
{
    const char *slash = strrchr(file, '/');
    char full[PATH_MAX];
    glob_t g;
    int n;

    n = *pattern == '/' || !slash
            ? snprintf(full, sizeof full, "%s", pattern)
            : snprintf(full, sizeof full, "%.*s/%s", (int)(slash - file), file, pattern);
    if (n >= (int)sizeof full || glob(full, 0, NULL, &g) != 0)
        return;
    for (size_t i = 0; i < g.gl_pathc && !f->there; i++)
        take_file(g.gl_pathv[i], depth + 1, f);
    globfree(&g);
}

/* A file that is being read. */
struct reading {
    const char *path;
    int depth;
    struct found *f;
};

static bool take_any(char *line, void *arg)
{
    const struct reading *r = arg;

    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t");
    if (strncmp(line, "include", 7) == 0 && (line[7] == ' ' || line[7] == '\t')) {
        line += 7 + strspn(line + 7, " \t");
        line[strcspn(line, " \t")] = '\0';
        take_include(line, r->path, r->depth, r->f);
    } else {
        take_line(line, r->path, r->f);
    }
    return r->f->there;
}

static void take_file(const char *path, int depth, struct found *f)
{
    struct reading r = {path, depth, f};

    if (depth <= DEPTH)
        (void)doctor_each(path, "\n", take_any, &r);
}

/* A name without a slash is looked for in PluginDir. */
static bool resolve(char plugin[PATH_MAX], const char *dirs)
{
    char name[PATH_MAX], list[PATH_MAX], *save = NULL;

    if (strchr(plugin, '/'))
        return access(plugin, R_OK) == 0;
    snprintf(name, sizeof name, "%s", plugin);
    snprintf(list, sizeof list, "%s", dirs);
    for (char *dir = strtok_r(list, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        int n = snprintf(plugin, PATH_MAX, "%s/%s", dir, name);

        if (n < PATH_MAX && access(plugin, R_OK) == 0)
            return true;
    }
    memcpy(plugin, name, sizeof name);
    return false;
}

void doctor_plugstack(struct doctor *d, const char *path, const char *plugin_dirs)
{
    struct found f = {.there = false};
    struct err err = {""};
    char real[PATH_MAX];

    take_file(path, 0, &f);
    if (f.conf[0] && !d->conf_named)
        memcpy(d->conf_path, f.conf, sizeof f.conf);
    if (!f.there) {
        doctor_add(d, "plugstack", PREFLIGHT_FAIL,
                   "no line 'optional checkpoint.so' in %s and what it includes", path);
        return;
    }
    if (!resolve(f.plugin, plugin_dirs))
        doctor_add(d, "plugstack", PREFLIGHT_FAIL,
                   "%s names %s, which is not there (PluginDir is %s)", f.file, f.plugin,
                   plugin_dirs);
    else if (!realpath(f.plugin, real) || helper_path_trusted(real, "plugin", &err) < 0)
        doctor_add(d, "plugstack", PREFLIGHT_FAIL, "%s", err.text[0] ? err.text : f.plugin);
    else if (f.required)
        doctor_add(d, "plugstack", PREFLIGHT_WARN,
                   "%s says 'required': when the plugin cannot be loaded no job runs; say "
                   "'optional'",
                   f.file);
    else
        doctor_add(d, "plugstack", PREFLIGHT_GOOD, "%s in %s", f.plugin, f.file);
}
