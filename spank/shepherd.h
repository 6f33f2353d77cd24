/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * shepherd - the Slurm task of a job with checkpoints: an ordinary process of the user that minds
 * the job.
 *
 *   shepherd.c        start, event loop, signals, exit
 *   shepherd_start.c  copies, restore or first launch
 *   shepherd_dump.c   the running checkpoint, and the clock
 *   shepherd_hook.c   programs of the user's and the site's around a checkpoint
 *   shepherd_final.c  the last one: requeue, limit, vacate
 *   shepherd_request.c  what scheckpoint asks for; the counter of disables
 *   shepherd_able.c   what in the tree cannot be checkpointed, for scheckpoint able
 *   shepherd_caps.c   how often a job is restarted in vain
 *   shepherd_launch.c the first launch
 *   shepherd_script.c the batch script: which srun steps it has come to, and starting it once more
 *   shepherd_step.c   a task of a step: how it stands in the script, its input, its end
 *   shepherd_limit.c  the time limit: the last checkpoint comes before it, then the job requeues itself
 *   shepherd_slurm.c  questions to slurmctld, each in a clerk
 *   shepherd_asked.c  ... of a step's tasks, one for all of a node
 *   shepherd_files.c  what is written in the checkpoint directory, each in a clerk
 *   shepherd_elsewhere.c  what is looked at before a restore; a node that cannot have the job
 *   shepherd_fence.c  whether the job has been started again elsewhere
 *   shepherd_place.c  which CPUs the threads are bound to
 *
 * It holds no capability and is trusted with nothing.
 */
#ifndef SPANK_SHEPHERD_H
#define SPANK_SHEPHERD_H

#include "common/facts.h"
#include "common/gendir.h"
#include "common/proto.h"
#include "common/request.h"
#include "spank/hook.h"
#include "spank/relay.h"
#include "spank/slurmjob.h"
#include "spank/topo.h"
#include "spank/witness.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHEPHERD_FILES_TIMEOUT_MS 30000
#define SHEPHERD_WAITING 8
/* For output that slurmstepd does not take any more. */
#define DRAIN_MS 20000

/* Why the job must stop: what SIGTERM turned out to mean, or our own decision. */
enum final_kind {
    FINAL_NONE,
    FINAL_REQUEUE,   /* Slurm has requeued it */
    FINAL_TIMELIMIT, /* its limit, or the end of a preemption's grace time: it requeues itself */
    FINAL_ASKED,     /* scheckpoint requeue: so */
    FINAL_VACATE,    /* scheckpoint vacate: so, and held */
    FINAL_CANCELLED, /* scancel came while its last checkpoint was made */
    FINAL_UNKNOWN,
};

enum hook_moment { HOOK_BEFORE, HOOK_AFTER, HOOK_RESTORED };

/* Those of one moment, one after the other. */
struct hooks {
    bool running;
    enum hook_moment moment;
    unsigned n; /* 0: the site's, 1: the user's */
    int64_t end_ms;
    char veto[300];           /* HOOK_BEFORE: why not; "" none */
    struct proto_reply reply; /* HOOK_AFTER: what has come of the dump */
    struct hook hook;
};

