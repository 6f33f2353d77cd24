/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/io.h"
#include "dump/files_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define ROOTS_MAX 4096u
#define TMP_DIRS_MAX 16
#define PIDS_MAX 2000u /* whose environment is looked at */
#define ENVIRON_MAX (1u << 20)

/* A walk through a directory that is taken along whole. */
struct walk {
    struct files *fs;
    enum files_wanted wanted;
    struct stat base; /* of all checkpoints: never copied into one of them */
    struct err *err;
};

static int take_dir(struct walk *w, const char *path, int fd, const struct stat *st, int depth);

static int add(struct walk *w, enum file_role role, const char *path, const struct stat *st,
               const char *target)
{
    struct file_entry e;

    if (files_entry(&e, role, path, st, w->err) < 0)
        return -1;
    if (target && !(e.target = strdup(target))) {
        free(e.path);
        return err_sys(w->err, "list of files");
    }
    return filelist_add(&w->fs->list, &e, w->err);
}

static int take_file(struct walk *w, const char *path, int fd, const struct stat *st)
{
    const struct scan_file *open = filescan_find(&w->fs->scan, path);
    int rc;

    /* Open ones are there already; the job's output is everybody's who writes to it. */
    if (open && (open->output || filescan_role(open) == FILE_COPY))
        return 0;
    if (st->st_uid != w->fs->o.facts->uid) {
        files_warn(w->fs, "%.250s is not in the checkpoint: it belongs to another user", path);
        return 0;
    }
    rc = files_copy(w->fs, path, fd, st, w->wanted, w->err);
    return rc < 0 ? -1 : files_copy_journals(w->fs, path, fd, w->err);
}

static int take_link(struct walk *w, const char *path, int dirfd, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);

    if (n <= 0)
        return 0;
    target[n] = '\0';
    return add(w, FILE_LINK, path, NULL, target);
}

/* Regular file or directory; what else there is has no contents. */
static int take_fd(struct walk *w, const char *path, int fd, int depth)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(w->err, "%.250s", path);
    if (S_ISDIR(st.st_mode))
        return take_dir(w, path, fd, &st, depth);
    return S_ISREG(st.st_mode) ? take_file(w, path, fd, &st) : 0;
}

static int take_name(struct walk *w, const char *dir, int dirfd, const char *name, int depth)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name), fd, rc;
    struct stat st;

    if (n < 0 || (size_t)n >= sizeof path || !filelist_path_ok(path)) {
        files_warn(w->fs, "%.200s/... is not in the checkpoint: the name is too long", dir);
        return 0;
    }
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(w->err, "%.250s", path);
    if (S_ISLNK(st.st_mode))
        return take_link(w, path, dirfd, name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return 0;
    fd = files_open_at(dirfd, name, O_RDONLY);
    if (fd < 0) {
        if (errno != ENOENT)
            files_warn(w->fs, "%.250s is not in the checkpoint: %s", path, strerror(errno));
        return 0;
    }
    rc = take_fd(w, path, fd, depth + 1);
    io_close(&fd);
    return rc;
}

