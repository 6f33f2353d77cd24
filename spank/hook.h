/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * hook - one program of the user's or the site's that is run around a checkpoint.
 *
 * It is an ordinary child of the shepherd, so the user's: it holds no capability, and has neither the keeper's socket
 * nor any other descriptor of ours.  Its standard input is /dev/null, its standard error the job's; the first line
 * that it writes to its standard output is what it has to say.  It leads a session of its own, which is killed when it
 * has ended: what it leaves behind would be a stranger between the job's processes.
 *
 * The caller polls `out`, calls hook_look() often, and hook_end() when it has reaped `pid`.
 */
#ifndef SPANK_HOOK_H
#define SPANK_HOOK_H

#include "common/err.h"
#include "common/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_SAID_MAX 200

struct hook {
    pid_t pid; /* 0: none runs */
    int out;   /* -1 */
    int64_t deadline_ms;
    int64_t limit_ms; /* what it was given, for the text */
    bool shot;        /* its time is over, it got SIGKILL */
    size_t len;
    char said[HOOK_SAID_MAX]; /* ended by a zero byte */
    char path[FACTS_HOOK_MAX];
};

/* Start it, with at most limit_ms (runclock) to end.  prepare(arg) runs in the child before the exec, to set its
 * environment.  -1: there is no child. */
int hook_start(struct hook *h, const char *path, int64_t limit_ms, void (*prepare)(void *),
               void *arg, struct err *err);

/* Take what it has written; kill it when its time is over.  True: it does not even end of that (it is stuck in the
 * kernel), and is given up; hook_end() follows at once, with the status 0. */
bool hook_look(struct hook *h);

/* Less time than it was given: at most so long from now. */
void hook_hurry(struct hook *h, int64_t limit_ms);

/* It has ended with this wait status.  True: well.  False, why: "PATH: what it said" or how it ended. */
bool hook_end(struct hook *h, int status, char why[300]);

/* Kill it and all that it has started. */
void hook_kill(struct hook *h);

#endif