struct shepherd {
    struct facts facts;
    char **argv; /* the task's own program and arguments */
    int argc;
    int keeper;             /* socket; -1: the keeper is gone, nothing can be saved any more */
    int keeper_pid;         /* 0: not known */
    int signals;            /* signalfd */
    struct witness witness; /* of the batch script; a step's tasks are never signalled as a group */
    int timer;              /* timerfd of the interval */
    int64_t due_ms;         /* of runclock_ms(): when it is over; 0: none */
    int limit_timer;        /* timerfd: when to look at the time limit again */
    bool limit_due;
    int64_t limit_at; /* the same in seconds since 1970, as slurmctld had it last; 0: not known */
    bool away_told;   /* that slurmctld does not answer */
    bool limit_near;  /* so near that Slurm may warn of it */
    bool early;       /* the last dump was our own decision: the job may go on when it fails */
    uint32_t slowest_ms;    /* longest dump so far */
    int rootfd;             /* pidfd of the root (ckpt-init) */
    pid_t root;             /* our child; 0: restored, the keeper's child */
    pid_t restored_pid;     /* as its pid namespace numbers it */
    int64_t ran_s, began_s; /* seconds in the runs before; when this one began (CLOCK_MONOTONIC) */
    uint32_t cost_ms;       /* of a checkpoint, for interval=auto; 0: not known */
    bool budget_due;        /* max-runtime is over */
    struct topo_cpus own;   /* the CPUs that Slurm bound the task to */
    bool files;             /* the checkpoint directory could be used */
    uint32_t next_id;

    bool sure,     /* slurmctld was asked which start this is */
        no_plugin; /* started by scheckpoint run: there is no plugin, nor are there keys of steps */
    bool step;     /* a task of an srun step, not the batch script */
    bool script;   /* ... of a step in a batch script that has a shepherd too */
    struct relay relay;  /* its standard files */
    uint64_t input_told; /* relay.input when it was written down last */
    bool afresh;         /* nothing that was saved before may be used */
    bool replayed;   /* it had ended before the job was requeued: only its status is given back */
    bool termed;     /* SIGTERM came */
    bool stale;      /* the job has a successor elsewhere */
    bool still;      /* ... or so it looks: it stands still until slurmctld can be asked */
    int64_t fence_s; /* when to look for one again (CLOCK_MONOTONIC) */
    bool stopping;   /* batch: the script stands still until its steps have ended */
    int64_t lead_s;  /* between the last checkpoint and the time limit */
    int64_t give_up_ms; /* ... by then the steps must have ended (CLOCK_MONOTONIC) */

    bool
        dumping; /* a dump was asked for and not yet answered; its hooks, and those of a restore, count too */
    struct hooks hooks;
    bool hooked;      /* the hooks before this dump were asked */
    bool vetoed;      /* ... and one was against it */
    bool restored;    /* the hooks after a restore are due */
    bool vanished;    /* at this restart the job's directory was not there */
    bool from_source; /* last_generation is that of the job whose checkpoint this one began with */
    unsigned retries;
    int64_t
        retry_ms; /* ... it waits for one of the node's others to end, and is tried again then (CLOCK_MONOTONIC); 0: no */
    bool again;   /* the last checkpoint has failed once, and is tried again */
    uint32_t dump_id;
    char dump_reason[24];
    bool dump_stop;
    bool dump_plain;        /* the last one failed with a snapshot: the next does without */
    struct request request; /* the owner's request that the dump answers; id "": none */
    struct request queued;  /* one that came while a dump was running that nobody had asked for */
    struct request able;    /* to be looked at when the running dump is over; id "": none */
    char waiting[SHEPHERD_WAITING]
                [33];       /* disables that are answered when the running dump is over */
    bool bell;              /* SIGURG came while the last dump was running */
    bool more;              /* requests may be there that came without a ring */
    bool ring;              /* an operator waits for the verdict of the running dump */
    unsigned disabled;      /* how often more disabled than enabled */
    int64_t disabled_since; /* seconds since 1970 */
    bool disabled_told;     /* of this time, in the job's stderr */
    bool interval_missed;   /* a checkpoint by the clock was due meanwhile */
    bool requeued;          /* by us, while the last checkpoint waits for an enable */
    bool preempted; /* the limit is the end of a preemption's grace time, or the requeue is one */
    int64_t last_dump_s;      /* CLOCK_MONOTONIC; 0: none */
    char last_generation[32]; /* from which the job would go on now; "" none */
    struct gendir_id newest;  /* generation of this start of the job; 0, 0: none */
    enum final_kind final;    /* a last dump is due or running */
    char last_failure[512];   /* said already: a failure that repeats is not said again */
    unsigned failures;        /* in a row: the interval backs off */
    uint32_t vain;            /* runs in a row up to this one's start without a new checkpoint */
    bool fruitful;            /* this run has */
    bool ended;               /* the job has ended, with this wait status */
    int status;
};

