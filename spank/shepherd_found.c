/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A dump that was killed between the commit of its generation and its answer: the keeper can only say that it was
 * killed, the directory tells that it had done its work.
 */
#include "common/io.h"
#include "common/manifest.h"
#include "spank/clerk.h"
#include "spank/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
    const struct facts *facts;
    struct gendir_id known;
};

struct found {
    bool found;
    char name[40];
    uint32_t pause_us, total_ms, processes;
    uint64_t raw_bytes, stored_bytes;
};

static int read_manifest(int taskfd, struct found *f, struct err *err)
{
    int dirfd = gendir_open_dir(taskfd, f->name, err), fd = -1, rc = -1;
    struct manifest m;
    char *text = NULL;
    size_t len;

    if (dirfd >= 0)
        fd = gendir_open_file(dirfd, MANIFEST_FILE, O_RDONLY, 0, err);
    if (fd >= 0)
        text = io_slurp(fd, MANIFEST_MAX_BYTES, &len, err);
    if (text && (rc = manifest_decode(text, len, &m, err)) == 0) {
        f->pause_us = m.pause_us;
        f->total_ms = m.total_ms;
        f->raw_bytes = m.raw_bytes;
        f->stored_bytes = m.stored_bytes;
        f->processes = (uint32_t)m.nprocesses;
        manifest_free(&m);
    }
    free(text);
    io_close(&fd);
    io_close(&dirfd);
    return rc;
}

/* Only this start of the job writes into its epoch, and only one dump runs at a time. */
static int look(void *arg, void *result, struct err *err)
{
    const struct look *l = arg;
    struct found *f = result;
    struct gendir_id *ids = NULL;
    int taskfd = gendir_open_task(l->facts, false, err);
    int n = taskfd < 0 ? -1 : gendir_list(taskfd, &ids, err), rc = n < 0 ? -1 : 0;

    memset(f, 0, sizeof *f);
    if (n > 0 && ids[0].epoch == l->facts->epoch && gendir_compare(ids[0], l->known) > 0) {
        gendir_format_name(ids[0], false, f->name);
        rc = read_manifest(taskfd, f, err);
        f->found = rc == 0;
    }
    free(ids);
    io_close(&taskfd);
    return rc;
}

bool shepherd_find_saved(struct shepherd *s, const struct proto_reply *failed,
                         struct proto_reply *saved)
{
    struct look l = {&s->facts, s->newest};
    struct found f;

    /* One of dump's own answers names its generation and tells what became of it. */
    if (failed->error == 0 || failed->generation[0] || !s->files ||
        clerk_run(look, &l, &f, sizeof f, SHEPHERD_FILES_TIMEOUT_MS, NULL) < 0 || !f.found)
        return false;
    *saved = *failed;
    saved->error = 0;
    snprintf(saved->generation, sizeof saved->generation, "%.31s", f.name);
    snprintf(saved->text, sizeof saved->text, "%.200s, but only after it had saved %.31s",
             failed->text, f.name);
    saved->pause_us = f.pause_us;
    saved->total_ms = f.total_ms;
    saved->processes = f.processes;
    saved->raw_bytes = f.raw_bytes;
    saved->stored_bytes = f.stored_bytes;
    return true;
}
