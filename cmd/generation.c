/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/generation.h"

#include "common/io.h"
#include "common/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The manifest's text, read within its bound; NULL: damaged. */
static char *read_manifest(int genfd, size_t *len, struct err *err)
{
    int fd = gendir_open_file(genfd, MANIFEST_FILE, O_RDONLY, 0, err);
    char *text;

    if (fd < 0)
        return NULL;
    text = io_slurp(fd, MANIFEST_MAX_BYTES, len, err);
    io_close(&fd);
    return text;
}

/* Are the parts there, with the sizes that the manifest says? Their bytes are not read. */
static int check_parts(int genfd, const struct manifest *m, struct err *err)
{
    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++) {
        const struct manifest_part *p = &m->parts[i];
        struct stat st;

        if (fstatat(genfd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(err, "%s", p->name);
        errno = EBADMSG;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != p->bytes)
            return err_set(err, "%s has another size than the manifest says", p->name);
    }
    return 0;
}

static int decode(int genfd, const struct base_job *j, struct gendir_id id, struct manifest *m,
                  struct err *err)
{
    size_t len = 0;
    char *text = read_manifest(genfd, &len, err);
    int rc = text ? manifest_decode(text, len, m, err) : -1;

    free(text);
    if (rc < 0)
        return -1;
    if (m->job != j->job || strcmp(m->cluster, j->cluster) != 0 ||
        strcmp(m->nonce, j->nonce) != 0 || m->epoch != id.epoch || m->sequence != id.sequence) {
        errno = EBADMSG;
        rc = err_set(err, "the manifest is another generation's");
    } else {
        rc = check_parts(genfd, m, err);
    }
    if (rc < 0)
        manifest_free(m);
    return rc;
}

static void damaged(struct generation *row, int genfd)
{
    struct stat st;
    struct tm tm;

    row->damaged = true;
    if (genfd < 0 || fstat(genfd, &st) < 0 || !gmtime_r(&st.st_mtime, &tm) ||
        strftime(row->created, sizeof row->created, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        row->created[0] = '\0';
}

void generation_load(int taskfd, const struct base_job *j, struct gendir_id id,
                     struct generation *row)
{
    struct manifest m;
    struct err err = {{0}};
    char name[40];
    int fd;

    memset(row, 0, sizeof *row);
    memset(&m, 0, sizeof m);
    row->job = *j;
    row->id = id;
    gendir_format_name(id, false, name);
    fd = gendir_open_dir(taskfd, name, &err);
    if (fd < 0 || decode(fd, j, id, &m, &err) < 0) {
        damaged(row, fd);
        memcpy(row->why, err.text, sizeof row->why);
        err_clean(row->why);
    } else {
        memcpy(row->created, m.created, sizeof row->created);
        memcpy(row->reason, m.reason, sizeof row->reason);
        memcpy(row->node, m.node, sizeof row->node);
        row->pause_us = m.pause_us;
        row->total_ms = m.total_ms;
        row->raw_bytes = m.raw_bytes;
        row->stored_bytes = m.stored_bytes;
        row->processes = m.nprocesses;
        manifest_free(&m);
    }
    io_close(&fd);
}