/* --- shepherd.c */
/* One line to the job's stderr, prefixed "checkpoint: ". */
void shepherd_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Deliver a signal to the batch script, or the program of a task. */
void shepherd_forward(struct shepherd *s, int sig);
/* Deliver one that Slurm has sent as it would have: to the batch script or, where that was meant, its process group. */
void shepherd_pass(struct shepherd *s, int sig);

/* --- shepherd_start.c */
/* Directory, copies of script and ckpt-init; then a restore or the first launch.  Returns 0 when
 * the job runs, else the task's exit status has been decided: it is returned as a positive number
 * (or 128 + signal). */
int shepherd_start(struct shepherd *s);
/* shepherd_launch.c: the first launch of the program.  0, or the exit status. */
int shepherd_launch(struct shepherd *s, const char *script);
/* A restarted job without a keeper: 0 when nothing was ever saved, so that it may start from the
 * beginning; else it is held, and the exit status is returned. */
int shepherd_hold_restart(struct shepherd *s, const char *why);
/* Ask the keeper and wait for the answer (start-up only).  *fd takes a descriptor that came with
 * it, or -1. */
int shepherd_ask(struct shepherd *s, struct proto_request *r, int sendfd, struct proto_reply *reply,
                 int *fd, struct err *err);
/* Fill a request's fixed fields. */
void shepherd_request_init(struct shepherd *s, struct proto_request *r, enum proto_verb verb,
                           const char *reason);
int shepherd_send(struct shepherd *s, const struct proto_request *r, int fd, struct err *err);
/* One packet from the keeper: 1, or 0 when it is gone. */
int shepherd_receive(struct shepherd *s, struct proto_reply *reply, int *fd);

/* --- shepherd_dump.c */
void shepherd_dump(struct shepherd *s, const char *reason, bool stop);
void shepherd_dump_done(struct shepherd *s, const struct proto_reply *r);
/* What follows when hooks have ended: no hook is against it; one is; those after it have ended, and those after a
 * restore. */
void shepherd_dump_go(struct shepherd *s);
void shepherd_dump_vetoed(struct shepherd *s, const char *why);
void shepherd_dump_over(struct shepherd *s, const struct proto_reply *r);
void shepherd_dump_idle(struct shepherd *s);
/* The tree has ended, not well, while a checkpoint was being made: wait a moment for what that says of it. */
void shepherd_dump_ended(struct shepherd *s);
/* The job has ended well, and what is still being written of it is not wanted: when this returns nothing is written into
 * its directory any more, unless dump has outlived even the keeper's SIGKILL. */
void shepherd_dump_cancel(struct shepherd *s);
/* SIGCONT to the tree: a dump has left it stopped, or its images are of a job that was suspended.  failed_dump: under
 * private isolation the keeper has seen to it. */
void shepherd_go_on(struct shepherd *s, bool failed_dump);
/* s->retry_ms is over. */
void shepherd_dump_again(struct shepherd *s);
void shepherd_interval(struct shepherd *s); /* the timer has expired */
void shepherd_timer_arm(struct shepherd *s);
int64_t shepherd_now_s(void); /* CLOCK_MONOTONIC */
int64_t shepherd_now_ms(void);

/* --- shepherd_hook.c */
/* Run the hooks of that moment; one of the four above follows when they have ended (perhaps at once).  False: there are none, and nothing
 * follows. */
