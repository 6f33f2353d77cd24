/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/conf.h"

#include "common/conf_key.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES 65536

/* What the reader and the handler that inih calls have to know of each other. */
struct state {
    FILE *file;
    struct conf *conf;
    uint64_t seen;
    unsigned line;
    unsigned bad_line; /* 0: none */
    char why[300];
};

void conf_defaults(struct conf *c)
{
    memset(c, 0, sizeof *c);
    snprintf(c->state_dir, sizeof c->state_dir, "/run/slurm-spank-checkpoint");
    snprintf(c->helper_dir, sizeof c->helper_dir, "%s", CKPT_HELPERDIR);
    snprintf(c->criu, sizeof c->criu, "/usr/sbin/criu");
    c->isolation = ISOLATION_PRIVATE;
    c->allow_host = c->allow_private = true;
    c->interval = 3600;
    c->keep = 2;
    c->max_keep = 10;
    c->compress = COMPRESS_ZSTD;
    c->compress_level = 1;
    c->dump_timeout = c->restore_timeout = 3600;
    c->max_dumps = 4;
    c->job_clock = true;
    c->max_restarts = 20;
    c->expire_days = 14;
    c->busy_wait = c->busy_retries = 5;
    c->mtbf = 30 * 86400;
    c->files_limit = UINT64_C(2) << 30;
    c->files_small = UINT64_C(1) << 20;
    c->hook_timeout = 30;
}

/* The first complaint counts; inih goes on reading. */
__attribute__((format(printf, 2, 3))) static bool refuse(struct state *st, const char *fmt, ...)
{
    va_list ap;

    if (st->bad_line)
        return false;
    st->bad_line = st->line ? st->line : 1;
    va_start(ap, fmt);
    if (vsnprintf(st->why, sizeof st->why, fmt, ap) < 0)
        st->why[0] = '\0';
    va_end(ap);
    return false;
}

static uint64_t bit(const struct conf_key *key)
{
    return UINT64_C(1) << conf_key_index(key);
}

static bool given(const struct state *st, const char *key)
{
    return st->seen & bit(conf_key_find(key));
}

static int handler(void *user, const char *section, const char *name, const char *value)
{
    struct state *st = user;
    const struct conf_key *key = conf_key_find(name);
    char copy[INI_MAX_LINE];
    struct err err = {{0}};
    size_t len = 0;

    if (*section)
        return refuse(st, "[%s]: this file has no sections", section);
    if (!key)
        return refuse(st, "unknown key '%s'", name);
    if (st->seen & bit(key))
        return refuse(st, "%s is given twice", conf_key_name(key));
    st->seen |= bit(key);
    /* A comment behind the value, as in slurm.conf; inih only knows that of ';'. */
    while (value[len] && !(strchr(" \t", value[len]) && value[len + 1] == '#'))
        len++;
    while (len > 0 && strchr(" \t", value[len - 1]))
        len--;
    if (len >= sizeof copy)
        return refuse(st, "%s is too long", conf_key_name(key));
    memcpy(copy, value, len);
    copy[len] = '\0';
    return conf_key_set(key, copy, st->conf, &err) == 0 || refuse(st, "%s", err.text);
}

/* fgets for inih, which would cut a long line in two without a word, and would take an indented
 * line for a part of the one before. */
static char *reader(char *buf, int size, void *stream)
{
    struct state *st = stream;
    size_t len, blanks;

    if (!fgets(buf, size, st->file))
        return NULL;
    st->line++;
    len = strlen(buf);
    if ((len == 0 || buf[len - 1] != '\n') && !feof(st->file)) {
        refuse(st, "the line is too long (over %d bytes), or has a zero byte in it", size - 2);
        return NULL;
    }
    blanks = strspn(buf, " \t");
    memmove(buf, buf + blanks, len - blanks + 1);
    return buf;
}

/* What one key alone cannot tell. A default gives way to what was written. */
static bool settle(struct state *st)
{
    struct conf *c = st->conf;

    st->line = 0;
    if (!given(st, "Isolation") && !c->allow_private)
        c->isolation = ISOLATION_HOST;
    if (c->isolation == ISOLATION_HOST ? !c->allow_host : !c->allow_private)
        return refuse(st, "Isolation is not one of AllowIsolation");
    if (!given(st, "Keep") && c->keep > c->max_keep)
        c->keep = c->max_keep;
    if (!given(st, "MaxKeep") && c->keep > c->max_keep)
        c->max_keep = c->keep;
    if (c->keep > c->max_keep)
        return refuse(st, "Keep is greater than MaxKeep");
    return true;
}

static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "%s", path);
    errno = EINVAL;
    if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE_BYTES)
        return err_set(err, "%s: not a regular file of at most %d bytes", path, MAX_FILE_BYTES);
    errno = EPERM;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(err, "%s: belongs to uid %u: chown it to root", path, st.st_uid);
    /* Root must not take a policy from somebody else. */
    if (geteuid() == 0 && (st.st_mode & 022))
        return err_set(err, "%s: writable by others than root: chmod go-w it", path);
    return 0;
}

static int parse(const char *path, FILE *file, struct conf *out, struct err *err)
{
    struct conf c;
    struct state st = {.file = file, .conf = &c};
    int rc;

    conf_defaults(&c);
    rc = ini_parse_stream(reader, &st, handler, &st);
    errno = EINVAL;
    if (rc > 0 && !st.bad_line)
        return err_set(err, "%s:%d: not Key=Value", path, rc);
    if (!st.bad_line && (rc < 0 || ferror(file))) {
        errno = EIO;
        return err_set(err, "%s: cannot be read", path);
    }
    /* A line that inih refused by itself may come before the one that the handler refused. */
    if (st.bad_line && rc > 0 && (unsigned)rc < st.bad_line)
        return err_set(err, "%s:%d: not Key=Value", path, rc);
    if (st.bad_line)
        return err_set(err, "%s:%u: %s", path, st.bad_line, st.why);
    if (!settle(&st))
        return err_set(err, "%s: %s", path, st.why);
    *out = c;
    return 0;
}

int conf_load(const char *path, struct conf *c, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    FILE *file;

    if (fd < 0)
        return err_sys(err, "%s", path);
    if (check_owner(fd, path, err) < 0) {
        io_close(&fd);
        return -1;
    }
    file = fdopen(fd, "r");
    if (!file) {
        err_sys(err, "%s", path);
        io_close(&fd);
        return -1;
    }
    rc = parse(path, file, c, err);
    {
        int saved = errno;

        fclose(file);
        errno = saved;
    }
    return rc;
}
