/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * look - what CRIU's images say about the processes of a generation, for people.
 *
 * The images are those of a verified checkpoint (restore/verify.h), which its owner may have made
 * up all the same: messages are decoded as strictly as for a restore, everything is bounded, and
 * what is found is only shown.  Texts are as they were found: clean them before a terminal sees
 * them. No privilege is needed.
 */
#ifndef CMD_LOOK_H
#define CMD_LOOK_H

#include "common/err.h"
#include "common/filelist.h"
#include "restore/verify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOK_FILES_MAX 1000000u   /* descriptors of all processes together */
#define LOOK_COMMAND_MAX 4096u    /* bytes of a command line; longer ones are cut */
#define LOOK_TEXT_MAX (64u << 20) /* bytes of all texts together: a name may be shared by many */

struct look_file {
    uint32_t fd;
    const char *kind; /* static: "file", "pipe", "tcp", ... */
    char *text;       /* path, addresses, what else tells one from another; never NULL */
    bool regular;     /* then: */
    uint32_t flags;   /* of open() */
    uint64_t position;
    bool has_size;
    uint64_t size; /* when it was saved; the restore wants the same */
};

struct look_process {
    uint32_t pid;
    const char *state; /* static: "running", "stopped", "zombie" */
    char *exe, *cwd;   /* NULL: not known */
    char *command;     /* the arguments, each ended by a zero byte; NULL: not known */
    size_t command_len;
    uint64_t memory;         /* bytes that are saved of it */
    struct look_file *files; /* by descriptor */
    size_t nfiles;
};

struct look {
    struct look_process *processes; /* in the manifest's order */
    size_t n;
    struct filelist kept; /* what a restore does with which file */
};

/* -1 (EBADMSG, EFBIG, ENOMEM) with a text: then *look holds nothing. */
int look_load(const struct checkpoint *c, struct look *look, struct err *err);
void look_free(struct look *look); /* frees what it holds */

/* "read", "write", "read,write,append" ... of open()'s flags. */
void look_flags(uint32_t flags, char text[64]);

#endif
