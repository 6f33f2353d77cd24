/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/look_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TCP_ESTABLISHED_STATE 1u
#define TCP_LISTEN_STATE 10u

static int by_key(const void *a, const void *b)
{
    const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int add_entry(struct look_table *t, FileEntry *e, struct err *err)
{
    FileEntry **more;

    if ((t->n & (t->n - 1)) == 0) { /* room doubles at each power of two */
        more = realloc(t->entry, (t->n ? 2 * t->n : 1) * sizeof(FileEntry *));
        if (!more)
            return err_sys(err, "no memory");
        t->entry = more;
    }
    t->entry[t->n++] = e;
    return 0;
}

int look_table_load(const struct bundle *b, struct look_table *t, struct err *err)
{
    const struct image *im = bundle_find(b, "files.img");
    struct look_table out = {NULL, 0};
    ProtobufCMessage *msg = NULL;
    struct crimg_iter it;
    int rc;

    if (!im) {
        *t = out;
        return 0;
    }
    if (crimg_open(&it, &im->parsed, im->data, im->len, err) < 0)
        return err_prefix(err, "%s", im->name);
    while ((rc = look_next(&it, im, &file_entry__descriptor, &msg, err)) > 0)
        if (add_entry(&out, (FileEntry *)msg, err) < 0) {
            protobuf_c_message_free_unpacked(msg, NULL);
            rc = -1;
            break;
        }
    if (rc < 0) {
        look_table_free(&out);
        return -1;
    }
    if (out.n > 1)
        qsort(out.entry, out.n, sizeof(FileEntry *), by_key);
    *t = out;
    return 0;
}

void look_table_free(struct look_table *t)
{
    int saved = errno;

    for (size_t i = 0; i < t->n; i++)
        protobuf_c_message_free_unpacked(&t->entry[i]->base, NULL);
    free(t->entry);
    t->entry = NULL;
    t->n = 0;
    errno = saved;
}

const FileEntry *look_table_find(const struct look_table *t, uint32_t type, uint32_t id)
{
    FileEntry key = FILE_ENTRY__INIT, *at = &key, **found;

    key.type = type;
    key.id = id;
    found = t->n ? bsearch(&at, t->entry, t->n, sizeof(FileEntry *), by_key) : NULL;
    return found ? *found : NULL;
}

const char *look_table_path(const struct look_table *t, uint32_t id)
{
    const FileEntry *e = look_table_find(t, CRIMG_FD_REG, id);

    return e && e->reg ? e->reg->name : NULL;
}

static int set_text(struct look_file *f, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int set_text(struct look_file *f, struct err *err, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&f->text, fmt, ap);
    va_end(ap);
    if (n >= 0)
        return 0;
    f->text = NULL;
    errno = ENOMEM;
    return err_sys(err, "no memory");
}

static void address(uint32_t family, const uint32_t *words, size_t n, uint32_t port, char out[80])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (family == AF_INET && n == 1)
        inet_ntop(AF_INET, words, host, sizeof host);
    else if (family == AF_INET6 && n == 4)
        inet_ntop(AF_INET6, words, host, sizeof host);
    snprintf(out, 80, family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

static int describe_inet(const FileEntry *e, struct look_file *f, struct err *err)
{
    InetSkEntry *s =
        (InetSkEntry *)wire_decode(e->isk.data, e->isk.len, &inet_sk_entry__descriptor, NULL);
    char from[80], to[80];
    int rc;

    f->kind = "socket";
    if (!s)
        return set_text(f, err, "Internet");
    f->kind = s->type == SOCK_STREAM ? "tcp" : s->type == SOCK_DGRAM ? "udp" : "socket";
    address(s->family, s->src_addr, s->n_src_addr, s->src_port, from);
    address(s->family, s->dst_addr, s->n_dst_addr, s->dst_port, to);
    if (s->type == SOCK_STREAM && s->state == TCP_LISTEN_STATE)
        rc = set_text(f, err, "%s, listening", from);
    else if (s->state == TCP_ESTABLISHED_STATE)
        rc = set_text(f, err, "%s to %s", from, to);
    else
        rc = set_text(f, err, "%s, not connected", from);
    protobuf_c_message_free_unpacked(&s->base, NULL);
    return rc;
}

/* An abstract name begins with a zero byte, and may hold more of them: '@', as ss(8) writes it. */
static char *unix_name(const ProtobufCBinaryData *name)
{
    char *s = malloc(name->len + 1);

    if (!s)
        return NULL;
    for (size_t i = 0; i < name->len; i++)
        s[i] = (char)(name->data[i] ? name->data[i] : '@');
    s[name->len] = '\0';
    /* A path has its final zero with it. */
    if (name->len > 1 && name->data[0] && !name->data[name->len - 1])
        s[name->len - 1] = '\0';
    return s;
}

static int describe_unix(const FileEntry *e, struct look_file *f, struct err *err)
{
    UnixSkEntry *s =
        (UnixSkEntry *)wire_decode(e->usk.data, e->usk.len, &unix_sk_entry__descriptor, NULL);
    const char *type;
    char *name;
    int rc;

    f->kind = "unix";
    if (!s)
        return set_text(f, err, "?");
    type = s->type == SOCK_STREAM ? "stream" : s->type == SOCK_DGRAM ? "datagram" : "packets";
    name = unix_name(&s->name);
    if (!name)
        rc = err_sys(err, "no memory");
    else if (s->peer)
        rc = set_text(f, err, "%s [%u] to [%u] %s", type, s->ino, s->peer, name);
    else
        rc = set_text(f, err, "%s [%u]%s %s", type, s->ino,
                      s->state == TCP_LISTEN_STATE ? ", listening" : "", name);
    free(name);
    protobuf_c_message_free_unpacked(&s->base, NULL);
    return rc;
}

static int describe_pipe(const FileEntry *e, struct look_file *f, struct err *err)
{
    PipeEntry *p =
        (PipeEntry *)wire_decode(e->pipe.data, e->pipe.len, &pipe_entry__descriptor, NULL);
    int rc;

    f->kind = "pipe";
    if (!p)
        return set_text(f, err, "?");
    rc = set_text(f, err, "[%u], %s end", p->pipe_id, p->flags & O_WRONLY ? "write" : "read");
    protobuf_c_message_free_unpacked(&p->base, NULL);
    return rc;
}

static int describe_regular(const RegFileEntry *r, struct look_file *f, struct err *err)
{
    f->kind = "file";
    f->regular = true;
    f->flags = r->flags;
    f->position = r->pos;
    f->has_size = r->has_size;
    f->size = r->size;
    return set_text(f, err, "%s", r->name);
}

int look_describe(const FileEntry *e, uint32_t type, struct look_file *f, struct err *err)
{
    static const struct {
        uint32_t type;
        const char *kind;
    } others[] = {
        {CRIMG_FD_PIPE, "pipe"},       {CRIMG_FD_FIFO, "fifo"},
        {CRIMG_FD_INETSK, "socket"},   {CRIMG_FD_UNIXSK, "unix"},
        {CRIMG_FD_EVENTFD, "eventfd"}, {CRIMG_FD_EVENTPOLL, "epoll"},
        {CRIMG_FD_INOTIFY, "inotify"}, {CRIMG_FD_SIGNALFD, "signalfd"},
        {CRIMG_FD_TTY, "tty"},         {CRIMG_FD_NETLINKSK, "netlink"},
        {CRIMG_FD_TIMERFD, "timerfd"}, {CRIMG_FD_MEMFD, "memfd"},
        {CRIMG_FD_PIDFD, "pidfd"},     {CRIMG_FD_REG, "file"},
    };

    if (e && type == CRIMG_FD_REG && e->reg)
        return describe_regular(e->reg, f, err);
    if (e && type == CRIMG_FD_INETSK && e->has_isk)
        return describe_inet(e, f, err);
    if (e && type == CRIMG_FD_UNIXSK && e->has_usk)
        return describe_unix(e, f, err);
    if (e && type == CRIMG_FD_PIPE && e->has_pipe)
        return describe_pipe(e, f, err);
    f->kind = "other";
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].type == type)
            f->kind = others[i].kind;
    return set_text(f, err, "-");
}

void look_flags(uint32_t flags, char text[64])
{
    static const char *const access[] = {"read", "write", "read,write", "none"};

    snprintf(text, 64, "%s%s%s%s%s", access[flags & O_ACCMODE], flags & O_APPEND ? ",append" : "",
             flags & O_NONBLOCK ? ",nonblock" : "", flags & O_DIRECTORY ? ",directory" : "",
             (flags & O_SYNC) == O_SYNC ? ",sync" : "");
}