static int take_dir(struct walk *w, const char *path, int fd, const struct stat *st, int depth)
{
    const struct dirent *e;
    int own, rc = 0;
    DIR *d;

    if (st->st_dev == w->base.st_dev && st->st_ino == w->base.st_ino)
        return 0;
    if (depth > DEPTH_MAX) {
        files_warn(w->fs, "%.250s is not in the checkpoint: too many directories deep", path);
        return 0;
    }
    if (add(w, FILE_DIR, path, st, NULL) < 0)
        return -1;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    d = own < 0 ? NULL : fdopendir(own);
    if (!d) {
        err_sys(w->err, "%.250s", path);
        io_close(&own);
        return -1;
    }
    while (rc == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = take_name(w, path, fd, e->d_name, depth);
    closedir(d);
    return rc;
}

static int walk_begin(struct walk *w, struct files *fs, enum files_wanted wanted, struct err *err)
{
    memset(w, 0, sizeof *w);
    w->fs = fs;
    w->wanted = wanted;
    w->err = err;
    return stat(fs->o.facts->dir, &w->base) < 0 ? err_sys(err, "%s", fs->o.facts->dir) : 0;
}

/* ---- files= ---- */

struct roots {
    char **v; /* canonical */
    size_t n;
};

/* Below one that is taken already? */
static bool covered(const struct roots *r, const char *path)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t len = strlen(r->v[i]);

        if (strncmp(r->v[i], path, len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}

static int take_absent(struct walk *w, const char *given)
{
    char copy[PATH_MAX], dir[PATH_MAX], path[2 * PATH_MAX];
    char *slash;

    if (strlen(given) >= sizeof copy)
        return 0;
    memcpy(copy, given, strlen(given) + 1);
    slash = strrchr(copy, '/');
    if (!slash || !slash[1])
        return 0;
    *slash = '\0';
    if (!realpath(*copy ? copy : "/", dir))
        return 0;
    snprintf(path, sizeof path, "%s/%s", strcmp(dir, "/") ? dir : "", slash + 1);
    /* A name that leads nowhere may still be a symbolic link. */
    if (!filelist_path_ok(path) || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return add(w, FILE_ABSENT, path, NULL, NULL);
}

static int take_root(struct walk *w, struct roots *r, const char *given)
{
    char path[PATH_MAX], **more;
    int fd, rc;

    if (!realpath(given, path))
        return errno == ENOENT ? take_absent(w, given) : err_sys(w->err, "files=%.250s", given);
    if (covered(r, path) || !filelist_path_ok(path))
        return 0;
    if (r->n >= ROOTS_MAX) {
        errno = EFBIG;
        return err_set(w->err, "files= matches more than %u names", ROOTS_MAX);
    }
    more = realloc(r->v, (r->n + 1) * sizeof *more);
    if (!more)
        return err_sys(w->err, "list of files");
    r->v = more;
    r->v[r->n] = strdup(path);
    if (!r->v[r->n])
        return err_sys(w->err, "list of files");
    r->n++;
    fd = files_open(path, O_RDONLY);
    if (fd < 0)
        return err_sys(w->err, "files=%.250s", path);
    rc = take_fd(w, path, fd, 0);
    io_close(&fd);
    return rc;
}

static int take_pattern(struct walk *w, struct roots *r, const char *given)
{
    char path[2 * PATH_MAX];
    glob_t found;
    int rc = 0;

    if (*given == '/')
        snprintf(path, sizeof path, "%s", given);
    else if (w->fs->scan.cwd)
        snprintf(path, sizeof path, "%s/%s", w->fs->scan.cwd, given);
    else
        return 0;
    if (!strpbrk(path, "*?["))
        return take_root(w, r, path);
    if (glob(path, 0, NULL, &found) != 0)
        return 0; /* nothing of that form yet */
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
        rc = take_root(w, r, found.gl_pathv[i]);
    globfree(&found);
    return rc;
}

int files_named(struct files *fs, struct err *err)
{
    struct roots roots = {NULL, 0};
    char *list = strdup(fs->o.facts->files), *save = NULL;
    struct walk w;
    int rc = list ? walk_begin(&w, fs, FILES_NAMED, err) : err_sys(err, "list of files");

    for (char *p = rc == 0 ? strtok_r(list, ":", &save) : NULL; p && rc == 0;
         p = strtok_r(NULL, ":", &save))
        rc = take_pattern(&w, &roots, p);
    for (size_t i = 0; i < roots.n; i++)
        free(roots.v[i]);
    free(roots.v);
    free(list);
    return rc;
}

/* ---- TMPDIR ---- */

struct tmp_dirs {
    char *v[TMP_DIRS_MAX];
    size_t n;
};

static void note_tmp(struct tmp_dirs *t, const char *value)
{
    char path[PATH_MAX];

    if (*value != '/' || t->n == TMP_DIRS_MAX || !realpath(value, path) || !filelist_path_ok(path))
        return;
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->v[i], path))
            return;
    t->v[t->n] = strdup(path);
    t->n += t->v[t->n] != NULL;
}

static void look_at_environment(struct tmp_dirs *t, uint32_t pid)
{
    char name[32], *text;
    size_t len = 0;
    int fd;

    snprintf(name, sizeof name, "/proc/%u/environ", pid);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    text = fd < 0 ? NULL : io_slurp(fd, ENVIRON_MAX, &len, NULL);
    io_close(&fd);
    for (const char *p = text; p && p < text + len; p += strlen(p) + 1)
        if (!strncmp(p, "TMPDIR=", 7))
            note_tmp(t, p + 7);
    free(text);
}

/* Is the job's number, as a whole, in one of the path's components? */
static bool has_job(const char *path, uint32_t job)
{
    char number[16];
    size_t n = (size_t)snprintf(number, sizeof number, "%u", job);

    for (const char *p = path; (p = strstr(p, number)); p++)
        if (!(p > path && p[-1] >= '0' && p[-1] <= '9') && !(p[n] >= '0' && p[n] <= '9'))
            return true;
    return false;
}

/* Made since the job began: the copy of ckpt-init in the task's directory was its first act. */
int files_made_by_job(const struct files *fs, int fd)
{
    struct statx file;
    struct stat first;

    if (fstatat(fs->o.taskfd, "ckpt-init", &first, AT_SYMLINK_NOFOLLOW) < 0 ||
        statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &file) < 0)
        return 0;
    if (!(file.stx_mask & STATX_BTIME))
        return -1;
    return file.stx_btime.tv_sec >= first.st_mtim.tv_sec;
}

