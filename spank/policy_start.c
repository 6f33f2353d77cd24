/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which start of the job this is.  The prolog is told, and leaves a note; but slurmd runs no prolog for a job that it
 * believes to know:
 *
 * - one that comes back to the node before its credential there has expired (`scontrol release`, or `scontrol update
 *   StartTime=now`, soon after a requeue), if any credential was looked at in the two seconds before: the old one is not
 *   thrown away then (_clear_expired_job_states() in slurmd);
 * - one that was lost with this node: its credential was never revoked, and outlives slurmd and the machine in
 *   SlurmdSpoolDir/cred_state.
 *
 * So there is a closed note, or one of a start that was lost, or (StateDir= did not outlive the machine) none. Slurmctld
 * knows.  It is asked by the batch script of a job, once, and by a step's task only where there is nothing else to go by: the
 * script has the right note written on its own node, and the tasks on the others see its fence (gendir_fence) when theirs is
 * too old.
 */
#include "common/facts.h"
#include "spank/policy.h"
#include "spank/restarts.h"
#include "spank/slurmconf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int nothing_left(const struct conf *conf, struct err *err)
{
    errno = ENOENT;
    return err_set(err,
                   "the prolog hook left nothing in %s on this node (slurmd must be "
                   "restarted after the plugin was enabled; its log tells more)",
                   conf->state_dir);
}

/* As the prolog would, for a job that was started before; at a first start there is always one, if it is set up. */
static int do_without(const struct conf *conf, const struct policy_task *t, struct state *s,
                      struct err *err)
{
    *s = (struct state){.job = t->job, .uid = t->uid};
    snprintf(s->nonce, sizeof s->nonce, "%s", t->nonce);
    snprintf(s->cluster, sizeof s->cluster, "%s", slurmconf_cluster());
    snprintf(s->node, sizeof s->node, "%s", t->node);
    if (restarts_ask(conf->helper_dir, t->job, t->node, t->batch, &s->epoch, err) < 0)
        return -1;
    return s->epoch > 0 ? state_store(conf->state_dir, s, err) : nothing_left(conf, err);
}

static int ask(const struct conf *conf, bool batch, struct state *s, bool closed, struct err *err)
{
    uint32_t count = 0;

    if (restarts_ask(conf->helper_dir, s->job, s->node, batch, &count, err) < 0)
        return closed || errno == RESTARTS_E_ELSEWHERE ? -1 : 0;
    if (closed)
        s->epoch++; /* at least */
    else if (count <= s->epoch)
        return 0;
    if (count > s->epoch)
        s->epoch = count;
    return state_store(conf->state_dir, s, err);
}

int policy_start(const struct conf *conf, const struct policy_task *t, struct state *s,
                 struct err *err)
{
    enum state_age age;

    if (state_load(conf->state_dir, t->job, t->node, s, &age, err) < 0)
        return errno == ENOENT ? do_without(conf, t, s, err) : -1;
    if (s->uid != t->uid) {
        errno = EPERM;
        return err_set(err,
                       "the prolog hook's note of job %u is of uid %u, not of uid %u (an earlier "
                       "job of that id, left when the prolog failed: see slurmd's log)",
                       t->job, s->uid, t->uid);
    }
    if (age == STATE_CLOSED || (age == STATE_OLD && t->batch))
        return ask(conf, t->batch, s, age == STATE_CLOSED, err);
    return 0;
}
