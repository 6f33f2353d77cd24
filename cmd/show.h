/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * show - all that can be told about one generation; for show and diff.
 */
#ifndef CMD_SHOW_H
#define CMD_SHOW_H

#include "cmd/look.h"
#include "cmd/target.h"
#include "common/manifest.h"
#include "common/placement.h"

#include <jansson.h>
#include <stdbool.h>

struct shown {
    struct base_job job;
    struct gendir_id id;
    char name[40];
    struct manifest m;
    bool sealed;       /* munge verifies the seal */
    char why_not[512]; /* one clean line; "" when sealed */
    bool looked;       /* `look` is filled: seal, index and small images are good */
    char damage[512];  /* one clean line; "" when looked */
    struct look look;
    bool placed; /* `placement` is filled */
    struct placement placement;
    bool placed_now; /* the job was restored from this one, and `now` says where it went */
    struct placement now;
};

/* The memory of the generation is not read but for the command lines: that is what verify is for.
 * -1 with a text when not even the manifest can be read. */
int shown_load(const struct cmd *c, const struct target *t, struct gendir_id id, struct shown *s,
               struct err *err);
void shown_free(struct shown *s); /* frees what s holds */

/* The same as JSON; NULL without memory. */
json_t *shown_json(const struct shown *s);

/* The command line on one line, cut to fit, clean; the name in brackets when it is not known. */
void shown_command(const struct shown *s, size_t process, char *out, size_t size);

#endif