bool shepherd_hooks_begin(struct shepherd *s, enum hook_moment moment);
/* A child has ended: was it a hook? */
bool shepherd_hooks_reaped(struct shepherd *s, pid_t pid, int status);
/* Now and then, while s->hooks.running. */
void shepherd_hooks_look(struct shepherd *s);
/* Slurm ends the job meanwhile. */
void shepherd_hooks_hurry(struct shepherd *s);
/* The last checkpoint before the limit was vetoed, and there is time: try again in a while. */
void shepherd_hooks_again(struct shepherd *s);

/* --- shepherd_final.c */
void shepherd_terminate(struct shepherd *s); /* SIGTERM */
/* s->final says why: make the last checkpoint, as soon as no other runs and none is disabled. */
void shepherd_final(struct shepherd *s);
/* It is safe and the tree stands still: requeue where that is ours to do, and end everything.  False: it could
 * not be requeued, who asked for it has been told, and the job runs on. */
bool shepherd_final_saved(struct shepherd *s, const struct proto_reply *r);
/* What SIGTERM meant, where that was not known before the dump: FINAL_UNKNOWN stays when it still is not, or when it is the
 * job that is to have it. */
void shepherd_final_find_out(struct shepherd *s);
/* Before that, where the job must be requeued first: false as above. */
bool shepherd_final_requeue(struct shepherd *s, const struct proto_reply *r);
/* A checkpoint has cost the tree its life (PROTO_R_LOST): the job is requeued, and goes on from the last one. */
void shepherd_final_lost(struct shepherd *s, const struct proto_reply *r);
/* The job was started again elsewhere: this copy of it must not go on. */
void shepherd_final_stale(struct shepherd *s);
/* It could not be made. */
void shepherd_final_failed(struct shepherd *s);
void shepherd_final_begun(struct shepherd *s); /* the last dump has, as Slurm ends the job */
/* Where Slurm signals the whole tree, there is nothing left to save at a requeue: true, and the user is
 * told. */
bool shepherd_none_last(struct shepherd *s);

/* --- shepherd_request.c */
void shepherd_bell(struct shepherd *s); /* SIGURG */
/* Take the requests that are there, without a ring. */
void shepherd_requests(struct shepherd *s);
/* A dump has ended: answer who waited for it. */
void shepherd_requests_answer(struct shepherd *s, const struct proto_reply *r, const char *state,
                              const char *text);
/* Then take what came meanwhile. */
void shepherd_requests_next(struct shepherd *s);
/* Answer a request so. */
void shepherd_refuse(struct shepherd *s, const struct request *q, const char *text);
/* In one line, why no checkpoint is made now. */
void shepherd_disabled_text(const struct shepherd *s, char text[160]);
/* Tell in the job's stderr and history, once, that one is not made. */
void shepherd_disabled_tell(struct shepherd *s, const char *what);

/* --- shepherd_caps.c */
/* A restarted job: has it been restarted too often, or in vain?  Then why, and it is to be held.  Whoever releases
 * it begins the count anew. */
bool shepherd_caps_exceeded(struct shepherd *s, char why[256]);
/* Restarts up to that of `epoch` since the newest checkpoint or the last hold, made in the epochs `saved` and
 * `held` (0: none). */
uint32_t shepherd_caps_vain(uint32_t epoch, uint32_t saved, uint32_t held);
/* Slurm has requeued the job, and its last checkpoint failed: when nothing was saved in this run, have it start later,
 * the later the more often that was so. */
void shepherd_caps_delay(struct shepherd *s);

/* --- shepherd_able.c */
void shepherd_able(struct shepherd *s, const struct request *q);

/* --- shepherd_slurm.c: each waits at most so long for slurmctld */
/* What slurmctld says about the job; SLURMJOB_UNKNOWN when it does not answer in time. */
enum slurmjob_state shepherd_ask_slurm(struct shepherd *s, int timeout_ms);
/* All that it says. */
int shepherd_slurm_load(struct shepherd *s, int timeout_ms, struct slurmjob *job);
/* shepherd_asked.c, in a clerk of a step's task: as slurmjob_load, but what another task of the job on this node has asked
 * since then (shepherd_asked_now) counts too.  Hundreds that are told to end at once would else ask slurmctld at
 * once, and have no answer in time.  JOBDIR/steps/asked.NODE holds the last answer, and its lock whose turn it is. */
