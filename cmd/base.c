/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/base.h"

#include "cmd/job.h"
#include "common/beneath.h"
#include "common/gendir.h"
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMES 65536 /* of a directory that anybody may have filled */

/* Expand `template_` for the caller; slurm.conf is looked at only for a %c. */
static int expand(const char *template_, char path[PATH_MAX], struct err *err)
{
    const struct passwd *pw = getpwuid(geteuid());
    const char *cluster = "none";

    if (strstr(template_, "%c")) {
        cluster = job_cluster();
        if (!cluster) {
            errno = ENOENT;
            return err_set(err, "%s: the cluster's name (%%c) is not known here", template_);
        }
    }
    if (!pw) {
        errno = ENOENT;
        return err_set(err, "uid %u has no name here", geteuid());
    }
    return conf_expand_dir(template_, pw->pw_name, geteuid(), pw->pw_dir, cluster, path, err);
}

static int from_conf(const char *file, char path[PATH_MAX], struct err *err)
{
    struct conf *conf = malloc(sizeof *conf);
    int rc = -1;

    if (!conf)
        return err_sys(err, "no memory");
    if (conf_load(file, conf, err) < 0) {
        err_prefix(err, "no directory is given and the site's default is not known");
    } else if (!conf->dir[0]) {
        errno = ENOENT;
        err_set(err, "this site has no default directory for checkpoints: give -d DIR");
    } else {
        rc = expand(conf->dir, path, err);
        if (rc < 0)
            err_prefix(err, "Dir in %s", file);
    }
    free(conf);
    return rc;
}

int base_path(const struct cmd *c, char path[PATH_MAX], struct err *err)
{
    static const char *const names[] = {"SLURM_CHECKPOINT_DIR", "SBATCH_CHECKPOINT_DIR"};
    char *here;
    int rc;

    if (c->dir && c->dir[0] != '/') {
        here = realpath(c->dir, NULL);
        if (!here)
            return err_sys(err, "%s", c->dir);
        rc = snprintf(path, PATH_MAX, "%s", here) < PATH_MAX ? 0 : -1;
        free(here);
        return rc;
    }
    if (c->dir)
        return expand(c->dir, path, err);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return expand(value, path, err) < 0 ? err_prefix(err, "%s", names[i]) : 0;
    }
    return from_conf(c->conf, path, err);
}

bool base_parse_name(const char *name, struct base_job *j)
{
    const char *nonce = strrchr(name, '.'), *id;
    struct base_job out;
    unsigned long v;
    char *end, again[16];

    memset(&out, 0, sizeof out);
    if (!nonce || nonce == name || !facts_nonce_ok(nonce + 1))
        return false;
    id = memrchr(name, '.', (size_t)(nonce - name));
    if (!id || id[1] < '1' || id[1] > '9' || (size_t)(id - name) >= sizeof out.cluster)
        return false;
    v = strtoul(id + 1, &end, 10);
    /* An id that strtoul cut to its limit does not come out as it went in. */
    snprintf(again, sizeof again, "%u", (uint32_t)v);
    if (end != nonce || strlen(again) != (size_t)(end - id - 1) ||
        strncmp(again, id + 1, strlen(again)) != 0)
        return false;
    memcpy(out.cluster, name, (size_t)(id - name));
    memcpy(out.nonce, nonce + 1, sizeof out.nonce);
    out.job = (uint32_t)v;
    if (!facts_name_ok(out.cluster))
        return false;
    *j = out;
    return true;
}

static bool newer(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* When something was last made or removed in the job's directory; false for what is not ours to
 * look at. */
static bool stat_job(int basefd, const char *name, struct base_job *j)
{
    struct stat st;
    int fd = gendir_open_dir(basefd, name, NULL);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;

    if (ok) {
        j->changed = st.st_mtim;
        if (fstatat(fd, BASE_TASK, &st, AT_SYMLINK_NOFOLLOW) == 0 && newer(st.st_mtim, j->changed))
            j->changed = st.st_mtim;
    }
    io_close(&fd);
    return ok;
}

static int last_changed_first(const void *a, const void *b)
{
    const struct base_job *x = a, *y = b;

    if (newer(x->changed, y->changed))
        return -1;
    return newer(y->changed, x->changed) ? 1 : 0;
}

static int collect(int basefd, DIR *d, uint32_t job, const char *cluster, struct base_job **jobs,
                   struct err *err)
{
    struct base_job *list = NULL, *bigger, j;
    size_t n = 0, room = 0;
    struct dirent *e;

    for (int seen = 0; errno = 0, seen < MAX_NAMES && (e = readdir(d)); seen++) {
        if (!base_parse_name(e->d_name, &j) || (job && j.job != job) ||
            (cluster && strcmp(j.cluster, cluster) != 0) || !stat_job(basefd, e->d_name, &j))
            continue;
        if (n == room) {
            room = room ? 2 * room : 64;
            bigger = realloc(list, room * sizeof *list);
            if (!bigger) {
                free(list);
                return err_sys(err, "no memory");
            }
            list = bigger;
        }
        list[n++] = j;
    }
    if (errno) {
        free(list);
        return err_sys(err, "cannot read the directory");
    }
    if (n > 1)
        qsort(list, n, sizeof *list, last_changed_first);
    *jobs = list;
    return (int)n;
}

int base_scan(const char *path, uint32_t job, const char *cluster, struct base_job **jobs,
              struct err *err)
{
    int fd = gendir_open_base(path, geteuid(), false, err), n = -1;
    DIR *d;

    if (fd < 0)
        return -1;
    d = beneath_list(fd, err);
    if (d) {
        n = collect(fd, d, job, cluster, jobs, err);
        beneath_end(d);
    }
    io_close(&fd);
    return n < 0 ? err_prefix(err, "%s", path) : n;
}

int base_find(const char *path, uint32_t job, const char *cluster, struct base_job *j,
              struct err *err)
{
    struct base_job *jobs = NULL;
    int n = base_scan(path, job, cluster, &jobs, err);

    if (n > 0)
        *j = jobs[0];
    free(jobs);
    if (n > 0)
        return 0;
    if (n == 0 || errno == ENOENT) {
        errno = ESRCH;
        return err_set(err,
                       "no checkpoints of job %u in %s (when it was submitted with "
                       "--checkpoint-dir=DIR, give -d DIR)",
                       job, path);
    }
    return -1;
}

int base_open_task(const char *path, const struct base_job *j, struct err *err)
{
    return base_open(path, j, j->task[0] ? j->task : BASE_TASK, err);
}

int base_open(const char *path, const struct base_job *j, const char *task, struct err *err)
{
    struct facts *f = calloc(1, sizeof *f);
    int fd = -1;

    if (!f)
        return err_sys(err, "no memory");
    snprintf(f->dir, sizeof f->dir, "%s", path);
    memcpy(f->cluster, j->cluster, sizeof f->cluster);
    memcpy(f->nonce, j->nonce, sizeof f->nonce);
    snprintf(f->task, sizeof f->task, "%s", task);
    f->job = j->job;
    f->uid = geteuid();
    fd = gendir_open_task(f, false, err);
    free(f);
    return fd;
}
