/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank/steps.h"

#include "common/beneath.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN "run"
#define FORMER "former"
#define HOLD "hold"
#define RERUN "rerun"
#define AFTER "after-"
#define COMMAND_MAX 1024u
#define TEXT_MAX (4u << 20)
#define CLAIMS_MAX 100000u
#define SNAPSHOTS_KEPT 16

int steps_open(const struct facts *f, bool create, struct err *err)
{
    struct facts *g = malloc(sizeof *g);
    int fd;

    if (!g)
        return err_sys(err, "no memory");
    *g = *f;
    memcpy(g->task, STEPS_DIR, sizeof STEPS_DIR);
    fd = gendir_open_task(g, create, err);
    free(g);
    return fd;
}

/* ---- small files ---- */

static char *get_text(int fd, const char *name, struct err *err)
{
    int file = gendir_open_file(fd, name, O_RDONLY, 0, err);
    char *text;
    size_t len;

    if (file < 0)
        return NULL;
    text = io_slurp(file, TEXT_MAX, &len, err);
    io_close(&file);
    return text;
}

static int put_text(int fd, const char *name, const char *text, struct err *err)
{
    char tmp[96];
    int file, rc;

    snprintf(tmp, sizeof tmp, ".%s.tmp", name);
    unlinkat(fd, tmp, 0);
    file = gendir_open_file(fd, tmp, O_WRONLY | O_CREAT, 0600, err);
    if (file < 0)
        return -1;
    rc = io_write_full(file, text, strlen(text)) < 0 || fsync(file) < 0 ||
                 renameat(fd, tmp, fd, name) < 0
             ? err_sys(err, "cannot write %s", name)
             : 0;
    io_close(&file);
    return rc;
}

static int damaged(struct err *err, const char *name)
{
    errno = EBADMSG;
    return err_set(err, "%s is damaged", name);
}

int steps_run_write(int fd, const struct steps_run *r, struct err *err)
{
    char text[64];

    snprintf(text, sizeof text, "%u %s\n", r->epoch, r->from_start ? "start" : "tree");
    return put_text(fd, RUN, text, err);
}

int steps_run_read(int fd, struct steps_run *r, struct err *err)
{
    char *text = get_text(fd, RUN, err), how[8] = "";
    unsigned epoch;
    int n;

    if (!text)
        return -1;
    n = sscanf(text, "%u %7s", &epoch, how);
    free(text);
    if (n != 2 || (strcmp(how, "start") != 0 && strcmp(how, "tree") != 0))
        return damaged(err, RUN);
    r->epoch = epoch;
    r->from_start = strcmp(how, "start") == 0;
    return 0;
}

/* ---- claims ---- */

