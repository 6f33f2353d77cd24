/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * preflight - would a generation come back to life here?  Looks, and touches nothing.
 *
 * For the job's user, without any capability: the shepherd before a restore, and scheckpoint check.  What it
 * reads of a generation is verified as for a restore (restore/verify.h).
 */
#ifndef CHECK_PREFLIGHT_H
#define CHECK_PREFLIGHT_H

#include "common/err.h"
#include "common/facts.h"
#include "common/gendir.h"
#include "restore/verify.h"

#include <stdbool.h>
#include <stddef.h>

enum preflight_verdict { PREFLIGHT_GOOD, PREFLIGHT_WARN, PREFLIGHT_FAIL };

struct preflight_point {
    char name
        [16]; /* "munge", "images", "machine", "kernel", "criu", "cpu", "pids", "pid_max", "programs",
                      "inputs", "outputs", "directories", "memory", "processes", "descriptors", "space" */
    enum preflight_verdict verdict;
    bool node;      /* about this node: another one may do */
    char text[400]; /* one clean line */
};

#define PREFLIGHT_MAX 128

struct preflight {
    char generation[40];
    bool by_hand;
    size_t n;
    struct preflight_point points[PREFLIGHT_MAX];
};

/* facts: key, uid, dir, criu, munge_socket, inputs, busy_wait (seconds to wait for pids of who is about to end).  The
 * checkpoint's isolation decides whether pids must be free here.  by_hand: not in the job that is to be restored; what
 * it was submitted with (inputs) is what the checkpoint tells, and under isolation=private it will have a user namespace
 * of its own, where the user's other processes do not count.  Always fills *p: a generation that cannot be read is a
 * point that failed. */
void preflight_run(int taskfd, struct gendir_id id, const struct facts *f, bool by_hand,
                   struct preflight *p);

const char *preflight_word(enum preflight_verdict v); /* "good", "warn", "fail" */
enum preflight_verdict preflight_worst(const struct preflight *p);

#endif
