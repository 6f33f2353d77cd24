/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/crimg.h"
#include "restore/filter_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int rename_file(struct filter *f, struct image *im, const FileEntry *e)
{
    const struct filter_rename *r = f->rules->renames;
    char *to;

    for (size_t i = 0; i < f->rules->nrenames; i++, r++) {
        if (strcmp(r->from, e->reg->name) != 0)
            continue;
        to = strdup(r->to);
        if (!to)
            return filter_refuse(f, im, ENOMEM, "no memory");
        free(e->reg->name); /* protobuf-c's allocator is malloc */
        e->reg->name = to;
        if (r->output) {
            e->reg->flags |= O_APPEND;
            e->reg->has_size = 0;
        }
        return 0;
    }
    return 0;
}

int filter_file(struct filter *f, struct image *im, ProtobufCMessage *msg)
{
    const FileEntry *e = (const FileEntry *)msg;

    switch ((enum crimg_fd_type)e->type) {
    case CRIMG_FD_REG:
        if (!e->reg || strlen(e->reg->name) >= PATH_MAX)
            return filter_refuse(f, im, EBADMSG, "file %u has no name, or one that is too long",
                                 e->id);
        if (e->reg->has_ext && e->reg->ext)
            return filter_refuse(f, im, EPERM, "file %u comes from outside", e->id);
        if (f->rules->any_size && f->rules->any_size(f->rules->any_size_arg, e->reg->name))
            e->reg->has_size = 0;
        return rename_file(f, im, e);
    case CRIMG_FD_PIPE:
    case CRIMG_FD_FIFO:
    case CRIMG_FD_INETSK:
    case CRIMG_FD_UNIXSK:
    case CRIMG_FD_EVENTFD:
    case CRIMG_FD_EVENTPOLL:
    case CRIMG_FD_INOTIFY:
    case CRIMG_FD_SIGNALFD:
    case CRIMG_FD_TTY:
    case CRIMG_FD_NETLINKSK:
    case CRIMG_FD_TIMERFD:
    case CRIMG_FD_MEMFD:
    case CRIMG_FD_PIDFD:
        return 0;
    }
    return filter_refuse(f, im, EPERM, "open file %u of kind %u: not restored", e->id, e->type);
}