bool steps_name_ok(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 24 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* "WORD-N" and no other name in there. */
static bool is_claim(const char *name)
{
    const char *dash = strrchr(name, '-');

    return dash && dash != name && strncmp(name, AFTER, strlen(AFTER)) != 0 && dash[1] &&
           strspn(dash + 1, "0123456789") == strlen(dash + 1) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
               (size_t)(dash - name);
}

/* fn for each name that wants() likes; -1 when the directory cannot be read. */
static int each(int fd, bool (*wants)(const char *), int (*fn)(int, const char *, void *),
                void *arg, struct err *err)
{
    DIR *d = beneath_list(fd, err);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return -1;
    while (rc == 0 && (errno = 0, e = readdir(d)))
        if (wants(e->d_name))
            rc = fn(fd, e->d_name, arg);
    if (rc == 0 && errno)
        rc = err_sys(err, "cannot read the directory of steps");
    beneath_end(d);
    return rc;
}

static int count_one(int fd, const char *name, void *arg)
{
    (void)fd;
    (void)name;
    ++*(unsigned *)arg;
    return 0;
}

static bool held(int fd)
{
    struct stat st;

    return fstatat(fd, HOLD, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int wait_for_hold(int fd, int wait_ms, struct err *err)
{
    for (int waited = 0; held(fd); waited += 50) {
        if (waited >= wait_ms) {
            errno = ETIMEDOUT;
            return err_set(err, "a checkpoint of the batch script does not end");
        }
        poll(NULL, 0, 50);
    }
    return 0;
}

static int write_claim(int file, unsigned order, const char *command, struct err *err)
{
    char text[COMMAND_MAX + 32];
    int n = snprintf(text, sizeof text - 1, "%u %.*s", order, (int)COMMAND_MAX - 1, command);

    err_clean(text);
    text[n] = '\n';
    text[n + 1] = '\0';
    return io_write_full(file, text, strlen(text)) < 0 ? err_sys(err, "cannot write a step's claim")
                                                       : 0;
}

int steps_claim(int fd, const char *word, const char *command, int wait_ms, char key[STEPS_KEY_MAX],
                unsigned *order, struct err *err)
{
    unsigned count = 0;
    int file = -1, rc;

    if (strlen(word) > STEPS_WORD_MAX) {
        errno = EINVAL;
        return err_set(err, "the step's name is too long");
    }
    if (wait_for_hold(fd, wait_ms, err) < 0 || each(fd, is_claim, count_one, &count, err) < 0)
        return -1;
    for (unsigned n = 0; n < CLAIMS_MAX && file < 0; n++) {
        snprintf(key, STEPS_KEY_MAX, "%s-%u", word, n);
        file = gendir_open_file(fd, key, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
        if (file < 0 && errno != EEXIST)
            return -1;
    }
    if (file < 0)
        return -1;
    rc = write_claim(file, count, command, err);
    io_close(&file);
    *order = count;
    return rc;
}

struct collect {
    char *text;
    size_t len;
    bool with_text;
};

static int collect_one(int fd, const char *name, void *arg)
{
    struct collect *c = arg;
    char *more, *said = c->with_text ? get_text(fd, name, NULL) : NULL, *space;
    size_t room = strlen(name) + (said ? strlen(said) : 0) + 8;

    more = realloc(c->text, c->len + room);
    if (!more) {
        free(said);
        return -1;
    }
    c->text = more;
    space = said ? strchr(said, ' ') : NULL;
    if (space) {
        *space++ = '\0';
        space[strcspn(space, "\n")] = '\0';
        c->len += (size_t)snprintf(more + c->len, room, "%s %s %s\n", said, name, space);
    } else if (!c->with_text) {
        c->len += (size_t)snprintf(more + c->len, room, "%s\n", name);
    }
    free(said);
    return 0;
}

static char *collect(int fd, bool with_text, struct err *err)
{
    struct collect c = {calloc(1, 1), 0, with_text};

    if (!c.text || each(fd, is_claim, collect_one, &c, err) < 0) {
        free(c.text);
        return NULL;
    }
    return c.text;
}

static int drop_one(int fd, const char *name, void *arg)
{
    (void)arg;
    return unlinkat(fd, name, 0) < 0 && errno != ENOENT ? -1 : 0;
}

static bool is_snapshot(const char *name)
{
    return strncmp(name, AFTER, strlen(AFTER)) == 0;
}

int steps_reset(int fd, struct err *err)
{
    char *text = collect(fd, true, err);
    int rc;

    if (!text)
        return -1;
    rc = *text ? put_text(fd, FORMER, text, err) : 0;
    free(text);
    if (rc == 0 && (each(fd, is_claim, drop_one, NULL, err) < 0 ||
                    each(fd, is_snapshot, drop_one, NULL, err) < 0))
        rc = err_sys(err, "cannot forget the steps of the run before");
    return rc < 0 ? rc : steps_hold(fd, false, err);
}

int steps_changed(int fd, const char *key, unsigned order, char *command, size_t size)
{
    char *text = get_text(fd, FORMER, NULL), *save = NULL, there[COMMAND_MAX] = "";
    bool known = false;

    if (!text)
        return 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char its[STEPS_KEY_MAX];
        unsigned number;
        int at = 0;

        if (sscanf(line, "%u %43s %n", &number, its, &at) != 2 || at == 0)
            continue;
        known = known || strcmp(its, key) == 0;
        if (number == order)
            snprintf(there, sizeof there, "%s", line + at);
    }
    free(text);
    if (known || !there[0])
        return 0;
    snprintf(command, size, "%s", there);
    return 1;
}

int steps_hold(int fd, bool hold, struct err *err)
{
    if (hold)
        return put_text(fd, HOLD, "", err);
    if (unlinkat(fd, HOLD, 0) < 0 && errno != ENOENT)
        return err_sys(err, "cannot release the steps");
    return 0;
}

/* ---- snapshots ---- */

static void snapshot_name(const struct gendir_id *g, char name[64])
{
    if (g)
        snprintf(name, 64, AFTER GENDIR_NAME, g->epoch, g->sequence);
    else
        snprintf(name, 64, AFTER "0");
}

/* The generation in a snapshot's name; {0, 0} stands for none. */
static bool snapshot_id(const char *name, struct gendir_id *id)
{
    *id = (struct gendir_id){0, 0};
    return strcmp(name, AFTER "0") == 0 || gendir_parse_name(name + strlen(AFTER), id, NULL);
}

struct find {
    struct gendir_id below, best;
    unsigned n;
    bool oldest; /* look for the oldest instead */
    char name[64];
};

static int find_one(int fd, const char *name, void *arg)
{
    struct find *f = arg;
    struct gendir_id id;
    int cmp;

    (void)fd;
    if (strlen(name) >= sizeof f->name || !snapshot_id(name, &id) ||
        (!f->oldest && gendir_compare(id, f->below) >= 0))
        return 0;
    f->n++;
    cmp = gendir_compare(id, f->best);
    if (!f->name[0] || (f->oldest ? cmp < 0 : cmp > 0)) {
        f->best = id;
        snprintf(f->name, sizeof f->name, "%s", name);
    }
    return 0;
}

int steps_snapshot(int fd, const struct gendir_id *newest, struct err *err)
{
    char name[64], *text = collect(fd, false, err);
    struct find old = {.oldest = true};
    int rc;

    if (!text)
        return -1;
    snapshot_name(newest, name);
    rc = put_text(fd, name, text, err);
    free(text);
    if (rc == 0 && each(fd, is_snapshot, find_one, &old, NULL) == 0 && old.n > SNAPSHOTS_KEPT)
        unlinkat(fd, old.name, 0);
    return rc;
}

static bool has_line(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        if (strncmp(p, word, n) == 0 && p[n] == '\n')
            return true;
    return false;
}

static int keep_known(int fd, const char *name, void *arg)
{
    return has_line(arg, name) ? 0 : drop_one(fd, name, NULL);
}

int steps_rewind(int fd, struct gendir_id g, struct err *err)
{
    struct find f = {.below = g};
    unsigned claims = 0;
    char *text;
    int rc;

    if (each(fd, is_snapshot, find_one, &f, err) < 0 ||
        each(fd, is_claim, count_one, &claims, err) < 0)
        return -1;
    errno = ENOENT;
    if (!f.name[0])
        return claims == 0 ? steps_hold(fd, false, err)
                           : err_set(err, "nobody knows which steps came before this generation");
    text = get_text(fd, f.name, err);
    if (!text)
        return -1;
    rc = each(fd, is_claim, keep_known, text, err);
    free(text);
    return rc < 0 ? rc : steps_hold(fd, false, err);
}

int steps_mark(int fd, uint32_t epoch, const struct gendir_id *newest, struct err *err)
{
    char text[64];

    if (newest)
        snprintf(text, sizeof text, "%u " GENDIR_NAME "\n", epoch, newest->epoch, newest->sequence);
    else
        snprintf(text, sizeof text, "%u 0\n", epoch);
    return put_text(fd, RERUN, text, err);
}

bool steps_marked(int fd, const struct gendir_id *newest)
{
    char *text = get_text(fd, RERUN, NULL), name[40] = "";
    struct gendir_id after = {0, 0};
    unsigned epoch;
    bool ok;

    if (!text)
        return false;
    ok = sscanf(text, "%u %39s", &epoch, name) == 2 &&
         (strcmp(name, "0") == 0 || gendir_parse_name(name, &after, NULL));
    free(text);
    return ok && (!newest || gendir_compare(*newest, after) <= 0);
}
