/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * request - the owner's requests and the shepherd's answers, as files in the task directory.
 *
 * scheckpoint (same uid) writes request/ID.json (written under a leading '.', fsynced, renamed), then rings the doorbell
 * (SIGURG to the batch task through Slurm).  The shepherd's clerk takes the oldest request, and
 * writes answer/ID.json, again with rename, first with state "running" where it takes time, at the end "done", "failed" or
 * "refused" (it was not tried).
 *
 * request: {"id": "...", "verb": "create"|"vacate"|"requeue"|"able"|"disable"|"enable"|"stop",
 *            "time": "RFC 3339"}
 * answer:  {"id", "verb", "state": "running"|"done"|"failed"|"refused", "generation": "gen-...", "pause_us",
 *           "raw_bytes", "stored_bytes", "total_ms", "disabled": how often more than enabled, "text": one line}
 *           and from able "findings": [{"process": pid, "program", "where", "kind", "what", "remedy", "passing": bool}]
 *           (able/able.h; at most ABLE_MAX)
 */
#ifndef COMMON_REQUEST_H
#define COMMON_REQUEST_H

#include "common/err.h"
#include "common/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REQUEST_DIR "request"
#define ANSWER_DIR "answer"
#define REQUEST_MAX_BYTES 4096
#define ANSWER_MAX_BYTES 131072
#define SAVED_ONLY                                                                                 \
    "it is saved, but " /* begins the text of a requeue that failed behind its checkpoint */

struct request {
    char id[33];   /* 16..32 lower-case hex digits */
    char verb[16]; /* as above */
};

struct answer {
    char id[33];
    char verb[16];
    char state[12];
    char generation[32];
    char text[512];
    uint32_t pause_us, total_ms;
    uint64_t raw_bytes, stored_bytes;
    uint32_t disabled; /* depth after the request */
    char *
        findings; /* able: the JSON array as text; malloc'ed by answer_get, the caller frees it; else NULL */
};

/* All take the task directory's fd (gendir_open_task). */
int request_put(int taskfd, const struct request *r, struct err *err);
/* Oldest request (by mtime), removed from the directory as it is taken; 0 = none, 1 = one in *r.  Files that are not a
 * well-formed request of uid are removed and skipped. */
int request_take(int taskfd, uid_t uid, struct request *r, struct err *err);
/* Also removes answers that nobody fetched for a week.  a->findings stays the caller's. */
int answer_put(int taskfd, const struct answer *a, struct err *err);
/* 0 = no answer yet, 1 = one in *a */
int answer_get(int taskfd, const char *id, struct answer *a, struct err *err);
int answer_remove(int taskfd, const char *id);
/* Remove the answers to requests of that verb: they are not true any more. */
void answer_forget(int taskfd, const char *verb);

#endif