static bool contains(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    return path && strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Another job of the same user may use it too: then what it holds is not ours to put back. */
static bool is_private(const struct files *fs, const char *path, int fd, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) || st->st_uid != fs->o.facts->uid || (st->st_mode & 022))
        return false;
    if (contains(path, fs->scan.cwd) || contains(path, fs->o.facts->dir))
        return false;
    return has_job(path, fs->o.facts->job) || files_made_by_job(fs, fd) > 0;
}

static int take_tmp(struct walk *w, const char *path)
{
    int fd = files_open(path, O_RDONLY | O_DIRECTORY), rc = 0;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0)
        rc = take_dir(w, path, fd, &st, 0);
    io_close(&fd);
    return rc;
}

/* Slurm itself sets TMPDIR=/tmp: what is not the job's alone goes first, then what lies in another one. */
static void keep_private(const struct files *fs, struct tmp_dirs *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->n; i++) {
        int fd = files_open(t->v[i], O_RDONLY | O_DIRECTORY);
        struct stat st;

        if (fd >= 0 && fstat(fd, &st) == 0 && is_private(fs, t->v[i], fd, &st))
            t->v[kept++] = t->v[i];
        else
            free(t->v[i]);
        io_close(&fd);
    }
    t->n = kept;
}

static bool is_inside(const struct tmp_dirs *t, size_t one)
{
    for (size_t i = 0; i < t->n; i++)
        if (i != one && contains(t->v[i], t->v[one]))
            return true;
    return false;
}

int files_tmp(struct files *fs, struct err *err)
{
    struct tmp_dirs t = {.n = 0};
    struct walk w;
    int rc = walk_begin(&w, fs, FILES_TMP, err);

    for (size_t i = 0; i < fs->scan.npids && i < PIDS_MAX && rc == 0; i++)
        look_at_environment(&t, fs->scan.pids[i]);
    keep_private(fs, &t);
    for (size_t i = 0; i < t.n && rc == 0; i++)
        if (!is_inside(&t, i))
            rc = take_tmp(&w, t.v[i]);
    for (size_t i = 0; i < t.n; i++)
        free(t.v[i]);
    return rc;
}
