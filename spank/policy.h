/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * policy - from checkpoint.conf, the prolog's state and the user's options to the facts of a task.
 */
#ifndef SPANK_POLICY_H
#define SPANK_POLICY_H

#include "common/conf.h"
#include "common/err.h"
#include "common/facts.h"
#include "common/spec.h"
#include "spank/state.h"

#include <stdbool.h>
#include <sys/types.h>

/* What Slurm says about the task; filled by the SPANK callbacks. */
struct policy_task {
    uint64_t memory_mib; /* of the job on this node; 0: not known */
    uint32_t job, array_job, array_task;
    uint32_t step, taskid, ntasks;
    bool batch;
    const char *node;  /* as slurmd calls it */
    const char *nonce; /* (user) of the job; "": none */
    const char *key;   /* of the step, the user's word: steps.h; not for the batch script */
    uid_t uid;
    gid_t gid;
    const char *user, *home; /* of uid, as the name service has them; "" when it does not know it */
    const char *spec;        /* argument of --checkpoint, the user's */
    const char *dir;         /* argument of --checkpoint-dir or NULL, the user's */
};

#define POLICY_KEY_MAX 44

/* Fill *f. `conf` is the site's.  As root, in the task (getpid() is its pid).  Refuses (-1) with
 * the reason: uid 0, a wrong SPEC, a proctrack plugin under which a job cannot be checkpointed, no
 * directory, the prolog left nothing, an isolation that this user may not have. */
int policy_facts(const struct conf *conf, const struct policy_task *t, struct facts *f,
                 struct err *err);

/* policy_start.c: which start of the job this is, with its nonce, cluster and node.  Stored again where the prolog's note was
 * not of it.  ENOENT: the plugin is not set up on this node; RESTARTS_E_ELSEWHERE: it has been started on other nodes since. */
int policy_start(const struct conf *conf, const struct policy_task *t, struct state *s,
                 struct err *err);

/* Parts of it, each of which only adds to *f (policy_user.c; they look at nothing but their arguments and at which paths
 * are links): what the user chose within the site's limits, but the directory; the directory, for which f->user and
 * f->cluster are there; what the site alone sets. */
int policy_user_part(const struct conf *conf, const struct policy_task *t, struct facts *f,
                     struct err *err);
int policy_directory(const struct conf *conf, const struct policy_task *t, struct facts *f,
                     struct err *err);
int policy_site_part(const struct conf *conf, struct facts *f, struct err *err);

/* May this user's jobs run under isolation=host, by choice or because private cannot be had? */
bool policy_host_allowed(const struct conf *conf, const char *user);

/* Only the name of the task's directory. */
int policy_task_name(const struct policy_task *t, char name[64], struct err *err);

/* Only the base directory that the facts would have. */
int policy_dir(const struct conf *conf, const struct policy_task *t, const char *cluster,
               char dir[PATH_MAX], struct err *err);

/* Node-side facts that must hold before a task gets the inheritable bit: the keeper is root's, on a
 * mount that honours file capabilities, and has exactly cap_checkpoint_restore=i; helpers and criu
 * are root's, criu has no file capabilities; fs.suid_dumpable is not 1; the task has not set
 * no_new_privs. */
int policy_preflight(const struct facts *f, struct err *err);

/* The user's choice within the site's limits; shared by the submission side, which then refuses. */
int policy_spec(const struct conf *conf, const char *user, const char *text, struct spec *s,
                struct err *err);

#endif