int shepherd_asked_load(const struct facts *f, int64_t since, struct slurmjob *job,
                        struct err *err);
int64_t shepherd_asked_now(void);
/* Requeue the job; three times 5 s. */
int shepherd_slurm_requeue(struct shepherd *s, enum slurmjob_how how, struct err *err);
/* The job that the facts name as source has ended: 0, or -1 with what to do. Waits a while for its last processes. */
int shepherd_slurm_source_ended(struct shepherd *s, struct err *err);
/* Put a note into the job's comment, for an operator; 5 s, best effort. */
void shepherd_slurm_note(struct shepherd *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Someone must look: requeue and hold, with the reason in the job's comment; returns the exit status. */
int shepherd_hold(struct shepherd *s, const char *why);
/* Has SIGTERM come, while nothing of the job runs yet that could be lost? */
bool shepherd_terminated(struct shepherd *s);
/* slurmctld ends this run: wait for its SIGTERM, so that the job does not end as failed first. */
int shepherd_wait_end(struct shepherd *s);

/* --- shepherd_budget.c */
/* At the start: what the runs before took of max-runtime, and with interval=auto the first interval.  0, or the exit
 * status: the job may run no more and is held. */
int shepherd_budget_begin(struct shepherd *s);
/* Seconds that it may still run; INT64_MAX: no limit. */
int64_t shepherd_budget_left(const struct shepherd *s);
/* A checkpoint was made: the next interval, with interval=auto. */
void shepherd_interval_learn(struct shepherd *s, const struct proto_reply *r);

/* --- shepherd_elsewhere.c */
/* Before a restore: would the newest generation come back to life here?  What is wrong is said; false: this node cannot
 * have it, another one may (why). */
bool shepherd_preflight(struct shepherd *s, char why[512]);
/* Requeue without this node, later and later; after BusyRetries in a row hold the job.  Returns the exit status. */
int shepherd_elsewhere(struct shepherd *s, const char *why);

/* --- shepherd_fence.c: a node that was lost may still run the job when it has long been started again (gendir_fence).
 * This copy of it then stands still, as it writes into the same files, and ends as soon as slurmctld confirms it. */
/* Look now, and say when next (s->fence_s). */
void shepherd_fence_look(struct shepherd *s);
/* The fence refused this very start.  Returns the exit status; 0: slurmctld says that it is the present one (s->sure), so that it
 * may be set up once more. */
int shepherd_fence_refuses(struct shepherd *s);
/* In a clerk: -1 with ESTALE when there is a successor, other errors when that cannot be found out. */
int shepherd_fence_open(const struct facts *f, struct err *err);

/* --- shepherd_place.c */
/* Right before a dump: leave in the task's directory where the threads run.  Without it a restored job runs
 * unbound; nothing else fails. */
void shepherd_place_save(struct shepherd *s);
/* Right after a restore: bind the threads again (place.h) and say what could not be done. */
void shepherd_place_restore(struct shepherd *s, const char *generation);

/* --- shepherd_found.c */
/* After a dump that failed: did it save the job all the same?  Then *saved is what it would have answered. */
bool shepherd_find_saved(struct shepherd *s, const struct proto_reply *failed,
                         struct proto_reply *saved);

/* --- shepherd_limit.c */
/* Ask slurmctld for the limit and set the timer; when the moment has come already, limit_due. */
void shepherd_limit_arm(struct shepherd *s);
/* The timer has expired: look again, or make the last checkpoint and requeue. */
void shepherd_limit_reached(struct shepherd *s);
/* slurmctld cannot be asked to requeue the job: it goes on, and shepherd_limit_reached tries again. */
void shepherd_limit_later(struct shepherd *s);
/* Seconds before the end of a limit of limit_s, given the slowest dump so far. */
int64_t shepherd_limit_lead(int64_t limit_s, int64_t dump_ms);

/* Write what Slurm has set for this run where a restored program can read it (environ.h), and say where in our own
 * environment, which the job and hooks get. */
void shepherd_environ(struct shepherd *s);

/* --- shepherd_script.c: all but the first do nothing in a step's task */
/* The path of a file in the task's directory. */
void shepherd_task_path(const struct shepherd *s, const char *name, char path[2 * PATH_MAX]);
/* The root as the job's own pid namespace, which is that of the shepherd's children and of /proc, numbers it; to be
 * called in a child. -1: it has ended. */
pid_t shepherd_root_pid(int pidfd);
/* The script is about to be started from its beginning. */
int shepherd_script_begin(struct shepherd *s, struct err *err);
/* Is it to be started once more instead of restoring its tree? */
bool shepherd_script_rerun(struct shepherd *s);
/* Before a restore: the generation to try, older than `before` ("": any), with the steps that had been come to then.  -1,
 * ENOENT: none; EXDEV: it cannot be told which steps those were. */
int shepherd_script_rewind(struct shepherd *s, const char *before, char generation[40],
                           struct err *err);
/* Before a dump of the tree.  1: an srun runs in it, the mark is made instead of a generation; 0: dump; -1. */
int shepherd_script_prepare(struct shepherd *s, struct err *err);
/* The dump is over: steps may start again. */
void shepherd_script_release(struct shepherd *s);
bool shepherd_script_busy(const struct shepherd *s);
/* The script goes no further; its steps are given time for their last checkpoints.  False: it goes on, because it
 * cannot be requeued, and who asked for that has been told. */
bool shepherd_script_stop(struct shepherd *s);
/* While it is `stopping`, now and then: ends it when its steps have ended. */
void shepherd_script_stopping(struct shepherd *s);
/* Request this of all tasks of its steps. */
void shepherd_script_ask(struct shepherd *s, const char *verb);
/* All of the tree stops.  Also of a step's task, as the next. */
void shepherd_stand_still(struct shepherd *s);
/* It goes on after all. */
void shepherd_script_continue(struct shepherd *s);

/* --- shepherd_step.c */
/* How this task stands: s->afresh, or s->replayed with s->status. */
int shepherd_step_begin(struct shepherd *s, struct err *err);
/* Before a dump: write down how much input the tree has been given. */
int shepherd_step_input(struct shepherd *s, struct err *err);
/* After a restore of that generation. */
int shepherd_step_skip(struct shepherd *s, const char *generation, struct err *err);
/* The task has ended. */
void shepherd_step_end(struct shepherd *s);

/* --- shepherd_files.c */
/* At this restart the job's directory was not there: then where it was looked for, else "". */
bool shepherd_files_vanished(const struct shepherd *s, char text[640]);
/* Tell that the job starts from its beginning, as nothing was there to restore; and in its history. */
void shepherd_files_scratch(struct shepherd *s);
int shepherd_files_set_up(struct shepherd *s, const char *script, struct err *err);
/* In a clerk: the directory of the job whose checkpoint this one begins with. */
int shepherd_files_open_source(const struct facts *f, struct err *err);
/* The own id of the job whose checkpoint this one begins with, where it was named as a task of an array: 12_3. */
int shepherd_files_find_source(struct shepherd *s, struct err *err);
void shepherd_event(struct shepherd *s, const char *event, const char *generation, const char *text,
                    const struct proto_reply *r);
/* 1: a request was taken, 0: none, -1 */
int shepherd_request_take(struct shepherd *s, struct request *out, struct err *err);
void shepherd_answer(struct shepherd *s, const struct answer *a);
/* Remove everything that the job left there: it ended well. */
int shepherd_files_remove(struct shepherd *s, struct err *err);

#endif
