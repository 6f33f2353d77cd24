/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump/room.h"

#include "common/gendir.h"
#include "common/io.h"
#include "common/manifest.h"
#include "common/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define SPARE                                                                                      \
    (16u << 20) /* bytes that stay free, for what the job itself writes there while it runs on */
#define BEST_RATIO 20 /* compressed memory is hardly ever smaller than 1/20 */
#define FEW_FILES 16
#define PRUNE ": remove some: scheckpoint prune"

/* "1.5 GiB" */
struct size {
    char text[24];
};

static struct size size(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    struct size s;
    size_t i = 0;

    for (; v >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
        v /= 1024;
    snprintf(s.text, sizeof s.text, i ? "%.1f %s" : "%.0f %s", v, units[i]);
    return s;
}

static int load_manifest(int taskfd, struct gendir_id id, struct manifest *m)
{
    char name[40], *text = NULL;
    size_t len;
    int dirfd, fd = -1, rc = -1;

    gendir_format_name(id, false, name);
    dirfd = gendir_open_dir(taskfd, name, NULL);
    if (dirfd >= 0)
        fd = gendir_open_file(dirfd, MANIFEST_FILE, O_RDONLY, 0, NULL);
    if (fd >= 0)
        text = io_slurp(fd, MANIFEST_MAX_BYTES, &len, NULL);
    if (text)
        rc = manifest_decode(text, len, m, NULL);
    free(text);
    io_close(&fd);
    io_close(&dirfd);
    return rc;
}

uint64_t room_estimate(int taskfd, const struct facts *f, uint64_t memory)
{
    struct gendir_id *ids = NULL;
    struct manifest m;
    uint64_t bytes = memory;

    if (f->compress == COMPRESS_NONE)
        return bytes;
    bytes = memory / BEST_RATIO;
    if (gendir_list(taskfd, &ids, NULL) > 0 && load_manifest(taskfd, ids[0], &m) == 0) {
        if (manifest_compress(&m) == f->compress && m.raw_bytes > 0)
            bytes = (uint64_t)((double)memory / (double)m.raw_bytes * (double)m.stored_bytes);
        manifest_free(&m);
    }
    free(ids);
    return bytes;
}

/* What to do, where anything is there that may go: more than the newest generation of this task. */
static const char *prune(int taskfd, const struct facts *f)
{
    struct gendir_id *ids = NULL;
    int base = gendir_open_base(f->dir, f->uid, false, NULL), dirfd = -1;
    uint64_t taken = 0, newest = 0;
    char name[40];

    if (base >= 0 && usage_base(base, &taken, NULL) == 0 && gendir_list(taskfd, &ids, NULL) > 0) {
        gendir_format_name(ids[0], false, name);
        dirfd = gendir_open_dir(taskfd, name, NULL);
        newest = dirfd >= 0 ? usage_dir(dirfd) : 0;
    }
    io_close(&dirfd);
    io_close(&base);
    free(ids);
    return taken > newest ? PRUNE : "";
}

static int too_full(int taskfd, const struct facts *f, uint64_t room, uint64_t need, uint64_t spare,
                    struct err *err)
{
    const char *what = prune(taskfd, f);

    errno = ENOSPC;
    if (!spare)
        return err_set(err, "%s: %s free, about %s needed at least%s", f->dir, size(room).text,
                       size(need).text, what);
    return err_set(err, "%s: %s free, about %s needed at least, and %s to be left over%s", f->dir,
                   size(room).text, size(need).text, size(spare).text, what);
}

static int check_filesystem(int fd, const struct facts *f, uint64_t need, bool last, uint64_t *room,
                            struct err *err)
{
    const uint64_t spare = last ? 0 : SPARE;
    struct statvfs st;
    const char *what;
    uint64_t used;

    if (fstatvfs(fd, &st) < 0)
        return err_sys(err, "statvfs of the checkpoint directory");
    *room = (uint64_t)st.f_bavail * st.f_frsize;
    used = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
    if (*room < spare + need)
        return too_full(fd, f, *room, need, spare, err);
    errno = ENOSPC;
    if (st.f_files && st.f_favail < FEW_FILES)
        return err_set(err, "%s: no inodes left", f->dir);
    if (f->min_free && *room < f->min_free + need) {
        what = prune(fd, f);
        errno = ENOSPC;
        return err_set(err,
                       "%s: %s free, about %s needed, but the site wants %s to stay free there "
                       "(MinFree)%s",
                       f->dir, size(*room).text, size(need).text, size(f->min_free).text, what);
    }
    if (f->max_site_size && used + need > f->max_site_size) {
        what = prune(fd, f);
        errno = ENOSPC;
        return err_set(err,
                       "%s: %s of that filesystem are in use, about %s needed, but the site allows "
                       "%s in all (MaxSiteSize)%s",
                       f->dir, size(used).text, size(need).text, size(f->max_site_size).text, what);
    }
    return 0;
}

/* Of this task's generations, what goes when the coming one is complete. */
static uint64_t to_be_pruned(int taskfd, const struct facts *f)
{
    struct gendir_id *ids = NULL;
    int n = gendir_list(taskfd, &ids, NULL);
    uint64_t sum = 0;

    for (int i = (int)f->keep - 1; i < n; i++) {
        char name[40];
        int fd;

        gendir_format_name(ids[i], false, name);
        fd = gendir_open_dir(taskfd, name, NULL);
        if (fd >= 0)
            sum += usage_dir(fd);
        io_close(&fd);
    }
    free(ids);
    return sum;
}

static int check_user(int taskfd, const struct facts *f, uint64_t need, struct err *err)
{
    int base = gendir_open_base(f->dir, f->uid, false, err);
    uint64_t taken = 0, goes = to_be_pruned(taskfd, f);
    const char *what;
    int rc = base < 0 ? -1 : usage_base(base, &taken, err);

    io_close(&base);
    if (rc < 0)
        return err_prefix(err, "MaxUserSize");
    taken = taken > goes ? taken - goes : 0;
    if (taken + need <= f->max_user_size)
        return 0;
    what = prune(taskfd, f);
    errno = EDQUOT;
    return err_set(err,
                   "your checkpoints in %s take %s, this one about %s more; the site allows each "
                   "user %s (MaxUserSize)%s",
                   f->dir, size(taken).text, size(need).text, size(f->max_user_size).text, what);
}

int room_check(int taskfd, const struct facts *f, uint64_t memory, bool last, uint64_t *reserve,
               struct err *err)
{
    uint64_t need = room_estimate(taskfd, f, memory), room = 0;

    if (f->max_size && need > f->max_size) {
        errno = EFBIG;
        return err_set(err,
                       "the checkpoint would take about %s; the site allows %s for one (MaxSize)",
                       size(need).text, size(f->max_size).text);
    }
    if (check_filesystem(taskfd, f, need, last, &room, err) < 0 ||
        (f->max_user_size && check_user(taskfd, f, need, err) < 0))
        return -1;
    *reserve = memory < room / 2 ? memory : 0;
    return 0;
}
