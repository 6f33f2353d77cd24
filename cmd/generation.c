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

/* Up to here a manifest is decoded wholly; of a longer one only what is before the processes, which
 * are counted. A thousand are to be listed in a second. */
#define WHOLE_MAX 4096u
#define CHUNK 65536u
#define COUNTED_MAX (4u * CHUNK) /* beyond, "at least" is good enough */

static const char processes_key[] = "\n \"processes\": ["; /* as manifest_encode writes it */
static const char pid_key[] = "\"pid\":";                  /* once in each of them */
static const char stand_in[] =
    "{\"pid\":1,\"ppid\":0,\"pgid\":1,\"sid\":1,\"threads\":[1],\"comm\":\"\"}]}";

/* A text cannot hold a key: its quotes would have a backslash before them. */
static size_t count_pids(const char *text, size_t len)
{
    const char *end = text + len, *p = text;
    size_t n = 0;

    for (; (p = memmem(p, (size_t)(end - p), pid_key, sizeof pid_key - 1)); p++)
        n++;
    return n;
}

/* How many processes; *more when the file goes on. -1 */
static ssize_t count_processes(int fd, off_t size, bool *more)
{
    const size_t overlap = sizeof pid_key - 2;
    const off_t end = size < (off_t)COUNTED_MAX ? size : (off_t)COUNTED_MAX;
    char *chunk = malloc(CHUNK + overlap);
    size_t carried = 0;
    ssize_t n = chunk ? 0 : -1;

    *more = size > end;
    for (off_t at = 0; n >= 0 && at < end;) {
        size_t len = (size_t)(end - at) < CHUNK ? (size_t)(end - at) : CHUNK;

        if (io_pread_full(fd, chunk + carried, len, at) < 0) {
            n = -1;
            break;
        }
        at += (off_t)len;
        len += carried;
        n += (ssize_t)count_pids(chunk, len);
        carried = len < overlap ? len : overlap;
        memmove(chunk, chunk + len - carried, carried);
    }
    free(chunk);
    return n;
}

/* The fields before the processes, with one that stands in for them; false: it is not written as we
 * write it. */
static bool decode_head(int fd, struct manifest *m)
{
    char head[WHOLE_MAX + sizeof stand_in], *cut;

    if (io_pread_full(fd, head, WHOLE_MAX, 0) < 0)
        return false;
    cut = memmem(head, WHOLE_MAX, processes_key, sizeof processes_key - 1);
    if (!cut)
        return false;
    cut += sizeof processes_key - 1;
    memcpy(cut, stand_in, sizeof stand_in);
    return manifest_decode(head, (size_t)(cut - head) + sizeof stand_in - 1, m, NULL) == 0;
}

static int decode_whole(int fd, struct manifest *m, struct err *err)
{
    size_t len = 0;
    char *text = io_slurp(fd, MANIFEST_MAX_BYTES, &len, err);
    int rc = text ? manifest_decode(text, len, m, err) : -1;

    free(text);
    return rc;
}

/* The manifest, and how many processes it has; -1: damaged. */
static int read_manifest(int genfd, struct manifest *m, struct generation *row, struct err *err)
{
    int fd = gendir_open_file(genfd, MANIFEST_FILE, O_RDONLY, 0, err), rc = -1;
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)WHOLE_MAX && decode_head(fd, m)) {
        n = count_processes(fd, st.st_size, &row->more_processes);
        rc = n < 0 ? err_sys(err, MANIFEST_FILE) : 0;
        row->processes = n < 0 ? 0 : (size_t)n;
        if (rc < 0)
            manifest_free(m);
    } else {
        rc = decode_whole(fd, m, err);
        row->processes = rc < 0 ? 0 : m->nprocesses;
    }
    io_close(&fd);
    return rc;
}

static int check_part(int genfd, const char *name, uint64_t bytes, struct err *err)
{
    struct stat st;

    if (fstatat(genfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, "%s", name);
    errno = EBADMSG;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
        return err_set(err, "%s has another size than the manifest says", name);
    return 0;
}

/* Are the parts there, with the sizes that the manifest says? Their bytes are not read. */
static int check_parts(int genfd, const struct manifest *m, struct err *err)
{
    char name[48];

    for (size_t i = 0; i < sizeof m->parts / sizeof m->parts[0]; i++)
        if (check_part(genfd, m->parts[i].name, m->parts[i].bytes, err) < 0)
            return -1;
    for (size_t i = 0; i < m->nlinks; i++) {
        gendir_format_link(m->links[i].generation, name);
        if (check_part(genfd, name, m->links[i].bytes, err) < 0)
            return -1;
    }
    return 0;
}

static int decode(int genfd, struct generation *row, struct manifest *m, struct err *err)
{
    const struct base_job *j = &row->job;
    const struct gendir_id id = row->id;
    int rc = read_manifest(genfd, m, row, err);

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
    row->processes = 0;
    row->more_processes = false;
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
    if (fd < 0 || decode(fd, row, &m, &err) < 0) {
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
        row->written_bytes = manifest_written(&m);
        manifest_free(&m);
    }
    io_close(&fd);
}
