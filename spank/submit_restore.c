/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/submit_restore.h"

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

static int look(const char *dir, const char *cluster, const struct spec *s, struct err *err)
{
    bool job = false, generation = false;
    char prefix[128];
    struct dirent *e;
    DIR *base = opendir(dir);

    if (!base) /* perhaps only the nodes have it: the job will tell */
        return 0;
    snprintf(prefix, sizeof prefix, "%s.%u.", cluster, s->restore_job);
    while ((e = readdir(base)))
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
            facts_nonce_ok(e->d_name + strlen(prefix))) {
            job = true;
            generation |= has_generation(base, e->d_name, s->restore_generation);
        }
    closedir(base);
    errno = ENOENT;
    if (!job)
        return err_set(
            err,
            "restore=%u: there are no checkpoints of job %u in %s (--checkpoint-dir must be that "
            "of the old job; those of a job that ended well are removed)",
            s->restore_job, s->restore_job, dir);
    if (!generation)
        return err_set(
            err, "restore=%u: job %u has no %s in %s; scheckpoint list %u shows what it has",
            s->restore_job, s->restore_job,
            s->restore_generation[0] ? s->restore_generation : "generation", dir, s->restore_job);
    return 0;
}

int submit_check_restore(const char *dir, const struct spec *s, struct err *err)
{
    const char *state = slurmconf_job_unended(s->restore_job);

    if (state) {
        errno = EBUSY;
        return err_set(
            err,
            "restore=%u: job %u has not ended (%s): its checkpoints are for itself; scancel %u "
            "first",
            s->restore_job, s->restore_job, state, s->restore_job);
    }
    return look(dir, slurmconf_cluster(), s, err);
}
