/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/submit_restore.h"

#include "common/gendir.h"
#include "spank/slurmconf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "CLUSTER.JOBID.NONCE/batch" with that generation, or with any when it is "". */
static bool has_generation(DIR *base, const char *name, const char *generation)
{
    char path[PATH_MAX];
    struct stat st;
    struct dirent *e;
    bool found = false;
    DIR *d;
    int fd;

    snprintf(path, sizeof path, "%s/batch/%s", name, generation);
    if (*generation)
        return fstatat(dirfd(base), path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    fd = openat(dirfd(base), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    while (d && !found && (e = readdir(d)))
        found = strncmp(e->d_name, "gen-", 4) == 0 && !strstr(e->d_name, ".partial");
    if (d)
        closedir(d);
    return found;
}

/* "12", or "12_3" for a task of an array */
static void write_name(const struct spec *s, char name[32])
{
    if (s->restore_task)
        snprintf(name, 32, "%u_%u", s->restore_job, s->restore_task - 1);
    else
        snprintf(name, 32, "%u", s->restore_job);
}

/* "CLUSTER.JOBID.NONCE" of that job?  That of an array's task has its own id there, and a link with its name. */
static bool is_job(DIR *base, const char *dir, const char *cluster, const struct spec *s,
                   const char *name)
{
    char path[PATH_MAX], to[33];
    size_t n = strlen(cluster), digits;
    ssize_t len;

    if (strncmp(dir, cluster, n) != 0 || dir[n] != '.')
        return false;
    dir += n + 1;
    digits = strspn(dir, "0123456789");
    if (digits == 0 || dir[digits] != '.' || !facts_nonce_ok(dir + digits + 1))
        return false;
    if (!s->restore_task)
        return strlen(name) == digits && strncmp(dir, name, digits) == 0;
    snprintf(path, sizeof path, "%s/batch/" GENDIR_ARRAY, dir - n - 1);
    len = readlinkat(dirfd(base), path, to, sizeof to - 1);
    to[len > 0 ? len : 0] = '\0';
    return strcmp(to, name) == 0;
}

static int look(const char *dir, const char *cluster, const struct spec *s, const char *name,
                struct err *err)
{
    bool job = false, generation = false;
    struct dirent *e;
    DIR *base = opendir(dir);

    if (!base) /* perhaps only the nodes have it: the job will tell */
        return 0;
    while ((e = readdir(base)))
        if (is_job(base, e->d_name, cluster, s, name)) {
            job = true;
            generation |= has_generation(base, e->d_name, s->restore_generation);
        }
    closedir(base);
    errno = ENOENT;
    if (!job)
        return err_set(
            err,
            "restore=%s: there are no checkpoints of job %s in %s (--checkpoint-dir must be that "
            "of the old job; those of a job that ended well are removed)",
            name, name, dir);
    if (!generation)
        return err_set(
            err, "restore=%s: job %s has no %s in %s; scheckpoint list %s shows what it has", name,
            name, s->restore_generation[0] ? s->restore_generation : "generation", dir, name);
    return 0;
}

int submit_check_restore(const char *dir, const struct spec *s, struct err *err)
{
    const char *state = slurmconf_job_unended(s->restore_job, s->restore_task);
    char name[32];

    write_name(s, name);
    if (state) {
        errno = EBUSY;
        return err_set(
            err,
            "restore=%s: job %s has not ended (%s): its checkpoints are for itself; scancel %s "
            "first",
            name, name, state, name);
    }
    return look(dir, slurmconf_cluster(), s, name, err);
}
